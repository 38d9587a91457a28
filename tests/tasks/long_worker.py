"""A worker over hours and days, and the statuses of the SMS that it leaves."""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import Clock
from tests.tasks.bookings import Booking, PatientWorker

DAY, HOUR = 24 * 3600.0, 3600.0


class LongWorker(PatientWorker):
    """A worker that skips long periods in which no message is due."""

    def run(self, seconds: float, *nudged: Booking) -> None:
        until = self._now() + seconds
        super().run(min(seconds, 8), *nudged)
        while (now := self._now()) < until:
            [[due]] = self._sql.execute(
                "SELECT extract(epoch FROM min(next_attempt_at))::float8 FROM sms_messages"
                " WHERE status = 'queued' AND next_attempt_at < to_timestamp(%s)",
                [until],
            ).fetchall()
            if due is None or due >= until:
                self._clock.forward(until - now)
                return
            self._clock.forward(max(due - now, 0.001))
            super().run(max(min(8, until - self._now()), 0.001))


@pytest.fixture
def worker(sql: psycopg.Connection, clock: Clock, twilio: str) -> PatientWorker:
    del twilio
    return LongWorker(sql, clock)


def trouble(sql: psycopg.Connection, org: str) -> dict[str, int]:
    """How many SMS of each trouble the staff see, without codes."""
    return dict(
        sql.execute(
            "SELECT trouble, count(*) FROM sms_trouble WHERE org_id = %s AND kind <> 'otp' GROUP BY trouble",
            [org],
        ).fetchall()
    )
