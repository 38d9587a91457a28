"""P8: what is offered and free is what docs/diary.md says, as a slow implementation reads it.

The environment variable `CLINICS` compares more random clinics than usual, and `FIRST_CLINIC` says from which
number on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from random import Random

import pytest

from models.booking import availability
from models.booking.availability import Slot
from models.booking.resources import ResourceKind
from tests.models.booking import random_clinics, slow_availability
from tests.models.booking.random_clinics import Clinic
from tests.models.booking.slow_availability import Needs, Offered

HOW_MANY = int(os.environ.get("CLINICS", "240"))
FIRST = int(os.environ.get("FIRST_CLINIC", "0"))
AT_ONCE = 20

#: The options of each start. An option has the leader first and then what is needed, by kind.
Options = dict[datetime, list[tuple[frozenset[str], ...]]]


@pytest.mark.parametrize("first", range(FIRST, FIRST + HOW_MANY, AT_ONCE))
def test_what_is_offered_and_free_is_what_the_specification_says(first: int) -> None:
    wrong = {}
    for number in range(first, first + AT_ONCE):
        if differences := compare(random_clinics.make(number), Random(number)):  # noqa: S311
            wrong[number] = differences
    assert not wrong


@pytest.mark.parametrize("first", range(FIRST, FIRST + HOW_MANY // 4, AT_ONCE))
def test_a_time_is_open_when_the_specification_says(first: int) -> None:
    wrong = {}
    for number in range(first, first + AT_ONCE):
        clinic, random = random_clinics.make(number), Random(number)  # noqa: S311
        timetable = random.choice(list(clinic.bookable.timetables.values()))
        clock = slow_availability.WallClock(timetable.zone, clinic.day)
        is_open = slow_availability.open_minutes(timetable, clinic.day, clock)
        for _ in range(20):
            begin = slow_availability.midnight(clinic.day) + random.randrange(-600, 2000)
            length = random.choice((1, 10, 30, 60, 300, 1440))
            times = [slow_availability.moment_of(each) for each in (begin, begin + length)]
            expected = all(minute in is_open for minute in range(begin, begin + length))
            if timetable.is_open(times[0], times[1]) is not expected:
                wrong[number] = (timetable, times, expected)
    assert not wrong


def compare(clinic: Clinic, random: Random) -> list[str]:
    """What the two say differently of one clinic."""
    bookable, day, now, busy = clinic.bookable, clinic.day, clinic.now, clinic.busy
    expected = slow_availability.offered_on(bookable, day)
    slots = availability.slots_of_day(bookable, day)
    wrong = [f"offered: {each}" for each in differ(as_said(expected), as_found(slots))]
    if wrong:
        return wrong

    free = [
        Offered(each.start, each.leader, needs)
        for each in expected
        if (needs := slow_availability.find_free(bookable, each, busy)) is not None
    ]
    found = availability.free_of(bookable, day, day, busy)[day]
    wrong += [f"free: {each}" for each in differ(as_said(free), as_found(found))]
    several = availability.free_of(bookable, day - timedelta(days=2), day + timedelta(days=3), busy)
    wrong += [f"of several days: {each}" for each in differ(as_said(free), as_found(several[day]))]

    starts = {each.start for each in expected}
    for start in some_instants(sorted(starts), clinic, random):
        is_offered = start in starts and slow_availability.is_ahead(bookable, start, now)
        slot, why_not = availability.slot_at(bookable, start, now)
        if (slot is not None) is not is_offered or (why_not is None) is not is_offered:
            wrong.append(f"slot at {start}: {is_offered=}, {slot=}, {why_not=}")
        elif slot is not None and slot not in slots:
            wrong.append(f"slot at {start}: {slot=}")
        if availability.why_not_offered(bookable, start, now) != why_not:
            wrong.append(f"why not at {start}")
    return wrong


def as_said(offered: Iterable[Offered]) -> Options:
    found: Options = {}
    for each in offered:
        found.setdefault(each.start, []).append((frozenset({each.leader}), *in_order(each.needs)))
    return found


def in_order(needs: Needs) -> list[frozenset[str]]:
    return [needs[kind] for kind in ResourceKind if kind in needs]


def as_found(slots: Iterable[Slot]) -> Options:
    return {slot.starts_at: [tuple(map(frozenset, option)) for option in slot.options] for slot in slots}


def differ(said: Options, found: Options) -> list[str]:
    return [
        f"{start.isoformat()}: should be {said.get(start)}, is {found.get(start)}"
        for start in sorted({*said, *found})
        if said.get(start) != found.get(start)
    ]


def some_instants(starts: list[datetime], clinic: Clinic, random: Random) -> list[datetime]:
    """Starts that are offered, and instants of the same local day that are nearly one."""
    zone = clinic.bookable.zone
    midday = datetime.combine(clinic.day, time(12), zone).astimezone(UTC)
    near = [
        *random.sample(starts, min(2, len(starts))),
        midday + timedelta(minutes=random.randrange(-720, 720)),
    ]
    offset = timedelta(minutes=random.choice((0, 1, -1, 30, 60, -60)), seconds=random.choice((0, 0, 1)))
    instants = {*starts[:1], *starts[-1:], *near, *(each + offset for each in near)}
    return sorted(each for each in instants if each.astimezone(zone).date() == clinic.day)
