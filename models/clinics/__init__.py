"""Clinics: what they set, their staff, calendars and contacts, and how much of what they may use."""
