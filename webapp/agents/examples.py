"""The ids and times in the tools' examples, which together show one call from tool to tool."""

from __future__ import annotations

HOLD = "5977d63a-8a4e-4a2c-9d6b-3f1f0c9d2a11"
CONTACT = "79c5c209-1c3e-4f6e-8d1b-90a7c2d4e5f6"
APPOINTMENT = "c1d1f1a2-6f0e-4a55-b1c7-2f6a9a3b7d10"
SLOT = {
    "slotId": "2026-12-07T09:00:00Z",
    "calendarId": "cal-1",
    "label": "Monday 7 December, 9:00 in the morning",
}
LATER = {
    "slotId": "2026-12-07T09:30:00Z",
    "calendarId": "cal-1",
    "label": "Monday 7 December, 9:30 in the morning",
}
