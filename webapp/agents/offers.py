"""Slots in an answer: as data for the model, and in words for the caller. And the slotId, which names one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from urllib.parse import quote, unquote

from models.base import times
from models.booking.availability import Slot
from models.booking.bookables import Bookable


def slot_id(bookable: Bookable, starts_at: datetime) -> str:
    """The start, and behind it the service and the person where these are not what the calendar means anyway.

    Ids are quoted as in an address, so that whatever stands in one, the parts of a slotId can be told apart.
    """
    parts = [times.instant(starts_at)]
    if not bookable.is_default or bookable.person:
        parts.append(quote(bookable.service_id, safe=""))
    if bookable.person:
        parts.append(quote(bookable.person, safe=""))
    return "/".join(parts)


def parts_of(slot_id: str) -> tuple[str, str | None, str | None]:
    """The start, the service and the person of a slotId; the last two are None where it has none."""
    start, *ids = slot_id.split("/", 2)
    service, person = (*(unquote(each).strip() or None for each in ids), None, None)[:2]
    return start, service, person


def offered(bookable: Bookable, slots: Iterable[Slot], now: datetime) -> list[dict[str, str]]:
    return [
        {
            "slotId": slot_id(bookable, slot.starts_at),
            "calendarId": bookable.calendar_id,
            "label": times.spoken(slot.starts_at, bookable.zone, now),
        }
        for slot in slots
    ]


def ids(bookable: Bookable, slots: Iterable[Slot]) -> str:
    """The slotId of each time of one day, for the line at the end of a spoken answer."""
    pairs = [
        f"{times.spoken_time(slot.starts_at, bookable.zone)} = {slot_id(bookable, slot.starts_at)}"
        for slot in slots
    ]
    return f"calendarId={bookable.calendar_id}; slotId by time: {', '.join(pairs)}" if pairs else ""


def said(bookable: Bookable, slots: Iterable[Slot], now: datetime) -> str:
    """In words: Monday 7 December at 9:00 in the morning or 10:00 in the morning; Tuesday 8 December at …"""
    days, today = [], now.astimezone(bookable.zone).date()
    for day, of_day in groupby(slots, key=lambda slot: slot.starts_at.astimezone(bookable.zone).date()):
        starts = [times.spoken_time(slot.starts_at, bookable.zone) for slot in of_day]
        days.append(f"{times.spoken_day(day, today)} at {either(starts)}")
    return "; ".join(days)


def dated_ids(bookable: Bookable, slots: Iterable[Slot], now: datetime) -> str:
    """Like `ids`, for slots of more than one day."""
    pairs = [
        f"{times.spoken(slot.starts_at, bookable.zone, now)} = {slot_id(bookable, slot.starts_at)}"
        for slot in slots
    ]
    return f"calendarId={bookable.calendar_id}; slotId by time: {'; '.join(pairs)}" if pairs else ""


def either(words: Sequence[str]) -> str:
    """One or more in words: A, B or C."""
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
