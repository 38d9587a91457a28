"""Slots in an answer: as data for the model, and in words for the caller."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby

from models.base import times
from models.booking.availability import Slot
from models.booking.bookables import Bookable
from webapp.agents import asked


def offered(bookable: Bookable, slots: Iterable[Slot], now: datetime) -> list[dict[str, str]]:
    return [
        {
            "slotId": asked.slot_id(bookable, slot),
            "calendarId": bookable.calendar_id,
            "label": times.spoken(slot.starts_at, bookable.zone, now),
        }
        for slot in slots
    ]


def ids(bookable: Bookable, slots: Iterable[Slot]) -> str:
    """The slotId of each time of one day, for the line at the end of a spoken answer."""
    pairs = [
        f"{times.spoken_time(slot.starts_at, bookable.zone)} = {asked.slot_id(bookable, slot)}"
        for slot in slots
    ]
    return f"calendarId={bookable.calendar_id}; slotId by time: {', '.join(pairs)}" if pairs else ""


def said(bookable: Bookable, slots: Iterable[Slot], now: datetime) -> str:
    """In words: Monday 7 December at 9:00 in the morning or 10:00 in the morning; Tuesday 8 December at …"""
    days, today = [], now.astimezone(bookable.zone).date()
    for day, of_day in groupby(slots, key=lambda slot: slot.starts_at.astimezone(bookable.zone).date()):
        starts = [times.spoken_time(slot.starts_at, bookable.zone) for slot in of_day]
        days.append(f"{times.spoken_day(day, today)} at {_either(starts)}")
    return "; ".join(days)


def dated_ids(bookable: Bookable, slots: Iterable[Slot], now: datetime) -> str:
    """Like `ids`, for slots of more than one day."""
    pairs = [
        f"{times.spoken(slot.starts_at, bookable.zone, now)} = {asked.slot_id(bookable, slot)}"
        for slot in slots
    ]
    return f"calendarId={bookable.calendar_id}; slotId by time: {'; '.join(pairs)}" if pairs else ""


def _either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
