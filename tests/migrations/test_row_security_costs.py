"""The wall costs little: the queries under it keep their indexes in a full database."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from models.base.session import transaction
from models.booking import availability, bookables, holds
from models.calls import calls
from models.clinics import calendars
from tests.concurrency.databases import new_database
from tests.migrations.walls import scratch as scratch  # the fixture  # noqa: PLC0414
from tests.surroundings import environment

CLINICS, CALENDARS, PER_CALENDAR = 20, 5, 400


@pytest.fixture(scope="module")
def full(scratch: str, admin_url: str) -> Iterator[tuple[str, list[uuid.UUID]]]:
    """A copy with 40 000 taken times of twenty clinics, half of them held; its URL and the clinics."""
    name = scratch.rsplit("/", 1)[1]
    with new_database(scratch.rsplit("/", 1)[0] + "/postgres", template=name) as url:
        superuser = admin_url.rsplit("/", 1)[0] + "/" + url.rsplit("/", 1)[1]
        with psycopg.connect(superuser, autocommit=True) as admin:
            admin.execute("SET session_replication_role = replica")  # triggers one by one would take a minute
            # The plans under test never use it, and it would take most of the time.
            admin.execute("ALTER TABLE occupancies DROP CONSTRAINT ex_occupancies_no_overlap")
            orgs = [uuid.uuid4() for _ in range(CLINICS)]
            admin.execute(
                "INSERT INTO organizations (id, name, region)"
                " SELECT org, 'Full', 'GB' FROM unnest(%s::uuid[]) org",
                [orgs],
            )
            admin.execute(
                "INSERT INTO resources (org_id, id, kind, name, time_zone)"
                " SELECT org, 'cal-' || n, 'person', 'C', 'UTC'"
                " FROM unnest(%s::uuid[]) org, generate_series(1, %s) n",
                [orgs, CALENDARS],
            )
            admin.execute(
                "INSERT INTO services (org_id, id, name)"
                " SELECT org, 'appointment', 'Appointment' FROM unnest(%s::uuid[]) org",
                [orgs],
            )
            admin.execute(
                "INSERT INTO service_resources (org_id, service_id, resource_id)"
                " SELECT org_id, 'appointment', id FROM resources"
            )
            admin.execute(
                "INSERT INTO resource_hours (org_id, resource_id, weekday, from_minute, until_minute)"
                " SELECT org_id, id, day, 9 * 60, 17 * 60 FROM resources, generate_series(0, 6) day"
            )
            admin.execute(
                "INSERT INTO calendars (org_id, id, name, time_zone, resource_id, service_id)"
                " SELECT org_id, id, 'C', 'UTC', id, 'appointment' FROM resources"
            )
            admin.execute(
                "INSERT INTO appointment_holds (org_id, calendar_id, resource_id, starts_at, ends_at,"
                " expires_at, call_sid, contact_id, patient_name, patient_phone, status)"
                " SELECT org_id, id, id, t, t + interval '30 min', now() + interval '10 min', 'call-' || n,"
                " gen_random_uuid(), 'John', '+' || n, CASE n %% 2 WHEN 0 THEN 'held' ELSE 'confirmed' END"
                " FROM calendars, generate_series(1, %s) n, LATERAL (SELECT date_trunc('day', now())"
                " + interval '1 day' + n * interval '30 min' AS t) slot",
                [PER_CALENDAR],
            )
            admin.execute(
                "INSERT INTO occupancies (org_id, resource_id, starts_at, ends_at, hold_id, appointment_id)"
                " SELECT org_id, resource_id, starts_at, ends_at, CASE status WHEN 'held' THEN id END,"
                " CASE status WHEN 'held' THEN NULL ELSE id END FROM appointment_holds"
            )
            admin.execute(
                "INSERT INTO vapi_credentials (org_id, kind, secret_digest)"
                " SELECT org, 'bearer', md5(org::text || n)"
                " FROM unnest(%s::uuid[]) org, generate_series(1, 250) n",
                [orgs],
            )
            admin.execute(
                "INSERT INTO tool_calls (org_id, call_id, tool_call_id, tool, arguments_digest, reply)"
                " SELECT org, 'call-' || n, 't', 'tool', 'd', '{}'"
                " FROM unnest(%s::uuid[]) org, generate_series(1, 500) n",
                [orgs],
            )
            admin.execute("VACUUM ANALYZE")
        yield url, orgs


class Work:
    """What the statements of a piece of code make the database do, each explained once more after it."""

    def __init__(self) -> None:
        self.sequential: set[str] = set()
        self.indexes: set[str] = set()
        self.rows = 0
        self.pages = 0

    def add(self, node: dict[str, Any], *, top: bool = True) -> None:
        if top:
            self.pages += node["Shared Hit Blocks"] + node["Shared Read Blocks"]
        if node["Node Type"] == "Seq Scan":
            self.sequential.add(node["Relation Name"])
        if "Index Name" in node:
            self.indexes.add(node["Index Name"])
        self.rows += round(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        )
        for child in node.get("Plans", ()):
            self.add(child, top=False)


@contextmanager
def explained(within: Session) -> Iterator[Work]:
    work, said = Work(), []

    def listen(*event_of: Any) -> None:
        said.append(event_of[2:4])

    connection = within.connection()
    event.listen(connection, "before_cursor_execute", listen)
    yield work
    event.remove(connection, "before_cursor_execute", listen)
    assert said
    for statement, parameters in said:
        [[plan]] = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
        ).fetchall()
        work.add(plan[0]["Plan"])


def test_the_wall_leaves_availability_its_indexes(full: tuple[str, list[uuid.UUID]]) -> None:
    url, orgs = full
    now = datetime.now(UTC)
    with environment(DATABASE_URL=url), transaction(orgs[7]) as within:
        calendar = calendars.get_or_none(within, orgs[7], "cal-3")
        assert calendar is not None
        with explained(within) as asked:
            bookable = bookables.find(within, calendar)
        assert bookable is not None
        with explained(within) as day:
            found = availability.find_free(
                within, bookable, first=(now + timedelta(days=3)).date(), days=1, now=now
            )
        assert found == {}
        with explained(within) as three_weeks:
            assert (
                len(availability.find_nearest(within, bookable, wanted=now + timedelta(days=6), now=now)) == 3
            )
    for work in (day, three_weeks):
        assert "pk_occupancies" in work.indexes
        assert work.sequential <= {"organizations"}
    assert asked.pages < 100, vars(asked)
    # 34 half hours of 8 hours and the 24 before; a third of the clinic's own month; never the 40 000.
    assert day.rows < 500
    assert day.pages < 500
    assert three_weeks.rows < 8000


def test_the_wall_leaves_the_look_ups_their_indexes(full: tuple[str, list[uuid.UUID]]) -> None:
    url, orgs = full
    key = calls.ToolCallKey("call-7", "t", "tool", "d")
    with environment(DATABASE_URL=url), transaction(orgs[3]) as within:
        hold = within.scalar(text("SELECT id FROM appointment_holds LIMIT 1"))
        with explained(within) as by_id:
            assert holds.get_or_none(within, orgs[3], hold) is not None
        with explained(within) as by_call:
            assert len(holds.find_held_of_call(within, orgs[3], "call-8")) == CALENDARS
        with explained(within) as by_phone:
            assert holds.count_of_phone(within, orgs[3], "+8") == CALENDARS
        with explained(within) as begun:
            assert calls.begin(within, orgs[3], key).reply == {}
        with explained(within) as claimed:
            taken = holds.claim(
                within,
                org_id=orgs[3],
                calendar_id="cal-1",
                starts_at=datetime.now(UTC) + timedelta(days=5),
                call_sid="new",
                patient_name="John",
                patient_phone="+1",
                hold_minutes=10,
            )
            assert taken.code == "slot_taken"
    for work in (by_id, by_call, by_phone):
        assert work.sequential == set()
        assert work.rows <= 20
    for work in (by_id, by_call, by_phone, begun, claimed):
        assert work.pages < 100, vars(work)
