"""Slots, holds, codes, appointments and their links: what a clinic lets be booked."""
