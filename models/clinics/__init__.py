"""Clinics: their settings, staff, calendars and contacts, and the allowances that they use up."""
