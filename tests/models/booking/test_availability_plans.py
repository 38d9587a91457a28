"""Listing free times reads the rules and what is taken by indexes, under row security and with a past."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.orm import Session

from models.base import clock
from models.base.session import transaction
from models.booking import availability, bookables
from models.clinics.calendars import Calendar
from tests.concurrency.databases import new_database, of_superuser
from tests.places import ROOT
from tests.surroundings import environment

PEOPLE, ROOMS, VISITS, OTHERS = 5, 3, 100_000, 200

#: A clinic with many visits, half of which were held once; and many clinics with as many rules.
ROWS = """
CREATE TEMP TABLE org ON COMMIT DROP AS
SELECT gen_random_uuid() AS id FROM generate_series(1, {others}) UNION ALL SELECT '{org}';
INSERT INTO organizations (id, name, region) SELECT id, 'Full', 'GB' FROM org;
INSERT INTO services (org_id, id, name, minutes_before) SELECT id, 'visit', 'Visit', 5 FROM org;
INSERT INTO resources (org_id, id, kind, name, time_zone)
SELECT org.id, kind || '-' || n, kind, kind || n, 'UTC'
  FROM org, (VALUES ('person', {people}), ('room', {rooms})) k(kind, many), generate_series(1, many) n;
INSERT INTO resource_hours (org_id, resource_id, weekday, from_minute, until_minute)
SELECT org_id, id, day, 540, 1020 FROM resources, generate_series(0, 6) day WHERE kind = 'person';
INSERT INTO hours_exceptions (org_id, resource_id, day, is_open)
SELECT org_id, id, current_date - 7 * n, false FROM resources, generate_series(1, 50) n WHERE kind = 'person';
INSERT INTO calendar_feeds (org_id, resource_id, label, address_sealed)
SELECT org_id, id, 'Google', 'sealed' FROM resources WHERE kind = 'person';
INSERT INTO service_resources (org_id, service_id, resource_id) SELECT org_id, 'visit', id FROM resources;
INSERT INTO calendars (org_id, id, name, service_id, time_zone)
SELECT id, 'cal-1', 'C', 'visit', 'UTC' FROM org;
CREATE TEMP TABLE visit ON COMMIT DROP AS
SELECT gen_random_uuid() AS id, 'person-' || 1 + n % {people} AS person, 'room-' || 1 + n % {rooms} AS room,
       date_trunc('hour', now()) + interval '21 days' - n / {rooms} * interval '2 hours' AS at
  FROM generate_series(1, {visits}) n;
INSERT INTO appointment_holds (id, org_id, calendar_id, service_id, resource_id, starts_at, ends_at,
       contact_id, patient_name, patient_phone, status, expires_at)
SELECT id, '{org}', 'cal-1', 'visit', person, at, at + interval '30 min', id, 'Jo', '+447700900001',
       CASE WHEN at > now() + interval '20 days' THEN 'held' ELSE 'confirmed' END, now() + interval '9 min'
  FROM visit;
INSERT INTO occupancies (org_id, resource_id, starts_at, ends_at, hold_id, appointment_id)
SELECT '{org}', taken, at, at + interval '30 min', CASE WHEN is_held THEN id END,
       CASE WHEN NOT is_held THEN id END
  FROM visit, unnest(ARRAY[person, room]) taken, LATERAL (SELECT at > now() + interval '20 days' AS is_held) h
ON CONFLICT DO NOTHING
"""


@pytest.fixture(scope="module", params=["with statistics", "without statistics"])
def full(database_url: str, admin_url: str, request: pytest.FixtureRequest) -> Iterator[uuid.UUID]:
    """A database in which one clinic has a hundred thousand visits, and the id of that clinic."""
    with new_database(database_url) as url, environment(DATABASE_URL=url):
        command.upgrade(Config(str(ROOT / "alembic.ini")), "head")
        org = uuid.uuid4()
        with psycopg.connect(of_superuser(admin_url, url), autocommit=True) as admin:
            tables = admin.execute("SELECT relname::text FROM pg_stat_user_tables").fetchall()
            for (table,) in tables:  # so that statistics do not appear during the test
                admin.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)".encode())
            admin.execute("SET session_replication_role = replica")  # triggers one by one would take minutes
            # No query under test uses it, and it would take most of the time.
            admin.execute("ALTER TABLE occupancies DROP CONSTRAINT ex_occupancies_no_overlap")
            filled = ROWS.format(org=org, people=PEOPLE, rooms=ROOMS, visits=VISITS, others=OTHERS)
            with admin.transaction():
                for statement in filled.split(";\n"):
                    admin.execute(statement.encode())
            if request.param == "with statistics":
                admin.execute("VACUUM ANALYZE")
        yield org


def test_free_times_are_listed_by_indexes(full: uuid.UUID) -> None:
    with transaction(full) as session:
        calendar = session.get_one(Calendar, (full, "cal-1"))
        now = clock.now(session)
        asked = _asked(session)
        bookable = bookables.find(session, calendar)
        assert bookable
        free = availability.find_free(
            session, bookable, first=availability.today(bookable, now), days=21, now=now
        )
        assert free
        assert len(asked) == 2  # the rules, and what is taken
        read = [node for each in list(asked) for node in _plan(session, *each)]
    whole = {node["Relation Name"] for node in read if node["Node Type"] == "Seq Scan"}
    assert not whole
    assert {"occupancies", "resource_hours", "hours_exceptions"} <= {
        node.get("Relation Name") for node in read
    }


def _asked(session: Session) -> list[tuple[str, Any]]:
    """The statements that are asked from now on, with their values."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        asked.append((statement, values))

    event.listen(session.connection(), "before_cursor_execute", note)
    return asked


def _plan(session: Session, statement: str, values: Any) -> Iterator[dict[str, Any]]:
    """The nodes of the plan of a statement, as they are with these values."""
    driver: Any = session.connection().connection.driver_connection
    ((plan,),) = driver.execute(f"EXPLAIN (FORMAT JSON) {statement}", values).fetchall()
    nodes = [plan[0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        yield node
