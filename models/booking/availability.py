"""Which slots a bookable offers, by the clinic's wall clock, and which of them are free.

Which slots there are is a function of the rules and the time alone; the database is asked only what is taken.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from models.booking.bookables import Bookable
from models.booking.occupancies import Taken, find_taken
from models.booking.openings import Span, instant
from models.booking.resources import ResourceKind
from models.booking.services import find_starts
from models.booking.unproved_holds import Day

#: How far ahead of a full day the next free slots are looked for.
LOOK_AHEAD = timedelta(days=21)

_A_DAY = timedelta(days=1)

#: One way to do it: for each need the ids that meet it; the first need is the one who leads.
Option = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot that is offered, and by whom and what; both ends are in UTC and leave out the buffers."""

    starts_at: datetime
    ends_at: datetime
    options: tuple[Option, ...] = ()

    @property
    def leaders(self) -> tuple[str, ...]:
        return tuple(option[0][0] for option in self.options)


class Closed(StrEnum):
    """Why a start or a day is not offered, whether it is taken or not."""

    PAST = "past"
    TOO_SOON = "too_soon"
    TOO_FAR = "too_far"
    CLOSED = "closed"
    OFF_THE_GRID = "off_the_grid"


def today(bookable: Bookable, now: datetime) -> date:
    return now.astimezone(bookable.zone).date()


# --- what the rules offer -------------------------------------------------------------------------


def slots_of_day(bookable: Bookable, day: date) -> list[Slot]:
    """The slots that start on one local day, taken or not, in order.

    A start is a step of wall-clock time from an opening, and the whole of the appointment lies in open time
    of the one who leads, in one room, and of all that it needs. Buffers need no open time. On days when the
    clocks change, a time that does not exist is left out, and one that comes twice is offered once, as the
    first of the two.
    """
    if day not in bookable.slots:
        bookable.slots.update(free_of(bookable, day, day, {}))
    return bookable.slots[day]


def free_of(
    bookable: Bookable, first: date, last: date, taken: Mapping[str, Taken]
) -> dict[date, list[Slot]]:
    """The slots of each local day from `first` to `last` that have a free option, with their free options
    alone. `taken` has the taken times of resources; without any, these are all slots that are offered.
    """
    return _Starts(bookable, first, last).slots(taken)


class _Starts:
    """The instants of some local days at which an appointment could begin, whoever is there then."""

    def __init__(self, bookable: Bookable, first: date, last: date, earliest: datetime | None = None) -> None:
        self._bookable, self._first, self._last = bookable, first, last
        self._length, self._before, self._after = (
            timedelta(minutes=each)
            for each in (bookable.minutes, bookable.minutes_before, bookable.minutes_after)
        )
        self._spans: dict[str, list[Span]] = {}
        #: Of each who leads, in order, with the room.
        self._led: dict[str, list[tuple[datetime, str | None]]] = {}
        for each, timetable in bookable.timetables.items():
            begins, ends = _local_days(bookable, first, last, timetable.zone)
            self._spans[each] = timetable.spans(begins, ends + 2 * _A_DAY)
            if each in bookable.leaders:
                starts = timetable.starts(begins, ends, bookable.step_minutes)
                self._led[each] = [at for at in starts if earliest is None or at[0] >= earliest]
        self.instants = sorted({instant for led in self._led.values() for instant, _ in led})

    def needed(self) -> set[str]:
        """The ids of all that may take part."""
        rooms = {room for led in self._led.values() for _, room in led if room is not None}
        others = {each for _, able in self._bookable.needs for each in able}
        return {*self._bookable.leaders, *others, *rooms}

    def slots(self, taken: Mapping[str, Taken]) -> dict[date, list[Slot]]:
        """The slots of each of the days, with the options of which nothing is taken."""
        number_of = {instant: number for number, instant in enumerate(self.instants)}
        fits = {each: self._fits(spans, taken.get(each, ())) for each, spans in self._spans.items()}
        # What is needed depends on the time and the room alone, and most leaders start at the same times.
        known: dict[tuple[int, str | None], Option | None] = {}
        options: dict[int, list[Option]] = {}
        for leader in self._bookable.leaders:
            fit = fits[leader]
            for instant_, room in self._led[leader]:
                number = number_of[instant_]
                if fit[number]:
                    at = (number, room)
                    if at not in known:
                        known[at] = _needs(self._bookable, room, fits, number)
                    if (needs := known[at]) is not None:
                        options.setdefault(number, []).append(((leader,), *needs))
        days = range((self._last - self._first).days + 1)
        found: dict[date, list[Slot]] = {self._first + number * _A_DAY: [] for number in days}
        for number in sorted(options):
            starts_at = self.instants[number]
            day = starts_at.astimezone(self._bookable.zone).date()
            if day in found:
                found[day].append(Slot(starts_at, starts_at + self._length, tuple(options[number])))
        return found

    def _fits(self, spans: Iterable[Span], taken: Iterable[tuple[datetime, datetime]]) -> bytearray:
        """For each of the instants 1 if the resource is open for all of an appointment that begins then, in
        one room or in none, and not taken from the buffer before to the buffer after; else 0.
        """
        fits = bytearray(len(self.instants))
        for span in spans:
            first = bisect_left(self.instants, span.begins)
            end = bisect_right(self.instants, span.ends - self._length)
            if first < end:
                fits[first:end] = b"\1" * (end - first)
        for begins, ends in taken:
            first = bisect_right(self.instants, begins - self._after - self._length)
            end = bisect_left(self.instants, ends + self._before)
            if first < end:
                fits[first:end] = bytes(end - first)
        return fits


def _local_days(bookable: Bookable, first: date, last: date, zone: ZoneInfo) -> tuple[date, date]:
    """The local days of a zone in which the calendar's days from `first` to `last` lie."""
    begins = datetime.combine(first, time(), bookable.zone)
    ends = datetime.combine(last, time.max, bookable.zone).replace(fold=1)
    return begins.astimezone(zone).date(), ends.astimezone(zone).date()


def _needs(bookable: Bookable, room: str | None, fits: Mapping[str, bytearray], number: int) -> Option | None:
    """What is needed besides the one who leads, and fits; None if something does not."""
    needs = []
    for kind, able in bookable.needs:
        ids = able
        if kind is ResourceKind.ROOM and room is not None:
            ids = (room,) if room in able else ()
        fitting = tuple([each for each in ids if fits[each][number]])
        if not fitting:
            return None
        needs.append(fitting)
    if room is not None and all(kind is not ResourceKind.ROOM for kind, _ in bookable.needs):
        # The service needs no room, but whoever does it sits in one then.
        if room not in fits or not fits[room][number]:
            return None
        needs.insert(0, (room,))
    return tuple(needs)


def why_day_is_closed(bookable: Bookable, day: date, now: datetime) -> Closed | None:
    if day < today(bookable, now):
        return Closed.PAST
    if day > today(bookable, now) + timedelta(days=bookable.horizon_days):
        return Closed.TOO_FAR
    if not any(_is_open(bookable, leader, day) for leader in bookable.leaders):
        return Closed.CLOSED
    return None


def _is_open(bookable: Bookable, leader: str, day: date) -> bool:
    timetable = bookable.timetables[leader]
    begins, ends = (instant(each, 0, bookable.zone) for each in (day, day + _A_DAY))
    spans = timetable.spans(*_local_days(bookable, day, day, timetable.zone))
    return any(span.begins < ends and span.ends > begins for span in spans)


def why_not_offered(bookable: Bookable, starts_at: datetime, now: datetime) -> Closed | None:
    """Why a start is not on offer; None if it is. A claim asks again, as a caller may name any instant."""
    return slot_at(bookable, starts_at, now)[1]


def slot_at(bookable: Bookable, starts_at: datetime, now: datetime) -> tuple[Slot | None, Closed | None]:
    """The slot that begins at an instant, taken or not, or why there is none."""
    if starts_at <= now:
        return None, Closed.PAST
    if starts_at > now + timedelta(days=bookable.horizon_days + 2):
        return None, Closed.TOO_FAR  # before the local date, which a very distant instant does not have
    day = starts_at.astimezone(bookable.zone).date()
    if closed := why_day_is_closed(bookable, day, now):
        return None, closed
    if starts_at < _earliest(bookable, now):
        return None, Closed.TOO_SOON
    for slot in slots_of_day(bookable, day):
        if slot.starts_at == starts_at:
            return slot, None
    return None, Closed.OFF_THE_GRID


def day_of(bookable: Bookable, starts_at: datetime, now: datetime) -> Day:
    """The local day of a start, and how many starts are to come on it with each who leads, taken or not."""
    day = starts_at.astimezone(bookable.zone).date()
    begins, ends = (instant(each, 0, bookable.zone) for each in (day, day + _A_DAY))
    offered = dict.fromkeys(bookable.leaders, 0)
    for slot in slots_of_day(bookable, day):
        if slot.starts_at > now:
            for leader in slot.leaders:
                offered[leader] += 1
    return Day(begins, ends, offered)


# --- what of it is free ---------------------------------------------------------------------------


def find_free(
    session: Session, bookable: Bookable, *, first: date, days: int, now: datetime
) -> dict[date, list[Slot]]:
    """The free slots of each of `days` local days from `first` on; days without free slots are left out.

    Each slot has the options that are free.
    """
    last = min(first + timedelta(days=days - 1), today(bookable, now) + timedelta(days=bookable.horizon_days))
    first = max(first, today(bookable, now))
    if last < first:
        return {}
    starts = _Starts(bookable, first, last, _earliest(bookable, now))
    if not starts.instants:
        return {}
    before, after = (timedelta(minutes=each) for each in (bookable.minutes_before, bookable.minutes_after))
    taken = find_taken(
        session,
        bookable.org_id,
        sorted(starts.needed()),
        starts.instants[0] - before,
        starts.instants[-1] + timedelta(minutes=bookable.minutes) + after,
    )
    free = _but_full_days(session, bookable, starts.slots(taken))
    return {day: slots for day, slots in free.items() if slots}


def _but_full_days(
    session: Session, bookable: Bookable, offered: dict[date, list[Slot]]
) -> dict[date, list[Slot]]:
    """Without the days on which the service has been booked as often as the clinic allows."""
    if bookable.most_per_day is None:
        return offered
    begins = [instant(day, 0, bookable.zone) for day in (*offered, max(offered) + _A_DAY)]
    starts = find_starts(session, bookable.org_id, bookable.service_id, begins[0], begins[-1])
    return {
        day: slots
        for number, (day, slots) in enumerate(offered.items())
        if bisect_left(starts, begins[number + 1]) - bisect_left(starts, begins[number])
        < bookable.most_per_day
    }


def find_nearest(
    session: Session, bookable: Bookable, *, wanted: datetime, now: datetime, count: int = 3
) -> list[Slot]:
    """The `count` free slots nearest to a wanted time, in order of time."""
    end = today(bookable, now) + timedelta(days=bookable.horizon_days + 1)
    end_of_horizon = datetime.combine(end, time(), bookable.zone) - timedelta(microseconds=1)
    wanted = min(max(wanted, now), end_of_horizon.astimezone(UTC))
    first = max(wanted.astimezone(bookable.zone).date() - _A_DAY, today(bookable, now))
    for span in (3, LOOK_AHEAD.days):
        free = find_free(session, bookable, first=first, days=span, now=now)
        slots = [slot for of_day in free.values() for slot in of_day]
        if len(slots) >= count:
            break
    nearest = sorted(slots, key=lambda slot: abs(slot.starts_at - wanted))[:count]
    return sorted(nearest, key=lambda slot: slot.starts_at)


def _earliest(bookable: Bookable, now: datetime) -> datetime:
    """The soonest start a patient may still have; strictly after now."""
    return now + max(timedelta(minutes=bookable.min_notice_minutes), timedelta(microseconds=1))
