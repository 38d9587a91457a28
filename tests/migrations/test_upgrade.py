"""An installation of 0.1.0, with what its sandbox has written into it, becomes one of today."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from alembic import command
from flask import Flask
from flask.testing import FlaskClient

import settings
from tests.concurrency.databases import every_row, of_superuser
from tests.factories import bare, reserve, slot
from tests.migrations import said
from tests.migrations.test_backup import second_role
from tests.migrations.test_system_role import ALEMBIC, database_of_the_first
from tests.places import ROOT
from tests.surroundings import environment
from tests.webapp.staff.browsers import Person

INSTALLATION = ROOT / "tests/migrations/installation_of_0_1_0.sql"
LAST_OF_0_1_0 = "0010_turns_of_a_sender"
LINKS = ("e8caq1w8h9qw", "10jc42f0h1bq", "p04tm7akgr0v", "jhvhr0gzqcdh")
CLINIC = said.LONDON

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(params=["one role", "two roles"])
def installation(database_url: str, admin_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Its database; the process is set to it."""
    with ExitStack() as stack:
        role = stack.enter_context(second_role(admin_url)) if request.param == "two roles" else None
        url = stack.enter_context(database_of_the_first(database_url, admin_url))
        variables = {"DATABASE_URL": url}
        if role:
            variables["SYSTEM_DATABASE_URL"] = f"postgresql://{role[0]}:{role[1]}@{url.split('@')[1]}"
        stack.enter_context(environment(**variables, SECRET_KEY=settings.DEVELOPMENT_KEY))
        command.upgrade(ALEMBIC, LAST_OF_0_1_0)
        with psycopg.connect(of_superuser(admin_url, url)) as admin:
            admin.execute(INSTALLATION.read_text().encode())
        yield url


def lost(before: Rows, after: Rows) -> list[str]:
    """What an upgrade has dropped or changed: a table, a row, a column, a value."""
    found = []
    for table, rows in before.items():
        if table not in after:
            found.append(f"the table {table}")
            continue
        kept = after[table]
        for row in rows:
            columns = kept[0].keys() & row.keys() if kept else set()
            found += [f"{table}.{name}" for name in row.keys() - columns]
            mine = {name: row[name] for name in columns}
            if not any({name: each[name] for name in columns} == mine for each in kept):
                found.append(f"a row of {table}: {row}")
    return sorted(set(found))


def test_an_installation_of_0_1_0_upgrades_without_loss(installation: str, admin_url: str) -> None:
    before = every_row(admin_url, installation)
    del before["alembic_version"]  # which is to change
    many = {table for table, rows in before.items() if len(rows) > 1}
    assert many > {"appointments", "calls", "contacts", "sms_messages", "tool_calls"}
    command.upgrade(ALEMBIC, "head")
    after = every_row(admin_url, installation)
    assert lost(before, after) == []
    assert diary(after) == DIARY
    # What was booked is with the same resource, takes nothing besides, and was booked by telephone.
    booked = after["appointments"]
    assert {(row["booked_by"], row["booker"]) for row in booked} == {("phone", None)}
    for row in (*booked, *after["appointment_holds"]):
        assert (row["other_resources"], row["minutes_before"], row["minutes_after"]) == ([], 0, 0)
        assert row["service_id"] is None
    assert after["blocks"] == after["hours_exceptions"] == []


#: The diary of the two clinics: who works when, and what can be booked with them.
DIARY = {
    "resources": {
        (said.LONDON, "cal-1", "person", "Main diary", "Europe/London"),
        (said.NEW_YORK, "cal-1", "person", "Main diary", "America/New_York"),
    },
    "resource_hours": {(said.LONDON, "cal-1", weekday, 540, 1020, None) for weekday in range(7)}
    | {(said.NEW_YORK, "cal-1", weekday, 540, 1020, None) for weekday in range(5)},
    "services": {
        (said.LONDON, "check-up", "check-up", 1, 30, 30, 0, 730, None, True, True),
        (said.LONDON, "cleaning", "cleaning", 2, 30, 30, 0, 730, None, True, True),
        (said.LONDON, "whitening", "whitening", 3, 30, 30, 0, 730, None, True, True),
        (said.LONDON, "emergency", "emergency", 4, 30, 30, 0, 730, None, True, True),
        (said.NEW_YORK, "consultation", "consultation", 1, 30, 30, 0, 730, None, True, True),
        (said.NEW_YORK, "skin-check", "skin check", 2, 30, 30, 0, 730, None, True, True),
        (said.NEW_YORK, "botox", "botox", 3, 30, 30, 0, 730, None, True, True),
    },
    "service_resources": {
        *((said.LONDON, each, "cal-1") for each in ("check-up", "cleaning", "whitening", "emergency")),
        *((said.NEW_YORK, each, "cal-1") for each in ("consultation", "skin-check", "botox")),
    },
    "calendars": {
        (said.LONDON, "cal-1", "cal-1", "check-up"),
        (said.NEW_YORK, "cal-1", "cal-1", "consultation"),
    },
}
COLUMNS = {
    "resources": ("org_id", "id", "kind", "name", "time_zone"),
    "resource_hours": ("org_id", "resource_id", "weekday", "from_minute", "until_minute", "room_id"),
    "services": (
        *("org_id", "id", "name", "position", "minutes", "step_minutes", "min_notice_minutes"),
        *("horizon_days", "most_per_day", "by_phone", "by_link"),
    ),
    "service_resources": ("org_id", "service_id", "resource_id"),
    "calendars": ("org_id", "id", "resource_id", "service_id"),
}


def diary(rows: Rows) -> dict[str, set[tuple[Any, ...]]]:
    return {
        table: {tuple(row[name] for name in columns) for row in rows[table]}
        for table, columns in COLUMNS.items()
    }


def test_callers_of_an_installation_of_0_1_0_are_told_the_same_words(
    installation: str, admin_url: str, client: FlaskClient
) -> None:
    command.upgrade(ALEMBIC, "head")
    with psycopg.connect(of_superuser(admin_url, installation)) as admin:
        said.stop_clock(admin)
    before = json.loads((ROOT / "tests/migrations/said_by_0_1_0.json").read_text())
    for then, now in zip(before, said.ask_all(client), strict=True):
        assert now == then


def test_what_was_booked_with_0_1_0_goes_on(installation: str, app: Flask, client: FlaskClient) -> None:
    command.upgrade(ALEMBIC, "head")
    # Its codes, passwords and links are known, and its times are taken.
    person = Person(app.test_client(), CLINIC, "owner@brightsmile.example")
    assert person.sign_in("bright smile demo").status_code == 303
    assert "Amelia Hart" in person.get("leads").text
    for link in LINKS:
        assert client.get(f"/a/{link}").status_code in (200, 410)  # of an appointment that is over by now
    time = slot(days=20)
    assert reserve(client, CLINIC, slotId=time)["success"]
    assert reserve(client, CLINIC, slotId=time)["code"] == "slot_taken"
    again = bare(client, "calendar/check", tenantId=CLINIC, calendarId="cal-1", date=time[:10])
    assert time not in str(again)
