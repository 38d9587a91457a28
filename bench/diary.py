"""Measures what it costs to list free times: five people and three rooms, three weeks ahead, with a past."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy import Connection, event

import settings
from bench.ground import Ground
from models.base import clock
from models.base.session import engines, transaction
from models.booking import availability, bookables
from models.clinics.calendars import Calendar

PEOPLE, ROOMS, DAYS = 5, 3, 21
#: How many appointments lie behind the clinic of each line.
PASTS = (100_000, 1_000_000)
LONG = 10_000_000

#: A service of thirty minutes with buffers, that people do in one of the rooms, every quarter of an hour. The
#: first person works in the first room; the last one is away next week; the clinic closes early once.
SET_UP = """
INSERT INTO organizations (id, name, region, sandbox) VALUES (%(org)s, %(name)s, 'GB', true);
INSERT INTO services (org_id, id, name, minutes, minutes_before, minutes_after, step_minutes)
VALUES (%(org)s, 'visit', 'Visit', 30, 5, 10, 15);
INSERT INTO resources (org_id, id, kind, name, time_zone)
SELECT %(org)s, 'person-' || n, 'person', 'Person ' || n, 'Europe/London'
  FROM generate_series(1, %(people)s) n
UNION ALL
SELECT %(org)s, 'room-' || n, 'room', 'Room ' || n, 'Europe/London' FROM generate_series(1, %(rooms)s) n;
INSERT INTO resource_hours (org_id, resource_id, weekday, from_minute, until_minute, room_id)
SELECT org_id, id, day, part[1], part[2], CASE id WHEN 'person-1' THEN 'room-1' END
  FROM resources, generate_series(0, 5) day, (VALUES (ARRAY[480, 750]), (ARRAY[810, 1080])) p(part)
 WHERE org_id = %(org)s AND kind = 'person';
INSERT INTO hours_exceptions (org_id, resource_id, day, is_open, from_minute, until_minute)
SELECT %(org)s, 'person-' || %(people)s, current_date + n, false, NULL, NULL FROM generate_series(7, 11) n
UNION ALL
SELECT %(org)s, NULL, current_date + 5, false, 900, 1440;
INSERT INTO service_resources (org_id, service_id, resource_id)
SELECT org_id, 'visit', id FROM resources WHERE org_id = %(org)s;
INSERT INTO calendars (org_id, id, name, service_id, time_zone)
VALUES (%(org)s, 'cal-1', 'The clinic', 'visit', 'Europe/London')
"""

#: `many` appointments of `of` people or rooms: of each one every two hours, from three weeks ahead back.
FILL = """
INSERT INTO occupancies (org_id, resource_id, starts_at, ends_at, appointment_id)
SELECT %(org)s, %(kind)s || (1 + n %% %(of)s), at, at + interval '45 minutes', gen_random_uuid()
  FROM generate_series(0, %(many)s - 1) n,
       LATERAL (SELECT date_trunc('hour', now()) + interval '21 days'
                     - n / %(of)s * interval '2 hours' AS at) slot
"""


@dataclass
class Past:
    """A clinic with a past of a certain length, and the seconds of each reading of its free times."""

    name: str
    org_id: uuid.UUID
    floor: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)


class Diary:
    """Clinics in one database, so that all of its tables are as large as those of the largest."""

    def __init__(self, ground: Ground, pasts: tuple[int, ...], say: Callable[[str], None]) -> None:
        ours = settings.Settings.model_fields
        self._settings = settings.Settings.model_validate(
            {name.lower(): value for name, value in ground.environment.items() if name.lower() in ours}
        )
        self.pasts = []
        with ground.connect() as sql:  # neither is used by what is measured; the rows would take an hour
            sql.execute("ALTER TABLE occupancies DROP CONSTRAINT ex_occupancies_no_overlap")
            sql.execute("ALTER TABLE occupancies DROP CONSTRAINT fk_occupancies_org_id_resource_id")
        for many in pasts:
            past = Past(f"{many:,} behind it", uuid.uuid4())
            say(f"a clinic with {past.name}")
            self.pasts.append(past)
            with ground.connect() as sql, sql.transaction():
                values = {"org": past.org_id, "name": past.name, "people": PEOPLE, "rooms": ROOMS}
                for statement in SET_UP.split(";\n"):
                    sql.execute(statement.encode(), values)
                _fill(sql, past.org_id, many)
        with ground.connect() as sql:
            sql.execute("VACUUM ANALYZE")

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with settings.using(self._settings):
            try:
                yield
            finally:
                for each in engines(self._settings):
                    each.dispose()

    def measure(self, rounds: int, times: int) -> str:
        """A table of the milliseconds, as medians, and their ratios to the floor and to the first clinic."""
        with self._at_work():
            for past in self.pasts:
                self.read(past)
            for number in range(rounds):
                for past in self.pasts if number % 2 == 0 else reversed(self.pasts):
                    for _ in range(times):
                        self.read(past)
        width = max(len(past.name) for past in self.pasts)
        lines = [
            f"{'':{width}}  its statements, ms  free times, ms  the least  ÷ its statements  ÷ the first"
        ]
        first = statistics.median(self.pasts[0].whole)
        for past in self.pasts:
            floor, whole = statistics.median(past.floor) * 1000, statistics.median(past.whole) * 1000
            lines.append(
                f"{past.name:{width}}  {floor:>18.1f}  {whole:>14.1f}  {min(past.whole) * 1000:>9.1f}"
                f"  {whole / floor:>16.2f}"
                f"  {whole / first / 1000:>11.2f}"
            )
        return "\n".join(lines)

    def read(self, past: Past) -> int:
        """Read the free times once, and then only run the same statements; returns how many are free."""
        asked: list[tuple[str, Any]] = []
        with transaction(past.org_id) as session:
            calendar = session.get_one(Calendar, (past.org_id, "cal-1"))
            now = clock.now(session)
            connection = session.connection()
            with _noting(connection, asked):
                begun = time.perf_counter()
                if bookable := bookables.find(session, calendar):
                    today = availability.today(bookable, now)
                    free = availability.find_free(session, bookable, first=today, days=DAYS, now=now)
                past.whole.append(time.perf_counter() - begun)
            driver: Any = connection.connection.driver_connection
            begun = time.perf_counter()
            for statement, values in asked:
                driver.execute(statement, values).fetchall()
            past.floor.append(time.perf_counter() - begun)
        return sum(map(len, free.values()))


@contextmanager
def _noting(connection: Connection, asked: list[tuple[str, Any]]) -> Iterator[None]:
    def note(_connection: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        asked.append((statement, values))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", note)


def _fill(sql: psycopg.Connection, org_id: uuid.UUID, many: int) -> None:
    """Book `many` appointments, each with a person and a room, without the triggers."""
    sql.execute("ALTER TABLE occupancies DISABLE TRIGGER USER")
    for kind, of in (("person-", PEOPLE), ("room-", ROOMS)):
        sql.execute(FILL, {"org": org_id, "kind": kind, "of": of, "many": many})
    sql.execute("ALTER TABLE occupancies ENABLE TRIGGER USER")
