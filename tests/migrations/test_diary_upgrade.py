"""The calendars of 0.1.0 become a diary, and nothing that a caller hears changes: what is offered, what is taken.

The clinics are in clinics_of_0_1_0.py; what was offered of them is reckoned by availability_of_0_1_0.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from alembic import command

from models.base.session import Door, system_transaction
from models.booking import availability, bookables
from models.clinics import calendars
from tests.concurrency.databases import name_of, new_database
from tests.migrations import availability_of_0_1_0, clinics_of_0_1_0
from tests.migrations.availability_of_0_1_0 import Calendar, Time
from tests.migrations.clinics_of_0_1_0 import CLINICS, ORGS
from tests.migrations.test_system_role import ALEMBIC
from tests.surroundings import environment

BEFORE = "0026_meanings"
NOW = datetime.now(UTC)
EVERY = [(clinic, calendar) for clinic, of_clinic in CLINICS.items() for calendar in of_clinic]

#: For each window of days the free slots of each day.
Free = dict[tuple[datetime, int], dict[date, list[Time]]]


def windows(zone: ZoneInfo) -> list[tuple[datetime, int]]:
    """The next 60 days, and 20 around each of the next two times that the clocks change: as now, and days."""
    found = [(NOW, 60)]
    for number in range(400):
        before, after = (NOW + timedelta(days=each) for each in (number, number + 1))
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset() and len(found) < 3:
            found.append((before - timedelta(days=10), 20))
    return found


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True, options="-c app.scope=system") as sql:
        yield sql


@dataclass(frozen=True)
class Clinics:
    """A database with the clinics, and what 0.1.0 offered of each of their calendars."""

    url: str
    before: dict[tuple[str, str], Free]


@pytest.fixture(scope="module")
def at_0_1_0(database_url: str) -> Iterator[Clinics]:
    """The database as it was before the upgrade. Nothing is connected to it."""
    with new_database(database_url) as url:
        with environment(DATABASE_URL=url):
            command.upgrade(ALEMBIC, BEFORE)
        before = {}
        with connected(url) as sql:
            clinics_of_0_1_0.insert(sql)
            for clinic, calendar in EVERY:
                taken = clinics_of_0_1_0.taken(sql, ORGS[clinic], calendar.row["resource_id"])
                before[clinic, calendar.id] = {
                    (now, days): availability_of_0_1_0.find_free(
                        calendar, taken, first=now.astimezone(calendar.zone).date(), days=days, now=now
                    )
                    for now, days in windows(calendar.zone)
                }
        yield Clinics(url, before)


@pytest.fixture(scope="module")
def upgraded(at_0_1_0: Clinics, database_url: str) -> Iterator[Clinics]:
    """A copy of it after the upgrade, which no test may change; the process is set to it."""
    with (
        new_database(database_url, template=name_of(at_0_1_0.url)) as url,
        environment(DATABASE_URL=url),
    ):
        command.upgrade(ALEMBIC, "head")
        yield Clinics(url, at_0_1_0.before)


@pytest.fixture
def sql(at_0_1_0: Clinics, database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A copy of it for one test, upgraded; the process is set to it."""
    with (
        new_database(database_url, template=name_of(at_0_1_0.url)) as url,
        environment(DATABASE_URL=url),
        connected(url) as connection,
    ):
        command.upgrade(ALEMBIC, "head")
        yield connection


def free_now(clinic: str, calendar: Calendar) -> Free:
    """What the product offers of a calendar, in the same windows."""
    found: Free = {}
    with system_transaction(Door.OPERATOR) as session:
        row = calendars.get_or_none(session, ORGS[clinic], calendar.id)
        assert row is not None
        bookable = bookables.find(session, row)
        assert bookable is not None
        for now, days in windows(calendar.zone):
            slots = availability.find_free(
                session, bookable, first=now.astimezone(calendar.zone).date(), days=days, now=now
            )
            found[now, days] = {
                day: [(slot.starts_at, slot.ends_at) for slot in of_day] for day, of_day in slots.items()
            }
    return found


@pytest.mark.parametrize(("clinic", "calendar"), EVERY, ids=lambda each: getattr(each, "id", each))
def test_the_same_slots_are_free_as_before(clinic: str, calendar: Calendar, upgraded: Clinics) -> None:
    """Where hours overlapped, a time was in the list twice; and the lists of periods came one after the other."""
    before = {
        window: {day: sorted(set(slots)) for day, slots in free.items()}
        for window, free in upgraded.before[clinic, calendar.id].items()
    }
    assert free_now(clinic, calendar) == before
