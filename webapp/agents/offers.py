"""Slots as an answer shows them: for the model to choose from, and for the ear."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby

from models.base import times
from models.booking.availability import Slot
from models.clinics.calendars import Calendar


def offered(calendar: Calendar, slots: Iterable[Slot], now: datetime) -> list[dict[str, str]]:
    return [
        {
            "slotId": times.instant(slot.starts_at),
            "calendarId": calendar.id,
            "label": times.spoken(slot.starts_at, calendar.zone, now),
        }
        for slot in slots
    ]


def ids(calendar: Calendar, slots: Iterable[Slot]) -> str:
    """For the line at the end of a spoken answer: which words stand for which slotId."""
    pairs = [
        f"{times.spoken_time(slot.starts_at, calendar.zone)} = {times.instant(slot.starts_at)}"
        for slot in slots
    ]
    return f"calendarId={calendar.id}; slotId by time: {', '.join(pairs)}" if pairs else ""


def said(calendar: Calendar, slots: Iterable[Slot], now: datetime) -> str:
    """Monday 7 December at 9:00 in the morning or 10:00 in the morning; Tuesday 8 December at …"""
    days, today = [], now.astimezone(calendar.zone).date()
    for day, of_day in groupby(slots, key=lambda slot: slot.starts_at.astimezone(calendar.zone).date()):
        starts = [times.spoken_time(slot.starts_at, calendar.zone) for slot in of_day]
        days.append(f"{times.spoken_day(day, today)} at {_either(starts)}")
    return "; ".join(days)


def dated_ids(calendar: Calendar, slots: Iterable[Slot], now: datetime) -> str:
    """Like `ids`, for slots of more than one day."""
    pairs = [
        f"{times.spoken(slot.starts_at, calendar.zone, now)} = {times.instant(slot.starts_at)}"
        for slot in slots
    ]
    return f"calendarId={calendar.id}; slotId by time: {'; '.join(pairs)}" if pairs else ""


def _either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
