"""When a person, room or device is open: weekly hours, and the dates on which they differ. Nothing here is read
from the database, and nothing depends on what is booked.

Hours are wall-clock times. A day's own hours may go on past its midnight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: Minutes of a day.
A_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Period:
    """Minutes from the midnight on which a day begins; `until` may be on the next day.

    Starts are steps from `grid`, which is where the hours began before anything was closed.
    """

    begins: int
    until: int
    grid: int
    room: str | None = None


@dataclass(frozen=True, slots=True)
class Different:
    """The hours of one date: periods that are open besides, and spans that are closed.

    `closed_all_day` closes the day and the hours that begin on it to their end.
    """

    opened: tuple[Period, ...] = ()
    closed: tuple[tuple[int, int], ...] = ()
    closed_all_day: bool = False


_AS_USUAL = Different()


@dataclass(frozen=True, slots=True)
class Span:
    """Open time as instants, in UTC."""

    begins: datetime
    ends: datetime
    room: str | None


@dataclass(frozen=True)
class Timetable:
    """The hours of one resource. `weekly` has the periods of each weekday, Monday being 0.

    A date of `clinic` counts before one of `own`, so that a person can work while the clinic is closed; and on
    each of the two what is closed counts after what is opened.
    """

    id: str
    name: str
    zone: ZoneInfo
    weekly: Mapping[int, tuple[Period, ...]] = field(default_factory=dict)
    clinic: Mapping[date, Different] = field(default_factory=dict)
    own: Mapping[date, Different] = field(default_factory=dict)

    def periods(self, first: date, last: date) -> list[Period]:
        """The open time from the beginning of one local day to the end of another, in order and without overlaps.

        Minutes count from the midnight on which `first` begins. A grid may lie before that.
        """
        end = ((last - first).days + 1) * A_DAY
        days = [(number * A_DAY, first + timedelta(days=number)) for number in range(-1, end // A_DAY)]
        found = [
            _later(each, minutes) for minutes, day in days for each in self.weekly.get(day.weekday(), ())
        ]
        for dates in (self.clinic, self.own):
            different = [(minutes, dates[day]) for minutes, day in days if day in dates]
            found += [_later(each, minutes) for minutes, exception in different for each in exception.opened]
            closed_days = [minutes for minutes, exception in different if exception.closed_all_day]
            closed = [(minutes, minutes + A_DAY) for minutes in closed_days] + [
                (minutes + begins, minutes + until)
                for minutes, exception in different
                for begins, until in exception.closed
            ]
            found = [
                piece
                for period in found
                if period.grid // A_DAY * A_DAY not in closed_days
                for piece in _without(period, closed)
            ]
        left: list[Period] = []
        for period in found:
            outside = [(-A_DAY, 0), (end, end + A_DAY)]
            left += _without(
                period, [*outside, *((each.begins, each.until) for each in left if _meet(each, period))]
            )
        return sorted(left, key=lambda period: period.begins)

    def spans(self, first: date, last: date) -> list[Span]:
        """The open time of these local days, in order; what adjoins in one room is one span."""
        spans: list[Span] = []
        for period in self.periods(first, last):
            begins, ends = (instant(first, each, self.zone) for each in (period.begins, period.until))
            before = spans[-1] if spans else None
            if before and begins == before.ends and period.room == before.room:
                spans[-1] = Span(before.begins, ends, before.room)
            elif begins < ends:
                spans.append(Span(begins, ends, period.room))
        return spans

    def is_open(self, starts_at: datetime, ends_at: datetime) -> bool:
        """Whether [starts_at, ends_at) lies in open time, in whatever rooms."""
        first, last = (moment.astimezone(self.zone).date() for moment in (starts_at, ends_at))
        missing = starts_at
        for span in self.spans(first, last):
            if span.begins <= missing < span.ends:
                missing = span.ends
        return missing >= ends_at

    def starts(self, first: date, last: date, step: int) -> Iterator[tuple[datetime, str | None]]:
        """The instants on these local days that lie on the grid of an open period, each with the period's room.

        A wall-clock time that the clocks skip is left out; one that comes twice is the first of the two.
        """
        for period in self.periods(first, last):
            minute = period.begins + (period.grid - period.begins) % step
            for moment in self._instants(first, range(minute, period.until, step)):
                yield moment, period.room

    def _instants(self, day: date, minutes: range) -> Iterator[datetime]:
        """The wall-clock times of a period that exist, as UTC."""
        if not minutes:
            return
        walls = [_wall(day, each) for each in (minutes[0], minutes[-1])]
        begins, ends = (wall.replace(tzinfo=self.zone).astimezone(UTC) for wall in walls)
        if ends - begins == walls[1] - walls[0] and all(map(self._is_plain, walls)):
            for number in range(len(minutes)):
                yield begins + timedelta(minutes=number * minutes.step)
            return
        for minute in minutes:
            wall = _wall(day, minute)
            moment = wall.replace(tzinfo=self.zone).astimezone(UTC)
            if moment.astimezone(self.zone).replace(tzinfo=None) == wall:
                yield moment

    def _is_plain(self, wall: datetime) -> bool:
        """Whether a wall-clock time comes exactly once, and so do the hours around it."""
        return all(
            (wall + around).replace(tzinfo=self.zone).utcoffset()
            == (wall + around).replace(tzinfo=self.zone, fold=1).utcoffset()
            == wall.replace(tzinfo=self.zone).utcoffset()
            for around in _AROUND
        )


#: Clocks change by less than a day, and between two times of one period at most once.
_AROUND = (timedelta(), timedelta(days=1), timedelta(days=-1))


def _later(period: Period, minutes: int) -> Period:
    return Period(period.begins + minutes, period.until + minutes, period.grid + minutes, period.room)


def _meet(one: Period, other: Period) -> bool:
    return one.begins < other.until and other.begins < one.until


def _without(period: Period, closed: list[tuple[int, int]]) -> list[Period]:
    """What is left of a period, in order."""
    left = [(period.begins, period.until)]
    for begin, end in closed:
        left = [
            piece
            for one, other in left
            for piece in ((one, min(other, begin)), (max(one, end), other))
            if piece[0] < piece[1]
        ]
    return [Period(begin, end, period.grid, period.room) for begin, end in sorted(left)]


def instant(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """A wall-clock time as UTC; for a time that the clocks skip, the moment at which they skip it."""
    wall = _wall(day, minute)
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != wall:
        moment = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
        while moment.astimezone(zone).replace(tzinfo=None) < wall:
            moment += timedelta(minutes=1)
    return moment


def _wall(day: date, minute: int) -> datetime:
    return datetime.combine(day, time()) + timedelta(minutes=minute)
