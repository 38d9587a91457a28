"""What the desk has done goes down to the schema before it, and up again, with all that can be kept."""

from __future__ import annotations

from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from psycopg.types.json import Jsonb

from tests.concurrency.databases import new_database
from tests.factories import create_clinic, slot
from tests.places import ROOT
from tests.surroundings import environment

BEFORE = "0027_diary"


def book(sql: psycopg.Connection[Any], org: str, hour: int, overrule: str | None = None) -> object:
    [row] = sql.execute(
        "SELECT success, appointment_id FROM book_by_hand(%s, 'cal-1', 'check-up', %s, %s, 'Ann',"
        " '+447700900456', 'staff jo', %s)",
        [org, slot(hour=hour), Jsonb([[["cal-1"]]]), overrule],
    ).fetchall()
    assert row[0]
    return row[1]


def test_appointments_beside_another_and_arrived_patients_go_down_and_up(database_url: str) -> None:
    config = Config(str(ROOT / "alembic.ini"))
    with new_database(database_url) as url, environment(DATABASE_URL=url):
        command.upgrade(config, "head")
        org = create_clinic(calendar={"service_names": ("Check-up",)})
        with psycopg.connect(url, autocommit=True, options="-c app.scope=system") as sql:
            first, beside = book(sql, org, 10), book(sql, org, 10, "An emergency")
            third = book(sql, org, 10, "In pain")
            here, to_come = book(sql, org, 11), book(sql, org, 12)
            sql.execute("UPDATE appointments SET status = 'arrived' WHERE id IN (%s, %s)", [here, third])
            command.downgrade(config, BEFORE)
            assert dict(sql.execute("SELECT id, status FROM appointments").fetchall()) == {
                first: "confirmed",
                beside: "cancelled",
                third: "cancelled",
                here: "completed",
                to_come: "confirmed",
            }
            taken = {row[0] for row in sql.execute("SELECT appointment_id FROM occupancies").fetchall()}
            assert taken == {first, here, to_come}
            # The older schema works: it moves, and knows no booking by hand.
            moved = sql.execute(
                "SELECT success FROM move_appointment(%s, %s, %s)", [to_come, org, slot(hour=13)]
            ).fetchall()
            assert moved == [(True,)]
            functions = sql.execute("SELECT count(*) FROM pg_proc WHERE proname = 'book_by_hand'").fetchall()
            assert functions == [(0,)]
            command.upgrade(config, "head")
            assert book(sql, org, 10, "Another emergency")
            rows = sql.execute(
                "SELECT seat, overruled FROM appointments WHERE status <> 'cancelled'"
                " ORDER BY seat DESC LIMIT 1"
            ).fetchall()
            assert rows == [(1, "Another emergency")]
