"""kill -9 of a worker at every line between claim and record: nothing is lost, and nothing is sent twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from flask.testing import FlaskClient

from tasks.sms import reconcile_sms, sweep_sms
from tests.conftest import Clock
from tests.places import ROOT
from tests.tasks.bookings import Booking, inbox


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
        """Where it was killed, or "" if it was done before."""
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


def heal(clock: Clock, booking: Booking) -> None:
    """What beat does in the minutes after: the lease runs out, Twilio is asked, it goes out again."""
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
    # No pace: the clock goes back for the next round, and moments already given out would lie ahead.
    sql.execute("UPDATE integration_settings SET sms_per_second = 0 WHERE org_id = %s", [org])
    left: Counter[str] = Counter()
    line, step = 1, 4
    while True:
        booking = Booking(client, sql, org=org, days=15 + line // step)
        where = worker.run(booking, line)
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
