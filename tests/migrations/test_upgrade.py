"""An installation of 0.1.0, with what its sandbox has written into it, becomes one of today."""

from __future__ import annotations

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
from tests.migrations.test_backup import second_role
from tests.migrations.test_system_role import ALEMBIC, database_of_the_first
from tests.places import ROOT
from tests.surroundings import environment
from tests.webapp.staff.browsers import Person

INSTALLATION = ROOT / "tests/migrations/installation_of_0_1_0.sql"
LAST_OF_0_1_0 = "0010_turns_of_a_sender"
LINKS = ("e8caq1w8h9qw", "10jc42f0h1bq", "p04tm7akgr0v", "jhvhr0gzqcdh")
CLINIC = "a0000000-0000-4000-8000-000000000001"

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
    assert lost(before, every_row(admin_url, installation)) == []


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
