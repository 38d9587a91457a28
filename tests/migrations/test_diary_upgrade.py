"""The calendars of 0.1.0 become a diary, and nothing changes for callers: what is offered, what is taken.

The clinics are in clinics_of_0_1_0.py; what was offered of them is reckoned by availability_of_0_1_0.py.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from alembic import command
from flask.testing import FlaskClient

from models.base.session import Door, system_transaction
from models.booking import availability, bookables
from models.clinics import calendars
from tests.concurrency.databases import name_of, new_database
from tests.factories import bare
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
            found.append((max(NOW, before - timedelta(days=10)), 20))
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


def each_once(found: Free) -> Free:
    """In order, too: where hours overlapped, a time came twice, and those of the later period came last."""
    return {
        window: {day: sorted(set(slots)) for day, slots in free.items()} for window, free in found.items()
    }


@pytest.mark.parametrize(("clinic", "calendar"), EVERY, ids=lambda each: getattr(each, "id", each))
def test_the_same_slots_are_free_as_before(clinic: str, calendar: Calendar, upgraded: Clinics) -> None:
    assert free_now(clinic, calendar) == each_once(upgraded.before[clinic, calendar.id])


def test_hours_that_touch_within_a_day_are_one_open_time(database_url: str, at_0_1_0: Clinics) -> None:
    """The one thing that changes: what lies across the joint is offered besides."""
    with new_database(database_url, template=name_of(at_0_1_0.url)) as url, environment(DATABASE_URL=url):
        hours = {"mon": [["09:00", "12:00"], ["12:00", "15:00"]]}
        calendar = Calendar("joint", hours, slot_minutes=60, time_zone="UTC")
        with connected(url) as sql:
            clinics_of_0_1_0.insert_calendar(sql, ORGS["empty"], calendar)
        command.upgrade(ALEMBIC, "head")
        for window, free in free_now("empty", calendar).items():
            before = availability_of_0_1_0.find_free(
                calendar, [], first=window[0].date(), days=window[1], now=window[0]
            )
            assert free.keys() == before.keys()
            for day, slots in free.items():
                besides = set(slots) - set(before[day])
                assert {f"{starts_at:%H:%M}" for starts_at, _ in besides} <= {"11:30"}
                assert set(slots) >= set(before[day])


# --- what callers are told ------------------------------------------------------------------------


@pytest.mark.parametrize(("clinic", "calendar"), EVERY, ids=lambda each: getattr(each, "id", each))
def test_callers_are_told_the_same_services_in_the_same_order(
    clinic: str, calendar: Calendar, upgraded: Clinics, client: FlaskClient
) -> None:
    answer = bare(
        client, "calendar/check", tenantId=str(ORGS[clinic]), calendarId=calendar.id, date="tomorrow"
    )
    named = [name for name in dict.fromkeys(calendar.services) if name.strip()]
    assert (answer["calendarId"], answer["services"]) == (calendar.id, named)


def test_equal_services_with_equal_rules_are_one(upgraded: Clinics) -> None:
    with connected(upgraded.url) as sql:
        found = sql.execute(
            'SELECT s.name, s.id, s.minutes, array_agg(r.resource_id ORDER BY r.resource_id COLLATE "C")'
            " FROM services s JOIN service_resources r ON r.org_id = s.org_id AND r.service_id = s.id"
            " WHERE s.org_id = %s AND s.name IN ('cleaning', 'check-up') GROUP BY s.org_id, s.id",
            [ORGS["names"]],
        ).fetchall()
    assert sorted(found) == [
        ("check-up", "check-up", 30, ["a list", "twice"]),
        ("check-up", "check-up-2", 60, ["other rules"]),
        # "the same" names it after cleaning, and "a list" before.
        ("check-up", "check-up-3", 30, ["the same"]),
        ("cleaning", "cleaning", 30, ["a list", "the same"]),
        ("cleaning", "cleaning-2", 60, ["other rules"]),
    ]


# --- what is taken --------------------------------------------------------------------------------

_HELD = """
SELECT h.org_id, h.calendar_id, h.starts_at, h.id, h.contact_id,
       hold_is_live(h.status, h.expires_at, app_clock())
  FROM appointment_holds h WHERE h.status = 'held'
"""


def test_what_was_held_can_be_confirmed_and_what_had_expired_gives_way(
    sql: psycopg.Connection[Any],
) -> None:
    for org, calendar, starts_at, hold, contact, is_live in sql.execute(_HELD).fetchall():
        if is_live:
            assert claim(sql, org, calendar, starts_at) == "slot_taken"
            appointment = clinics_of_0_1_0.confirm(sql, org, hold, contact)
            row = sql.execute("SELECT * FROM appointments WHERE id = %s", [appointment])
            assert row.fetchone() is not None
        else:
            assert claim(sql, org, calendar, starts_at) is None
            status = sql.execute("SELECT status FROM appointment_holds WHERE id = %s", [hold]).fetchone()
            assert status == ("expired",)


def test_what_was_booked_stays_taken_until_it_is_cancelled(sql: psycopg.Connection[Any]) -> None:
    booked = sql.execute(
        "SELECT org_id, calendar_id, scheduled_at, id, hold_id, booked_by, booker FROM appointments"
        " WHERE status = 'confirmed'"
    ).fetchall()
    assert {(hold is None, by, who) for *_, hold, by, who in booked} == {
        (False, "phone", None),
        (True, "desk", "before the diary"),
    }
    for org, calendar, starts_at, appointment, *_ in booked:
        assert claim(sql, org, calendar, starts_at) == "slot_taken"
        change = sql.execute("SELECT success FROM cancel_appointment(%s, %s)", [appointment, org])
        assert change.fetchone() == (True,)
        assert claim(sql, org, calendar, starts_at) is None


def claim(sql: psycopg.Connection[Any], org: uuid.UUID, calendar: str, starts_at: datetime) -> str | None:
    """Hold a time as the quick reference does; returns the code of the refusal, if it is one."""
    row = sql.execute(
        "SELECT code FROM claim_slot_atomic(%s, %s, %s, 'call', 'Jo', '+447700900124', 10)",
        [org, calendar, starts_at],
    ).fetchone()
    assert row is not None
    code: str | None = row[0]
    return code


#: Pairs of calendars of the clinic "shared" that took the same resource, and those that did not.
TOGETHER = [
    ("anna", "ben"),
    ("ben", "anna"),
    ("anna", "abroad"),
    ("abroad", "anna"),
    ("c", "d"),
    ("d", "c"),
    ("g-2", "h"),
    ("h", "g-2"),
]
APART = [("e", "f"), ("g", "g-2"), ("anna", "c"), ("anna", "own"), ("c", "own")]


@pytest.mark.parametrize(("one", "other"), [*TOGETHER, *APART])
def test_calendars_that_shared_a_resource_exclude_each_other_and_no_others(
    sql: psycopg.Connection[Any], client: FlaskClient, one: str, other: str
) -> None:
    org = ORGS["shared"]
    starts_at = f"{NOW.date() + timedelta(days=30)}T15:00:00Z"  # when all of them are open
    answers = [
        bare(
            client,
            "booking/reserve-atomic",
            tenantId=str(org),
            calendarId=each,
            slotId=starts_at,
            patientName="Jo",
            patientPhone=f"+44770090013{number}",
        )
        for number, each in enumerate((one, other))
    ]
    assert answers[0]["success"], answers
    assert answers[1].get("code") == ("slot_taken" if (one, other) in TOGETHER else None), answers
    assert claim(sql, org, other, datetime.fromisoformat(starts_at)) == "slot_taken"


# --- processes of the release before --------------------------------------------------------------


def test_the_statements_of_the_release_before_work_on_this_schema(sql: psycopg.Connection[Any]) -> None:
    org, calendar = ORGS["names"], CLINICS["names"][0]
    row = sql.execute(
        "SELECT calendars.org_id, calendars.id, calendars.name, calendars.resource_id, calendars.time_zone,"
        " calendars.hours, calendars.closures, calendars.services, calendars.slot_minutes,"
        " calendars.step_minutes, calendars.hold_minutes, calendars.min_notice_minutes,"
        " calendars.horizon_days, calendars.created_at FROM calendars"
        " WHERE calendars.org_id = %s AND calendars.id = %s",
        [org, calendar.id],
    ).fetchone()
    assert row is not None
    assert list(row[1:13]) == [
        *(calendar.id, calendar.name, calendar.id, calendar.time_zone, calendar.hours, calendar.closures),
        *(calendar.services, 30, 30, 60, 0, 90),
    ]
    day = NOW + timedelta(days=30)
    starts_at = day.replace(hour=11, minute=0, second=0, microsecond=0)
    asked: dict[str, object] = {
        "credential": None,
        "caller": "c" * 32,
        "own": False,
        "most": 1,
        "most_of_caller": 1,
        "percent": 50,
        "from": starts_at.replace(hour=0).isoformat(),
        "until": (starts_at.replace(hour=0) + timedelta(days=1)).isoformat(),
        "offered": 16,
    }

    def hold(at: datetime, call: str, asked: Mapping[str, object]) -> Any:
        return sql.execute(
            "SELECT success, hold_id, error, code, expires_at, contact_id"
            " FROM claim_slot_atomic(%s, %s, %s, %s, %s, %s, %s, CAST(%s AS jsonb))",
            [org, calendar.id, at, call, "Jo", "+447700900125", 10, json.dumps(asked)],
        ).fetchone()

    held = hold(starts_at, "call-1", asked)
    assert (held[0], held[2], held[3]) == (True, None, None)
    # The limit on holds that nobody has proved yet counts as it did.
    refused = hold(starts_at + timedelta(hours=1), "call-2", asked)
    assert (refused[0], refused[1], refused[2], refused[5]) == (False, None, "Too many reservations", None)
    taken = clinics_of_0_1_0.taken(sql, org, calendar.id)
    assert (starts_at, starts_at + timedelta(minutes=30)) in taken
    sql.execute("UPDATE appointment_holds SET code_digest = 'right' WHERE id = %s", [held[1]])
    confirmed = sql.execute(
        "SELECT success, appointment_id, error, code, tries_left, message_id"
        " FROM confirm_held_slot(%s, %s, %s, %s, %s, %s)",
        [held[1], org, held[5], "right", None, 3],
    ).fetchone()
    assert confirmed is not None
    assert confirmed[0], confirmed
    moved = sql.execute(
        "SELECT success, error, code, message_id FROM move_appointment(%s, %s, %s, %s, %s)",
        [confirmed[1], org, starts_at + timedelta(hours=2), confirmed[5], 3],
    ).fetchone()
    assert moved is not None
    assert moved[:3] == (True, None, None)
    cancelled = sql.execute(
        "SELECT success, error, code, message_id FROM cancel_appointment(%s, %s, %s)",
        [confirmed[1], org, moved[3]],
    ).fetchone()
    assert cancelled is not None
    assert cancelled[:3] == (True, None, None)
    again = hold(starts_at, "call-3", {"credential": None, "caller": None, "own": False})
    released = sql.execute("SELECT success FROM release_hold(%s, %s)", [again[1], org]).fetchone()
    assert released == (True,)
    assert (
        clinics_of_0_1_0.taken(sql, org, calendar.id).count((starts_at, starts_at + timedelta(minutes=30)))
        == 0
    )


# --- down and up again ----------------------------------------------------------------------------


def test_down_and_up_again_loses_nothing_that_was_booked(
    sql: psycopg.Connection[Any], at_0_1_0: Clinics
) -> None:
    """What was booked in the diary takes what its calendar took before, too."""
    starts_at = (NOW + timedelta(days=31)).replace(hour=15, minute=0, second=0, microsecond=0)
    pairs = [("anna", "ben"), ("c", "d"), ("e", "f")]
    for one, _ in pairs:
        assert claim(sql, ORGS["shared"], one, starts_at) is None
        sql.execute("UPDATE appointment_holds SET code_digest = 'right' WHERE call_sid = 'call'")
        hold, contact = sql.execute(
            "SELECT id, contact_id FROM appointment_holds WHERE call_sid = 'call' AND status = 'held'"
        ).fetchone() or (None, None)
        clinics_of_0_1_0.confirm(sql, ORGS["shared"], hold, contact)
    sql.execute(
        "INSERT INTO blocks (org_id, resource_id, starts_at, ends_at, reason)"
        " VALUES (%s, 'own', %s, %s, 'away')",
        [ORGS["shared"], starts_at, starts_at + timedelta(days=3)],
    )
    orphans = (
        "SELECT count(*) FROM occupancies o WHERE NOT EXISTS (SELECT FROM appointments a WHERE a.id ="
        " o.appointment_id AND a.resource_id = o.resource_id AND a.scheduled_at = o.starts_at)"
        " AND NOT EXISTS (SELECT FROM appointment_holds h WHERE h.id = o.hold_id"
        " AND h.resource_id = o.resource_id AND h.starts_at = o.starts_at)"
    )
    command.downgrade(ALEMBIC, BEFORE)
    assert sql.execute(orphans).fetchone() == (0,)
    for clinic, calendar in EVERY:
        resource = sql.execute(
            "SELECT resource_id FROM calendars WHERE org_id = %s AND id = %s", [ORGS[clinic], calendar.id]
        ).fetchone()
        assert resource == (calendar.row["resource_id"],)
    for one, other in pairs:
        assert claim(sql, ORGS["shared"], one, starts_at) == "slot_taken"
        assert claim(sql, ORGS["shared"], other, starts_at) == ("slot_taken" if one != "e" else None)
    command.upgrade(ALEMBIC, "head")
    for one, other in pairs:
        assert claim(sql, ORGS["shared"], one, starts_at) == "slot_taken"
        assert claim(sql, ORGS["shared"], other, starts_at) == "slot_taken"
    for calendar in CLINICS["hours"]:
        assert free_now("hours", calendar) == each_once(at_0_1_0.before["hours", calendar.id])
