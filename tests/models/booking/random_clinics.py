"""Random clinics, realistic and nasty ones, each made from a number."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

from models.booking.bookables import Bookable
from models.booking.openings import A_DAY, Different, Period, Timetable
from models.booking.resources import ResourceKind

#: Many ways to change the clocks, or never to do it.
ZONES = (
    *("UTC", "Europe/London", "Europe/Dublin", "Europe/Berlin", "Europe/Paris", "Europe/Moscow"),
    *("Europe/Istanbul", "Europe/Kyiv", "Europe/Lisbon", "Europe/Chisinau", "Atlantic/Azores"),
    *("America/New_York", "America/Chicago", "America/Phoenix", "America/Los_Angeles", "America/Anchorage"),
    *("America/St_Johns", "America/Halifax", "America/Nuuk", "America/Mexico_City", "America/Caracas"),
    *(
        "America/Havana",
        "America/Asuncion",
        "America/Santiago",
        "America/Sao_Paulo",
        "America/Argentina/San_Luis",
    ),
    *("Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "Africa/Windhoek", "Africa/Lagos"),
    *("Asia/Beirut", "Asia/Amman", "Asia/Damascus", "Asia/Gaza", "Asia/Jerusalem", "Asia/Tehran"),
    *("Asia/Kathmandu", "Asia/Kolkata", "Asia/Tokyo", "Asia/Pyongyang", "Asia/Almaty", "Asia/Dhaka"),
    *("Australia/Lord_Howe", "Australia/Sydney", "Australia/Adelaide", "Australia/Eucla", "Antarctica/Troll"),
    *("Antarctica/Casey", "Pacific/Apia", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Fakaofo"),
    *("Pacific/Kiritimati", "Pacific/Norfolk", "Pacific/Tongatapu", "Pacific/Easter"),
)
FIRST_DAY, LAST_DAY = date(1995, 1, 10), date(2035, 12, 20)

STEPS = (5, 7, 10, 15, 15, 20, 25, 30, 30, 30, 45, 60, 90)
LENGTHS = (5, 7, 15, 20, 25, 30, 30, 30, 45, 45, 60, 60, 90, 120, 240, 700, 1440)
BUFFERS = (0, 0, 0, 5, 10, 15, 25, 60)


@dataclass(frozen=True)
class Clinic:
    """What a calendar offers of a service, a day to look at, the time now, and what is taken.

    `busy` has the taken times of each resource, in order and without overlaps.
    """

    bookable: Bookable
    day: date
    now: datetime
    busy: dict[str, list[tuple[datetime, datetime]]]


@cache
def changes_of_the_clocks(zone: ZoneInfo) -> list[date]:
    """The local days of which the noon has another offset from UTC than the noon before."""
    found = []
    day = FIRST_DAY
    while day < LAST_DAY:
        week = day + timedelta(days=7)
        while day < week and offset(zone, day) != offset(zone, week):
            day += timedelta(days=1)
            if offset(zone, day - timedelta(days=1)) != offset(zone, day):
                found.append(day)
        day = week
    return found


def offset(zone: ZoneInfo, day: date) -> timedelta | None:
    return datetime(day.year, day.month, day.day, 12, tzinfo=zone).utcoffset()


def make(number: int, *, day: date | None = None) -> Clinic:
    """The clinic of a number, and a day of its own choice if none is given."""
    random = Random(number)  # noqa: S311
    zone = ZoneInfo(random.choice(ZONES))
    changes = changes_of_the_clocks(zone)
    changing = day is None and bool(changes) and random.random() < 0.4
    if changing:
        day = random.choice(changes) + timedelta(days=random.choice((-1, 0, 0, 0, 0, 1)))
    elif day is None:
        day = FIRST_DAY + timedelta(days=random.randrange((LAST_DAY - FIRST_DAY).days))
    return _Making(random, zone, day, is_changing=changing).clinic()


class _Making:
    def __init__(self, random: Random, zone: ZoneInfo, day: date, *, is_changing: bool) -> None:
        self.random = random
        self.zone = zone
        self.day = day
        self.is_changing = is_changing

    def clinic(self) -> Clinic:
        random = self.random
        people = [f"person-{n}" for n in range(random.choice((0, 1, 1, 1, 2, 2, 3, 4)))]
        rooms = [f"room-{n}" for n in range(random.choice((0, 0, 1, 2, 3)))]
        devices = [f"device-{n}" for n in range(random.choice((0, 0, 0, 1, 2)))]
        if not (people or rooms or devices):
            people = ["person-0"]
        able = {kind: ids for kind, ids in zip(ResourceKind, (people, rooms, devices), strict=True) if ids}
        leaders = next(iter(able.values()))
        # Hours may name a room that the service does not list; and one that has been retired since.
        side_rooms = ["side-room"] if people and random.random() < 0.4 else []
        named = [*rooms, *side_rooms, *(["retired-room"] if random.random() < 0.03 else [])]

        of_clinic = self.exceptions([None], chance=0.2)
        timetables = {}
        for ids in (*able.values(), side_rooms):
            for each in ids:
                leads = each in leaders
                rooms_of: list[str | None] = [None]
                if each in people and named and random.random() < 0.5:
                    rooms_of += [None, *named]
                weekly = self.weekly(rooms_of) if leads or random.random() < 0.5 else {}
                has_hours = leads or bool(weekly)
                own = self.exceptions(rooms_of, chance=0.25)
                timetables[each] = Timetable(
                    each,
                    each,
                    self.zone,
                    weekly if has_hours else dict.fromkeys(range(7), (Period(0, A_DAY, 0),)),
                    of_clinic if has_hours else {},
                    own,
                )

        zone = self.zone
        if random.random() < 0.1:
            # The person who was asked for works by another clock than the calendar's.
            zone = ZoneInfo(random.choice(ZONES))
            leaders = [random.choice(leaders)]
        bookable = Bookable(
            org_id=uuid.UUID(int=0),
            calendar_id="cal-1",
            zone=zone,
            hold_minutes=10,
            service_id="service",
            service="Service",
            minutes=random.choice(LENGTHS),
            minutes_before=random.choice(BUFFERS),
            minutes_after=random.choice(BUFFERS),
            step_minutes=random.choice(STEPS),
            min_notice_minutes=random.choice((0, 0, 30, 120, 1440, 4000)),
            horizon_days=random.choice((1, 7, 30, 90)),
            most_per_day=None,
            by_phone=True,
            by_link=True,
            leaders=tuple(leaders),
            needs=tuple((kind, tuple(ids)) for kind, ids in list(able.items())[1:]),
            timetables=timetables,
            is_default=True,
        )
        return Clinic(bookable, self.day, self.now(bookable), self.busy(bookable))

    def now(self, bookable: Bookable) -> datetime:
        """A moment from which the day is ahead, today, just within the horizon, or just not."""
        horizon = timedelta(days=bookable.horizon_days)
        notice = timedelta(minutes=bookable.min_notice_minutes)
        noon = datetime(self.day.year, self.day.month, self.day.day, 12, tzinfo=UTC)
        ago = self.random.choice((notice, notice, notice, timedelta(days=1), horizon, horizon, 2 * horizon))
        return noon - ago + timedelta(seconds=self.random.randrange(-43_200, 43_200))

    # Hours

    def weekly(self, rooms: list[str | None]) -> dict[int, tuple[Period, ...]]:
        """Weekly hours, no two of which overlap, not over a midnight either."""
        week: list[tuple[int, int]] = []
        for weekday in range(7):
            if self.random.random() < (0.02 if self.is_changing else 0.2):
                continue
            for begins, until in self.periods():
                one = (weekday * A_DAY + begins, weekday * A_DAY + until)
                again = [(one[0] + turn * 7 * A_DAY, one[1] + turn * 7 * A_DAY) for turn in (-1, 0, 1)]
                if not any(begin < end_ and begin_ < end for begin, end in again for begin_, end_ in week):
                    week.append(one)
        weekly: dict[int, tuple[Period, ...]] = {}
        for begin, end in sorted(week):
            weekday, minute = divmod(begin, A_DAY)
            period = Period(minute, minute + end - begin, minute, self.random.choice(rooms))
            weekly[weekday] = (*weekly.get(weekday, ()), period)
        return weekly

    def periods(self) -> list[tuple[int, int]]:
        """The periods of one weekday."""
        usual = (
            [(540, 1020)],
            [(540, 750), (810, 1020)],
            [(480, 720), (720, 960)],
            [(495, 1065)],
        )
        nightly = (
            [(0, A_DAY)],
            [(0, A_DAY)],
            [(1320, 1320 + 480)],
            [(1200, A_DAY)],
            [(0, 300)],
            [(0, 75), (75, 190), (190, 400)],
            [(60, 120)],
            [(135, 165), (170, 1430)],
            [(1080, 1080 + A_DAY)],
            [(1380, 1500), (300, 600)],
        )
        odd = ([self.period()], [self.period(), self.period()])
        if self.is_changing:
            return self.random.choice((*nightly, *nightly, *odd))
        return self.random.choice((*usual, *usual, *nightly, *odd))

    def period(self) -> tuple[int, int]:
        grain = self.random.choice((1, 5, 15, 15, 30, 60))
        begins = self.random.randrange(0, A_DAY, grain)
        length = self.random.choice((self.random.randrange(grain, A_DAY + 1, grain), 60, 120, 240, 480))
        return begins, begins + length

    def exceptions(self, rooms: list[str | None], *, chance: float) -> dict[date, Different]:
        """Dates that differ, on and around the day."""
        found = {}
        for days in range(-2, 3):
            if self.random.random() >= chance:
                continue
            opened = [self.period() for _ in range(self.random.choice((0, 0, 1, 1, 2)))]
            closed = [self.period() for _ in range(self.random.choice((0, 0, 1, 1, 2)))]
            found[self.day + timedelta(days=days)] = Different(
                tuple(
                    Period(begins, until, begins, self.random.choice(rooms))
                    for begins, until in sorted(opened)
                ),
                tuple(sorted(closed)),
                self.random.random() < 0.15,
            )
        return found

    # What is taken

    def busy(self, bookable: Bookable) -> dict[str, list[tuple[datetime, datetime]]]:
        busy = {}
        for resource in bookable.timetables:
            times = []
            moment = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC) - timedelta(days=1)
            end_of_all = moment + timedelta(days=4)
            while moment < end_of_all and self.random.random() < 0.95:
                begins = moment + timedelta(minutes=self.random.choice((0, 5, 30, 60, 115, 240, 600)))
                if self.random.random() < 0.1:
                    begins += timedelta(seconds=self.random.randrange(60))
                moment = begins + timedelta(minutes=self.random.choice((5, 15, 30, 45, 60, 90, 480)))
                times.append((begins, moment))
            busy[resource] = times if self.random.random() < 0.8 else []
        return busy
