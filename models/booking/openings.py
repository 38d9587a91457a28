"""When a person, room or device is open: weekly hours, and the dates on which they differ.

Nothing here is read from the database, and nothing depends on what is booked. Hours are wall-clock times, and
a day's own hours may go on past its midnight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
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


_ALL_DAY = (0, A_DAY)


@dataclass(frozen=True, slots=True)
class Span:
    """Open time as instants, in UTC."""

    begins: datetime
    ends: datetime
    room: str | None


@dataclass(frozen=True)
class Timetable:
    """The hours of one resource. `weekly` has the periods of each weekday, Monday being 0.

    What a date of `clinic` closes a date of `own` can open, so that a person can work while the clinic
    is closed. What a date of `own` closes is closed.
    """

    id: str
    name: str
    zone: ZoneInfo
    weekly: Mapping[int, tuple[Period, ...]] = field(default_factory=dict)
    clinic: Mapping[date, Different] = field(default_factory=dict)
    own: Mapping[date, Different] = field(default_factory=dict)

    def periods(self, first: date, last: date | None = None) -> list[Period]:
        """The open time of one local day, or of all from `first` to `last`, in order and without overlaps.

        Minutes count from the midnight on which `first` begins. A grid may lie before that.
        """
        end = (((last or first) - first).days + 1) * A_DAY
        # The hours of the day before may go on past midnight.
        days = [(minute, first + timedelta(minutes=minute)) for minute in range(-A_DAY, end, A_DAY)]
        found = [
            _later(each, minutes) for minutes, day in days for each in self.weekly.get(day.weekday(), ())
        ]
        for dates in (self.clinic, self.own):
            different = [(minutes, dates[day]) for minutes, day in days if day in dates]
            found += [_later(each, minutes) for minutes, exception in different for each in exception.opened]
            closed = [
                (minutes + begins, minutes + until)
                for minutes, exception in different
                for begins, until in (*exception.closed, *([_ALL_DAY] if exception.closed_all_day else []))
            ]
            to_the_end = [minutes for minutes, exception in different if exception.closed_all_day]
            found = [
                piece
                for period in found
                if period.grid // A_DAY * A_DAY not in to_the_end
                for piece in _without(period, closed)
            ]
        open_time: list[Period] = []
        for period in found:
            before = [(each.begins, each.until) for each in open_time if _meet(each, period)]
            open_time += _without(period, [(-A_DAY, 0), (end, end + A_DAY), *before])
        return sorted(open_time, key=lambda period: period.begins)

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
        """The instants of these local days that lie on the grid of an open period, each with the room.

        A wall-clock time that the clocks skip is left out; one that comes twice is the first of the two.
        """
        for period in self.periods(first, last):
            minute = period.begins + (period.grid - period.begins) % step
            for moment in _steps(first, minute, period.until, step, self.zone):
                yield moment, period.room


@lru_cache(maxsize=512)  # those who work the same hours start at the same times
def _steps(day: date, minute: int, until: int, step: int, zone: ZoneInfo) -> tuple[datetime, ...]:
    """The instants of the wall-clock times from `minute` on that exist, in UTC."""
    walls = [_wall(day, each) for each in range(minute, until, step)]
    moments = [wall.replace(tzinfo=zone).astimezone(UTC) for wall in walls]
    return tuple(
        moment
        for moment, wall in zip(moments, walls, strict=True)
        if moment.astimezone(zone).replace(tzinfo=None) == wall
    )


def _later(period: Period, minutes: int) -> Period:
    return Period(period.begins + minutes, period.until + minutes, period.grid + minutes, period.room)


def _meet(one: Period, other: Period) -> bool:
    return one.begins < other.until and other.begins < one.until


def _without(period: Period, closed: list[tuple[int, int]]) -> list[Period]:
    """What is left of a period, in order."""
    closed = [(begin, end) for begin, end in closed if begin < period.until and end > period.begins]
    if not closed:  # most are whole
        return [period]
    left = [(period.begins, period.until)]
    for begin, end in closed:
        left = [
            piece
            for one, other in left
            for piece in ((one, min(other, begin)), (max(one, end), other))
            if piece[0] < piece[1]
        ]
    return [Period(begin, end, period.grid, period.room) for begin, end in sorted(left)]


@lru_cache(maxsize=4096)
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
