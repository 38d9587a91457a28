"""The hourly task erases old data, and beat starts it."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta

import psycopg
import pytest

import celeryconfig
from celeryconfig import Queue, Task
from tasks.housekeeping import keep_house
from tests.factories import create_clinic
from tests.stack import eventually


def test_beat_starts_it_once_an_hour_on_the_housekeeping_queue() -> None:
    entry = celeryconfig.beat_schedule[Task.KEEP_HOUSE.value]
    assert entry["schedule"] == timedelta(hours=1)
    assert celeryconfig.task_routes[Task.KEEP_HOUSE] == {"queue": Queue.HOUSEKEEPING.value}


def test_it_erases_and_says_how_much_and_not_what(
    sql: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    org = create_clinic(keep_words_days=1, keep_patients_days=1)
    number = f"+4477{uuid.uuid4().int % 10**8:08d}"
    sql.execute(
        "INSERT INTO contacts (org_id, phone, name, created_at)"
        " VALUES (%s, %s, 'Jo', now() - INTERVAL '2 days')",
        [org, number],
    )
    with caplog.at_level(logging.INFO, "tasks.housekeeping"):
        while sql.execute("SELECT 1 FROM contacts WHERE phone = %s", [number]).fetchone():
            keep_house.run()
    assert any("patients" in record.message for record in caplog.records)
    assert number not in caplog.text
    ((actor,),) = sql.execute(
        "SELECT DISTINCT actor FROM audit_log WHERE org_id = %s AND table_name = 'contacts'"
        " AND action = 'update'",
        [org],
    ).fetchall()
    assert actor == Task.KEEP_HOUSE.value


def test_it_says_nothing_where_nothing_is_left_to_erase(caplog: pytest.LogCaptureFixture) -> None:
    """Other tests' rows come first, of which the task takes a bounded number at once."""

    def said() -> list[str]:
        caplog.clear()
        keep_house.run()
        return [record.getMessage() for record in caplog.records if record.name == "tasks.housekeeping"]

    with caplog.at_level(logging.INFO, "tasks.housekeeping"):
        eventually(lambda: said() == [])
