"""P8: two implementations of docs/diary.md say the same of thousands of clinics, a third of them on days around a
change of the clocks. The slow one goes minute by minute.

`CLINICS=10000 pytest tests/models/booking/test_availability_is_right.py` compares more, and `FIRST_CLINIC` says from
which number on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random

import pytest

from models.booking import availability
from models.booking.availability import Slot
from models.booking.resources import ResourceKind
from tests.models.booking import random_clinics, slow_availability
from tests.models.booking.random_clinics import Clinic
from tests.models.booking.slow_availability import Needs, Offered

HOW_MANY = int(os.environ.get("CLINICS", "200"))
FIRST = int(os.environ.get("FIRST_CLINIC", "0"))
AT_ONCE = 20

#: A start, and in the order of the leaders each with all that is open or free for it.
Options = list[tuple[datetime, list[tuple[str, dict[ResourceKind, frozenset[str]] | list[frozenset[str]]]]]]


@pytest.mark.parametrize("first", range(FIRST, FIRST + HOW_MANY, AT_ONCE))
def test_what_is_offered_and_free_is_what_the_specification_says(first: int) -> None:
    wrong = {}
    for number in range(first, first + AT_ONCE):
        if differences := compare(random_clinics.make(number), Random(number)):
            wrong[number] = differences
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
    before, after = (timedelta(minutes=each) for each in (bookable.minutes_before, bookable.minutes_after))
    found = list(availability.free_of(slots, busy, before, after))
    wrong += [f"free: {each}" for each in differ(as_said(free), as_found(found))]

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


def as_said(offered: Iterable[Offered]) -> dict[datetime, list[tuple[frozenset[str], ...]]]:
    """Each start with its options, as the product has them: the leader first, then what is needed, by kind."""
    found: dict[datetime, list[tuple[frozenset[str], ...]]] = {}
    for each in offered:
        found.setdefault(each.start, []).append((frozenset({each.leader}), *in_order(each.needs)))
    return found


def in_order(needs: Needs) -> list[frozenset[str]]:
    return [needs[kind] for kind in ResourceKind if kind in needs]


def as_found(slots: Iterable[Slot]) -> dict[datetime, list[tuple[frozenset[str], ...]]]:
    return {slot.starts_at: [tuple(map(frozenset, option)) for option in slot.options] for slot in slots}


def differ(said: dict[datetime, object], found: dict[datetime, object]) -> list[str]:
    return [
        f"{start.isoformat()}: should be {said.get(start)}, is {found.get(start)}"
        for start in sorted({*said, *found})
        if said.get(start) != found.get(start)
    ]


def some_instants(starts: list[datetime], clinic: Clinic, random: Random) -> list[datetime]:
    """Starts that are offered, and instants that are nearly one."""
    midday = datetime.combine(clinic.day, datetime.min.time(), clinic.bookable.zone) + timedelta(hours=12)
    around = [midday + timedelta(minutes=random.randrange(-720, 720)) for _ in range(1)]
    chosen = random.sample(starts, min(2, len(starts)))
    offset = timedelta(minutes=random.choice((1, -1, 30, 60, -60)), seconds=random.choice((0, 0, 1)))
    return [*starts[:1], *starts[-1:], *chosen, *(start + offset for start in chosen[:1]), *around]
