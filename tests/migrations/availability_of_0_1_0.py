"""Which slots a calendar of 0.1.0 offered and which were free: that code as it was, but for the database.

It is never to be changed. What it offered of a clinic's calendar, the diary must offer of the same clinic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

MIDNIGHT = ("24:00", "23:59")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

#: A slot or a taken time: its beginning and its end.
Time = tuple[datetime, datetime]


@dataclass(frozen=True)
class Calendar:
    """A row of `calendars` with the defaults of its columns."""

    id: str
    hours: dict[str, list[list[str]]]
    resource_id: str = ""
    name: str = "A calendar"
    time_zone: str = "Europe/London"
    closures: list[str] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    slot_minutes: int = 30
    step_minutes: int = 30
    hold_minutes: int = 60
    min_notice_minutes: int = 0
    horizon_days: int = 90

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def row(self) -> dict[str, Any]:
        """Its columns. Without a resource of its own it is its own."""
        return {**self.__dict__, "resource_id": self.resource_id or self.id}

    def opening_hours(self, day: date) -> list[Time]:
        if day.isoformat() in self.closures:
            return []
        midnight = datetime.combine(day + timedelta(days=1), time())
        periods = []
        for start, end in self.hours.get(WEEKDAYS[day.weekday()], []):
            opens = datetime.combine(day, time.fromisoformat(start))
            closes = midnight if end in MIDNIGHT else datetime.combine(day, time.fromisoformat(end))
            closes += timedelta(days=closes <= opens)
            if midnight.date().isoformat() in self.closures:
                closes = min(closes, midnight)
            periods.append((opens, closes))
        return sorted(periods)


def slots_of_day(calendar: Calendar, day: date) -> Iterator[Time]:
    length = timedelta(minutes=calendar.slot_minutes)
    for opens, closes in _periods(calendar, day):
        wall = opens
        end_of_period = _instant(_open_until(calendar, closes), calendar.zone)
        while wall < closes:
            starts_at = wall.replace(tzinfo=calendar.zone).astimezone(UTC)
            exists = starts_at.astimezone(calendar.zone).replace(tzinfo=None) == wall
            if wall.date() == day and exists and starts_at + length <= end_of_period:
                yield starts_at, starts_at + length
            wall += timedelta(minutes=calendar.step_minutes)


def find_free(
    calendar: Calendar, taken: list[Time], *, first: date, days: int, now: datetime
) -> dict[date, list[Time]]:
    today = now.astimezone(calendar.zone).date()
    last = min(first + timedelta(days=days - 1), today + timedelta(days=calendar.horizon_days))
    first = max(first, today)
    earliest = now + max(timedelta(minutes=calendar.min_notice_minutes), timedelta(microseconds=1))
    free: dict[date, list[Time]] = {}
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        of_day = [
            (starts_at, ends_at)
            for starts_at, ends_at in slots_of_day(calendar, day)
            if starts_at >= earliest and not any(begin < ends_at and end > starts_at for begin, end in taken)
        ]
        if of_day:
            free[day] = of_day
    return free


def _periods(calendar: Calendar, day: date) -> list[Time]:
    before = [
        (opens, closes)
        for opens, closes in calendar.opening_hours(day - timedelta(days=1))
        if closes > datetime.combine(day, time())
    ]
    return before + calendar.opening_hours(day)


def _open_until(calendar: Calendar, closes: datetime) -> datetime:
    if closes.time() != time():
        return closes
    return next((end for begin, end in calendar.opening_hours(closes.date()) if begin == closes), closes)


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != wall:
        moment = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
        while moment.astimezone(zone).replace(tzinfo=None) < wall:
            moment += timedelta(minutes=1)
    return moment
