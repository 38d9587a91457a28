"""Callers who all begin at the same moment, each on a real connection; and what must hold afterwards."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row

from models.booking.appointments import Confirmation
from tests.claimed import Claimed
from tests.stack import eventually

R = TypeVar("R")

Connection = psycopg.Connection[tuple[Any, ...]]

#: A start some days ahead, on the grid of every calendar.
SLOT = datetime.combine(datetime.now(UTC).date() + timedelta(days=14), time_of_day(10), UTC)
QUARTER = timedelta(minutes=15)
RIGHT = "digest-of-the-right-code"
WRONG = "digest-of-another-code"

#: Seconds after which a test stops waiting for an event that must come at once.
WAIT = 10.0

#: Starts fifteen minutes apart over four hours, out of order.
OVERLAPPING = [SLOT + (n * 7 % 16) * QUARTER for n in range(100)]

#: A row for each person and room that a live hold or appointment must have taken, by what the service of its
#: calendar needs, and not by what the hold or appointment says of itself.
_LIVE = """
WITH booked AS (
    SELECT id, org_id, calendar_id, starts_at AS begins, ends_at AS ends
      FROM appointment_holds WHERE org_id = %(org)s AND status = 'held'
    UNION ALL
    SELECT id, org_id, calendar_id, scheduled_at, ends_at
      FROM appointments WHERE org_id = %(org)s AND status <> 'cancelled'
), live AS (
    SELECT b.id, r.resource_id, b.begins, b.ends
      FROM booked b
      JOIN calendars c ON c.org_id = b.org_id AND c.id = b.calendar_id
      JOIN service_resources r ON r.org_id = c.org_id AND r.service_id = c.service_id
)
"""


@contextmanager
def connections(database_url: str, count: int, *, autocommit: bool = True) -> Iterator[list[Connection]]:
    """`count` connections, opened before the race, so that no racer is late.

    Each has a lock timeout: in a broken schema the test must fail and not hang.
    """

    def connected() -> Connection | None:
        try:
            return psycopg.connect(
                database_url, autocommit=autocommit, options="-c lock_timeout=15s -c app.scope=system"
            )
        except psycopg.OperationalError as error:
            if "remaining connection slots" in str(error):
                return None  # the server has not ended those of the test before yet
            raise

    with ExitStack() as stack:
        yield [stack.enter_context(eventually(connected)) for _ in range(count)]


def race(
    racers: Sequence[Connection],
    act: Callable[[Connection, int], R],
    *,
    before: Callable[[Connection], object] | None = None,
) -> list[R | psycopg.Error]:
    """Let all racers act at once, each with its connection and number; a database error is a result.

    Each racer calls `before` ahead of the start, for instance to take its snapshot.
    """
    barrier = threading.Barrier(len(racers), timeout=120)

    def run(number: int) -> R | psycopg.Error:
        if before:
            before(racers[number])
        barrier.wait()
        try:
            return act(racers[number], number)
        except psycopg.Error as error:
            return error

    with ThreadPoolExecutor(len(racers)) as pool:
        return list(pool.map(run, range(len(racers))))


def meanwhile(act: Callable[[], R]) -> Future[R]:
    """Run `act`, which uses another session, while the test goes on.

    Only the future's result waits for it: a test that fails leaves its transaction, which ends the wait.
    """
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except BaseException as error:  # noqa: BLE001 (the future's result raises it)
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def wait_until_blocked(watcher: Connection, blocked: Connection, *, by: str) -> None:
    """Wait until Postgres reports that `blocked` waits for a lock of the kind `by` (advisory, …)."""
    deadline = time.monotonic() + WAIT
    while True:
        row = watcher.execute(
            "SELECT wait_event FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
            [blocked.info.backend_pid],
        ).fetchone()
        if row == (by,):
            return
        assert time.monotonic() < deadline, f"it does not wait for a lock of kind {by}, but {row}"
        time.sleep(0.002)


def make_clinic(connection: Connection, **calendars: dict[str, Any]) -> str:
    """A clinic with calendars by id; plain SQL, so that it also works in a broken copy. Returns its id.

    Each calendar has one person and one service, of `minutes`. Those with the same `room` need it both.
    """
    org = str(uuid.uuid4())
    connection.execute("INSERT INTO organizations (id, name, region) VALUES (%s, 'Races', 'GB')", [org])
    for calendar, changes in (calendars or {"cal": {}}).items():
        values = {"org": org, "calendar": calendar, "room": None, "minutes": 30} | changes
        connection.execute(
            "INSERT INTO resources (org_id, id, kind, name, time_zone)"
            " VALUES (%(org)s, %(calendar)s, 'person', %(calendar)s, 'UTC')",
            values,
        )
        connection.execute(
            "INSERT INTO services (org_id, id, name, minutes, step_minutes)"
            " VALUES (%(org)s, %(calendar)s, 'Appointment', %(minutes)s, 15)",
            values,
        )
        connection.execute(
            "INSERT INTO service_resources (org_id, service_id, resource_id)"
            " VALUES (%(org)s, %(calendar)s, %(calendar)s)",
            values,
        )
        if values["room"]:
            connection.execute(
                "INSERT INTO resources (org_id, id, kind, name, time_zone)"
                " VALUES (%(org)s, %(room)s, 'room', %(room)s, 'UTC') ON CONFLICT DO NOTHING",
                values,
            )
            connection.execute(
                "INSERT INTO service_resources (org_id, service_id, resource_id)"
                " VALUES (%(org)s, %(calendar)s, %(room)s)",
                values,
            )
        connection.execute(
            "INSERT INTO calendars (org_id, id, name, time_zone, resource_id, service_id)"
            " VALUES (%(org)s, %(calendar)s, %(calendar)s, 'UTC', %(calendar)s, %(calendar)s)",
            values,
        )
    return org


def claim(
    connection: Connection,
    org: str,
    calendar: str = "cal",
    slot: datetime = SLOT,
    *,
    caller: int = 0,
    call_sid: str | None = None,
    minutes: int = 10,
) -> Claimed:
    with connection.cursor(row_factory=class_row(Claimed)) as cursor:
        cursor.execute(
            "SELECT * FROM claim_slot_atomic(%s, %s, %s, %s, %s, %s, %s)",
            [org, calendar, slot, call_sid or f"call-{caller}", "John", f"+447700{caller:06d}", minutes],
        )
        answer = cursor.fetchone()
    assert answer is not None
    return answer


def race_for_one_slot(racers: Sequence[Connection], org: str) -> list[Claimed | psycopg.Error]:
    return race(racers, lambda connection, n: claim(connection, org, caller=n))


def race_for_overlapping_slots(racers: Sequence[Connection], org: str) -> list[Claimed | psycopg.Error]:
    return race(racers, lambda connection, n: claim(connection, org, slot=OVERLAPPING[n], caller=n))


def confirm(
    connection: Connection, org: str, hold: uuid.UUID | None, digest: str = RIGHT, contact: object = None
) -> Confirmation:
    with connection.cursor(row_factory=class_row(Confirmation)) as cursor:
        cursor.execute(
            "SELECT * FROM confirm_held_slot(%s, %s, %s, %s, 'Check-up')", [hold, org, contact, digest]
        )
        answer = cursor.fetchone()
    assert answer is not None
    return answer


def release(connection: Connection, org: str, hold: uuid.UUID | None) -> tuple[bool, str | None]:
    row = connection.execute("SELECT success, code FROM release_hold(%s, %s)", [hold, org]).fetchone()
    assert row is not None
    return row[0], row[1]


def hold_with_code(
    connection: Connection,
    org: str,
    calendar: str = "cal",
    slot: datetime = SLOT,
    *,
    expires_in: timedelta = timedelta(minutes=10),
) -> uuid.UUID:
    """A hold whose code was sent, with the expiry that the test chooses."""
    held = claim(connection, org, calendar, slot)
    assert held.success, held
    assert held.hold_id is not None
    connection.execute(
        "UPDATE appointment_holds SET code_digest = %s, expires_at = clock_timestamp() + %s WHERE id = %s",
        [RIGHT, expires_in, held.hold_id],
    )
    return held.hold_id


def insert_hold(connection: Connection, org: str, slot: datetime = SLOT, calendar: str = "cal") -> None:
    """Insert a hold as an operator with psql might, past the function and its lock."""
    connection.execute(
        "WITH patient AS (INSERT INTO contacts (org_id, phone) VALUES (%(org)s, gen_random_uuid()::text)"
        " RETURNING id) "
        "INSERT INTO appointment_holds (org_id, calendar_id, starts_at, expires_at, contact_id, patient_name,"
        " patient_phone) SELECT %(org)s, %(calendar)s, %(slot)s, clock_timestamp() + interval '10 min', id,"
        " 'Raw', '+447700900000' FROM patient",
        {"org": org, "calendar": calendar, "slot": slot},
    )


def insert_appointment(
    connection: Connection, org: str, slot: datetime = SLOT, calendar: str = "cal"
) -> uuid.UUID:
    """Insert an appointment in the same way, with the confirmation that it must have."""
    appointment, message, contact = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    with connection.transaction():
        connection.execute(
            "INSERT INTO contacts (id, org_id, phone) VALUES (%s, %s, %s)", [contact, org, str(contact)]
        )
        connection.execute(
            "INSERT INTO appointments (id, org_id, calendar_id, scheduled_at, contact_id, patient_name,"
            " patient_phone, confirmation_message_id)"
            " VALUES (%s, %s, %s, %s, %s, 'Raw', '+447700900000', %s)",
            [appointment, org, calendar, slot, contact, message],
        )
        connection.execute(
            "INSERT INTO sms_messages (id, org_id, kind, to_phone, appointment_id)"
            " VALUES (%s, %s, 'confirmation', '+447700900000', %s)",
            [message, org, appointment],
        )
    return appointment


def double_bookings(connection: Connection, org: str) -> int:
    """The number of overlapping pairs of live holds or appointments, counted without occupancies."""
    row = connection.execute(
        _LIVE + "SELECT count(DISTINCT (x.id, y.id)) FROM live x JOIN live y ON x.resource_id = y.resource_id"
        " AND x.id < y.id AND x.begins < y.ends AND y.begins < x.ends",
        {"org": org},
    ).fetchone()
    assert row is not None
    return int(row[0])


def count_live(connection: Connection, org: str) -> int:
    row = connection.execute(_LIVE + "SELECT count(*) FROM booked", {"org": org}).fetchone()
    assert row is not None
    return int(row[0])


def stray_occupancies(connection: Connection, org: str) -> list[tuple[Any, ...]]:
    """The rows in which occupancies and the live holds and appointments disagree."""
    taken = (
        "SELECT coalesce(hold_id, appointment_id, block_id), resource_id, starts_at, ends_at FROM occupancies"
        " WHERE org_id = %(org)s"
    )
    return connection.execute(
        _LIVE + f"(SELECT 'missing', * FROM (TABLE live EXCEPT ALL ({taken})) a)"
        f" UNION ALL (SELECT 'stray', * FROM (({taken}) EXCEPT ALL TABLE live) b)",
        {"org": org},
    ).fetchall()


def errors_in(results: Sequence[object]) -> list[psycopg.Error]:
    return [result for result in results if isinstance(result, psycopg.Error)]


def winners_of(results: Sequence[Claimed | psycopg.Error]) -> list[Claimed]:
    return [result for result in results if isinstance(result, Claimed) and result.success]
