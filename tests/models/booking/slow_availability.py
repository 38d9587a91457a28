"""Availability by the letter of docs/diary.md, minute by minute: slow, obvious, and sharing no code with the
product.

It looks at every minute of UTC of some days and asks: what do the wall clocks show, who is open, who is taken
up? Minutes are counted from 1970: a `Minute` is one of UTC, a `Wall` is one that a wall clock shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from models.booking.bookables import Bookable
from models.booking.openings import Different, Period, Timetable
from models.booking.resources import ResourceKind

Minute = int
Wall = int
Needs = Mapping[ResourceKind, frozenset[str]]
Busy = Mapping[str, Sequence[tuple[datetime, datetime]]]

DAY = 24 * 60
EPOCH = date(1970, 1, 1).toordinal()
#: The dates that can matter to a day: periods and appointments go on past midnight, and a resource may be in
#: a zone a day ahead of the calendar's or behind it.
DATES_AROUND = range(-2, 3)
NOTHING = Different()


@dataclass(frozen=True)
class Opened:
    """Why a minute is open: a period of a date begins at some time of the wall clock, perhaps in a room."""

    begins: Wall
    room: str | None


@dataclass(frozen=True)
class Offered:
    """A start with its leader, and who of each kind that is needed is open for all of it."""

    start: datetime
    leader: str
    needs: Needs


class WallClock:
    """The clock on the wall of one zone in the days around a date."""

    def __init__(self, zone: ZoneInfo, day: date) -> None:
        #: What the clock shows in each minute.
        self.shows: dict[Minute, Wall] = {}
        #: The first minute in which the clock shows a time or a later one. That is the first of a time that
        #: comes twice, and for a time that does not exist the moment at which it is skipped.
        self.first: dict[Wall, Minute] = {}
        begin, end = midnight(day) - 3 * DAY, midnight(day) + 5 * DAY
        highest = wall_of(datetime.fromtimestamp(begin * 60, zone)) - 1
        for minute in range(begin, end):
            shown = wall_of(datetime.fromtimestamp(minute * 60, zone))
            self.shows[minute] = shown
            while highest < shown:
                highest += 1
                self.first[highest] = minute

    def is_a_start(self, minute: Minute) -> bool:
        """Whether the clock shows the time of this minute for the first time."""
        return self.first[self.shows[minute]] == minute

    def minutes(self, begins: Wall, ends: Wall) -> range:
        """The minutes from one time of the wall clock to another."""
        return range(self.first[begins], self.first[ends])


def moment_of(minute: Minute) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


def wall_of(local: datetime) -> Wall:
    return (local.toordinal() - EPOCH) * DAY + local.hour * 60 + local.minute


def midnight(day: date) -> Wall:
    return (day.toordinal() - EPOCH) * DAY


def open_minutes(timetable: Timetable, day: date, clock: WallClock) -> dict[Minute, Opened]:
    """Every minute around a day in which a resource is open, and why.

    Where two periods are open at once, the weekly hours go before the openings of the clinic, these go before
    its own, and of equals the one that begins first goes before the other.
    """
    dates = [day + timedelta(days=n) for n in DATES_AROUND]
    of_own = Closed()
    of_own.add(timetable.own, dates, clock)
    of_both = Closed()
    of_both.add(timetable.own, dates, clock)
    of_both.add(timetable.clinic, dates, clock)
    is_open: dict[Minute, Opened] = {}

    def open_besides(of: date, periods: Sequence[Period], closed: Closed) -> None:
        if of in closed.dates:
            return
        for period in sorted(periods, key=lambda period: period.begins):
            begins, ends = midnight(of) + period.begins, midnight(of) + period.until
            added = set(clock.minutes(begins, ends)) - closed.minutes - is_open.keys()
            is_open.update(dict.fromkeys(added, Opened(begins, period.room)))

    for each in dates:
        open_besides(each, timetable.weekly.get(each.weekday(), ()), of_both)
    for each in dates:
        open_besides(each, timetable.clinic.get(each, NOTHING).opened, of_both)
    for each in dates:
        open_besides(each, timetable.own.get(each, NOTHING).opened, of_own)
    return is_open


class Closed:
    """The minutes that are closed, and the dates whose hours are closed to their end."""

    def __init__(self) -> None:
        self.minutes: set[Minute] = set()
        self.dates: set[date] = set()

    def add(self, exceptions: Mapping[date, Different], dates: Sequence[date], clock: WallClock) -> None:
        for each in dates:
            different = exceptions.get(each, NOTHING)
            for begins, ends in different.closed:
                self.minutes.update(clock.minutes(midnight(each) + begins, midnight(each) + ends))
            if different.closed_all_day:
                self.minutes.update(clock.minutes(midnight(each), midnight(each) + DAY))
                self.dates.add(each)


def offered_on(bookable: Bookable, day: date) -> list[Offered]:
    """What is offered on a day of the calendar's zone, by grid and open time alone: whether free or not, and
    whatever the time is now. By start, and for each start in the order of the leaders.
    """
    zones = {bookable.zone, *(table.zone for table in bookable.timetables.values())}
    clocks = {zone: WallClock(zone, day) for zone in zones}
    is_open = {
        resource: open_minutes(table, day, clocks[table.zone])
        for resource, table in bookable.timetables.items()
    }
    calendar = clocks[bookable.zone]
    begins, ends = midnight(day), midnight(day) + DAY
    offered = []
    for minute in range(begins - DAY, ends + DAY):
        if not begins <= calendar.shows[minute] < ends:
            continue
        for leader in bookable.leaders:
            clock = clocks[bookable.timetables[leader].zone]
            if begins_on_grid(minute, is_open[leader], clock, bookable.step_minutes):
                needs = find_open(bookable, leader, minute, is_open)
                if needs is not None:
                    offered.append(Offered(moment_of(minute), leader, needs))
    return offered


def is_ahead(bookable: Bookable, start: datetime, now: datetime) -> bool:
    """Whether a start is later than now, far enough ahead, and not too far."""
    day, today = (moment.astimezone(bookable.zone).date() for moment in (start, now))
    return (
        start > now
        and start >= now + timedelta(minutes=bookable.min_notice_minutes)
        and day <= today + timedelta(days=bookable.horizon_days)
    )


def find_free(bookable: Bookable, offered: Offered, busy: Busy) -> Needs | None:
    """Who of each kind is not taken up; None if the leader is, or all of a kind are."""
    begin = offered.start - timedelta(minutes=bookable.minutes_before)
    end = offered.start + timedelta(minutes=bookable.minutes + bookable.minutes_after)

    def is_free(resource: str) -> bool:
        return not any(begins < end and begin < ends for begins, ends in busy.get(resource, ()))

    free = {kind: frozenset(filter(is_free, able)) for kind, able in offered.needs.items()}
    return free if is_free(offered.leader) and all(free.values()) else None


def begins_on_grid(minute: Minute, is_open: Mapping[Minute, Opened], clock: WallClock, step: int) -> bool:
    if minute not in is_open or not clock.is_a_start(minute):
        return False
    return (clock.shows[minute] - is_open[minute].begins) % step == 0


def find_open(
    bookable: Bookable, leader: str, begin: Minute, is_open: Mapping[str, Mapping[Minute, Opened]]
) -> Needs | None:
    """Who of each kind is open with the leader for a whole appointment; None if it cannot be."""
    minutes = range(begin, begin + bookable.minutes)
    if not all(minute in is_open[leader] for minute in minutes):
        return None
    rooms = {is_open[leader][minute].room for minute in minutes}
    if len(rooms) > 1:
        return None
    room = rooms.pop()

    needs: dict[ResourceKind, frozenset[str]] = {kind: frozenset(able) for kind, able in bookable.needs}
    if room is not None:
        needs[ResourceKind.ROOM] = needs.get(ResourceKind.ROOM, frozenset({room})) & {room}
    found = {
        kind: frozenset(each for each in able if all(minute in is_open.get(each, {}) for minute in minutes))
        for kind, able in needs.items()
    }
    return found if all(found.values()) else None
