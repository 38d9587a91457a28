"""kill -9 of a worker at every line between claim and record: nothing is lost, and nothing is sent twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.messaging import timing
from tasks.messaging import reconcile_sms, sweep_sms
from tests.conftest import Clock
from tests.places import ROOT
from tests.tasks.bookings import Booking, inbox

Faults = Callable[..., None]


class DyingWorker:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.tasks.dying_worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, booking: Booking, line: int) -> str:
        """The place where the worker was killed, or "" if it was done before."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{booking.org} {booking.confirmation} {line}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        assert answer, "it died of something else"
        return answer[1] if answer[0] == "killed" else ""

    def close(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture
def worker() -> Iterator[DyingWorker]:
    made = DyingWorker()
    yield made
    made.close()


def nobody_holds_a_row(sql: psycopg.Connection) -> bool:
    """Whether Postgres has rolled back the killed worker's transaction, once it saw the lost connection."""
    others = "SELECT FROM pg_locks WHERE relation = 'sms_messages'::regclass AND pid <> pg_backend_pid()"
    [[none]] = sql.execute(f"SELECT NOT EXISTS ({others})".encode()).fetchall()
    return bool(none)


def heal(clock: Clock, booking: Booking) -> None:
    """Beat's work in the minutes after: the lease expires, Twilio is asked, the SMS goes out again."""
    for seconds in (31, 91):
        clock.forward(seconds)
        sweep_sms.run()
        reconcile_sms.run()
    booking.deliver()


def test_a_worker_killed_at_any_line_loses_nothing_and_sends_nothing_twice(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock, worker: DyingWorker
) -> None:
    sql.execute("UPDATE sms_messages SET check_at = NULL WHERE check_at IS NOT NULL")
    sql.execute("UPDATE sms_messages SET status = 'expired' WHERE status IN ('queued', 'sending', 'unknown')")
    org = Booking(client, sql).org
    # No pace, because the clock goes back for the next round: times already taken would lie ahead.
    sql.execute("UPDATE integration_settings SET sms_per_second = 0 WHERE org_id = %s", [org])
    left: Counter[str] = Counter()
    line, step = 1, 4
    while True:
        booking = Booking(client, sql, org=org, days=15 + line // step)
        where = worker.run(booking, line)
        soon(lambda: nobody_holds_a_row(sql))
        left[booking.state()] += 1
        if not where:
            break
        heal(clock, booking)
        assert booking.state() in ("sent", "delivered"), where
        assert len(inbox(twilio, booking.phone)) == 1, where
        clock.forward(-122)
        line += step
    assert sum(left.values()) > 20
    assert {"queued", "sending", "sent"} <= set(left)


#: A worker that sends one message; its attempt counts as alive for long enough to be tested.
SENDS_ONE = """
import sys
from datetime import timedelta
from models.messaging import timing
from tasks.messaging import deliver_sms
timing.ALIVE = timedelta(seconds=8)
deliver_sms.run(org_id=sys.argv[1], message_id=sys.argv[2])
"""


@contextmanager
def a_worker_that_waits_for_twilio(booking: Booking, faults: Faults) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in the middle of a ten-second request; it is killed at the end of the block at the latest."""
    faults("slow", seconds=10, to=booking.phone)
    worker = subprocess.Popen([sys.executable, "-c", SENDS_ONE, booking.org, booking.otp], cwd=ROOT)
    try:
        claimed = soon(lambda: booking.state("lease_until", booking.otp))
        # The worker has shown a sign of life: the lease is longer than at the claim.
        soon(lambda: booking.state("lease_until", booking.otp) > claimed)
        yield worker
    finally:
        worker.kill()
        worker.wait()


def soon(look: Callable[[], Any]) -> Any:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come")


def test_a_code_waits_for_one_that_is_being_sent_and_not_for_one_whose_worker_was_killed(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock, faults: Faults
) -> None:
    booking = Booking(client, sql)
    other = booking.next()
    with a_worker_that_waits_for_twilio(booking, faults) as worker:
        other.deliver(other.otp)
        assert other.state("status, attempt", other.otp) == ("queued", 0)
        worker.kill()
        worker.wait()
    clock.forward(8)  # for so long its last sign of life counts
    other.deliver(other.otp)
    assert other.state(message=other.otp) == "sent"
    # The outcome of the first code is unknown: Twilio is asked, and it is never sent again.
    assert booking.state(message=booking.otp) == "sending"
    clock.forward(31)
    sweep_sms.run()
    assert booking.state("status, cause", booking.otp) == ("unknown", "the worker stopped while sending it")
    soon(lambda: inbox(twilio, booking.phone))
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, attempt", booking.otp) == ("sent", 1)
    assert len(inbox(twilio, booking.phone)) == 1


def test_a_dead_attempt_is_known_within_two_seconds_and_a_living_one_not_taken_for_it() -> None:
    assert timing.ALIVE.total_seconds() < 2
    assert timing.BEAT * 3 < timing.ALIVE
