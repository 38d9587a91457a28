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

    def periods(self, day: date) -> list[Period]:
        """The periods that begin on one local day, in order, without what is closed of them."""
        tomorrow = day + timedelta(days=1)
        found = list(self.weekly.get(day.weekday(), ()))
        for dates in (self.clinic, self.own):
            today, next_day = dates.get(day, _AS_USUAL), dates.get(tomorrow, _AS_USUAL)
            for opened in today.opened:
                found += _without(opened, [(period.begins, period.until) for period in found])
            closed = [*today.closed, *((begin + A_DAY, end + A_DAY) for begin, end in next_day.closed)]
            if today.closed_all_day:
                closed.append((0, 2 * A_DAY))
            if next_day.closed_all_day:
                closed.append((A_DAY, 2 * A_DAY))
            found = [piece for period in found for piece in _without(period, closed)]
        return sorted(found, key=lambda period: period.begins)

    def spans(self, first: date, last: date) -> list[Span]:
        """The open time of the periods that begin on `first` to `last`, in order; what adjoins in one room is
        one span.
        """
        spans: list[Span] = []
        for day in _days(first, last):
            for period in self.periods(day):
                begins, ends = (instant(day, each, self.zone) for each in (period.begins, period.until))
                before = spans[-1] if spans else None
                if before and begins <= before.ends and period.room == before.room:
                    spans[-1] = Span(before.begins, max(before.ends, ends), before.room)
                elif begins < ends:
                    spans.append(Span(begins, ends, period.room))
        return spans

    def is_open(self, starts_at: datetime, ends_at: datetime) -> bool:
        """Whether [starts_at, ends_at) lies in open time, in whatever rooms."""
        first, last = (moment.astimezone(self.zone).date() for moment in (starts_at, ends_at))
        missing = starts_at
        for span in self.spans(first - timedelta(days=1), last):
            if span.begins <= missing < span.ends:
                missing = span.ends
        return missing >= ends_at

    def starts(self, day: date, step: int) -> Iterator[tuple[datetime, str | None]]:
        """The instants on one local day that lie on the grid of open periods, each with the period's room.

        A period may have begun on the day before. A wall-clock time that the clocks skip is left out; one that
        comes twice is the first of the two.
        """
        for began in (day - timedelta(days=1), day):
            shift = A_DAY if began < day else 0  # minutes of `began` that are before the midnight of `day`
            for period in self.periods(began):
                first = max(period.begins, shift)
                minute = period.grid + -(-(first - period.grid) // step) * step
                if minute >= min(period.until, shift + A_DAY):
                    continue
                last = minute + (min(period.until, shift + A_DAY) - 1 - minute) // step * step
                walls = [_wall(began, each) for each in (minute, last)]
                moments = [wall.replace(tzinfo=self.zone).astimezone(UTC) for wall in walls]
                if moments[1] - moments[0] == walls[1] - walls[0] and all(map(self._is_plain, walls)):
                    for number in range((last - minute) // step + 1):
                        yield moments[0] + timedelta(minutes=number * step), period.room
                    continue
                for each in range(minute, last + 1, step):
                    wall = _wall(began, each)
                    moment = wall.replace(tzinfo=self.zone).astimezone(UTC)
                    if moment.astimezone(self.zone).replace(tzinfo=None) == wall:
                        yield moment, period.room

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


def _days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)
