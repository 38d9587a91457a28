"""Which slots a calendar offers, by the clinic's wall clock, and which of them are free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from models.booking.occupancies import find_taken
from models.booking.unproved_holds import Day
from models.clinics.calendars import Calendar

#: How far ahead of a full day the next free slots are looked for.
LOOK_AHEAD = timedelta(days=21)

_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot that the calendar offers; both ends are in UTC."""

    starts_at: datetime
    ends_at: datetime


class Closed(StrEnum):
    """Why a calendar does not offer a start or a day, whether it is taken or not."""

    PAST = "past"
    TOO_SOON = "too_soon"
    TOO_FAR = "too_far"
    CLOSED = "closed"
    OFF_THE_GRID = "off_the_grid"


def today(calendar: Calendar, now: datetime) -> date:
    return now.astimezone(calendar.zone).date()


def slots_of_day(calendar: Calendar, day: date) -> Iterator[Slot]:
    """The slots that start on one local day, taken or not, in order.

    Starts are steps of wall-clock time from the opening, which may have been on the day before. On days when
    the clocks change, a time that does not exist is left out, and a time that comes twice is offered once, as
    the first of the two.
    """
    length = timedelta(minutes=calendar.slot_minutes)
    for opens, closes in _periods(calendar, day):
        wall = opens
        end_of_period = _instant(_open_until(calendar, closes), calendar.zone)
        while wall < closes:
            starts_at = wall.replace(tzinfo=calendar.zone).astimezone(UTC)
            exists = starts_at.astimezone(calendar.zone).replace(tzinfo=None) == wall
            if wall.date() == day and exists and starts_at + length <= end_of_period:
                yield Slot(starts_at, starts_at + length)
            wall += timedelta(minutes=calendar.step_minutes)


def _periods(calendar: Calendar, day: date) -> list[tuple[datetime, datetime]]:
    """The opening periods that reach into one local day, in order, also those that began the day before."""
    before = [
        (opens, closes)
        for opens, closes in calendar.opening_hours(day - timedelta(days=1))
        if closes > datetime.combine(day, time())
    ]
    return before + calendar.opening_hours(day)


def _open_until(calendar: Calendar, closes: datetime) -> datetime:
    """The end of a period, or of the next period if the two meet at midnight."""
    if closes.time() != time():
        return closes
    return next((end for begin, end in calendar.opening_hours(closes.date()) if begin == closes), closes)


def why_day_is_closed(calendar: Calendar, day: date, now: datetime) -> Closed | None:
    if day < today(calendar, now):
        return Closed.PAST
    if day > today(calendar, now) + timedelta(days=calendar.horizon_days):
        return Closed.TOO_FAR
    if not _periods(calendar, day):
        return Closed.CLOSED
    return None


def why_not_offered(calendar: Calendar, starts_at: datetime, now: datetime) -> Closed | None:
    """Why a start is not on offer; None if it is. A claim asks again, as a caller may name any instant."""
    if starts_at <= now:
        return Closed.PAST
    if starts_at > now + timedelta(days=calendar.horizon_days + 2):
        return Closed.TOO_FAR  # before the local date, which a very distant instant does not have
    day = starts_at.astimezone(calendar.zone).date()
    if closed := why_day_is_closed(calendar, day, now):
        return closed
    if starts_at < _earliest(calendar, now):
        return Closed.TOO_SOON
    if all(slot.starts_at != starts_at for slot in slots_of_day(calendar, day)):
        return Closed.OFF_THE_GRID
    return None


def day_of(calendar: Calendar, starts_at: datetime, now: datetime) -> Day:
    """The local day of a start, and how many starts are still to come on it, taken or not."""
    day = starts_at.astimezone(calendar.zone).date()
    begins, ends = (_instant(datetime.combine(each, time()), calendar.zone) for each in (day, day + _A_DAY))
    return Day(begins, ends, sum(slot.starts_at > now for slot in slots_of_day(calendar, day)))


def find_free(
    session: Session, calendar: Calendar, *, first: date, days: int, now: datetime
) -> dict[date, list[Slot]]:
    """The free slots of each of `days` local days from `first` on; days without free slots are left out."""
    last = min(first + timedelta(days=days - 1), today(calendar, now) + timedelta(days=calendar.horizon_days))
    first = max(first, today(calendar, now))
    offered = {
        first + timedelta(days=n): list(slots_of_day(calendar, first + timedelta(days=n)))
        for n in range((last - first).days + 1)
    }
    every = [slot for slots in offered.values() for slot in slots]
    if not every:
        return {}
    taken = find_taken(
        session, calendar.org_id, calendar.resource_id, every[0].starts_at, max(s.ends_at for s in every)
    )
    earliest = _earliest(calendar, now)
    free: dict[date, list[Slot]] = {}
    for day, slots in offered.items():
        of_day = [
            slot
            for slot in slots
            if slot.starts_at >= earliest
            and not any(begin < slot.ends_at and end > slot.starts_at for begin, end in taken)
        ]
        if of_day:
            free[day] = of_day
    return free


def find_nearest(
    session: Session, calendar: Calendar, *, wanted: datetime, now: datetime, count: int = 3
) -> list[Slot]:
    """The `count` free slots nearest to a wanted time, in order of time."""
    end = today(calendar, now) + timedelta(days=calendar.horizon_days + 1)
    end_of_horizon = datetime.combine(end, time(), calendar.zone) - timedelta(microseconds=1)
    wanted = min(max(wanted, now), end_of_horizon)
    first = max(wanted.astimezone(calendar.zone).date() - timedelta(days=1), today(calendar, now))
    for span in (3, LOOK_AHEAD.days):
        free = find_free(session, calendar, first=first, days=span, now=now)
        slots = [slot for of_day in free.values() for slot in of_day]
        if len(slots) >= count:
            break
    nearest = sorted(slots, key=lambda slot: abs(slot.starts_at - wanted))[:count]
    return sorted(nearest, key=lambda slot: slot.starts_at)


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """A wall-clock time as UTC; for a time that the clocks skip, the moment at which they skip it."""
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != wall:
        moment = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
        while moment.astimezone(zone).replace(tzinfo=None) < wall:
            moment += timedelta(minutes=1)
    return moment


def _earliest(calendar: Calendar, now: datetime) -> datetime:
    """The soonest start a caller may still have; strictly after now."""
    return now + max(timedelta(minutes=calendar.min_notice_minutes), timedelta(microseconds=1))
