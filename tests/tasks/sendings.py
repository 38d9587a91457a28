"""When a message is due and was claimed, and the alerts to the operator."""

from __future__ import annotations

import pytest

from tests.said import said
from tests.tasks.bookings import Booking


def wait_of(booking: Booking, message: str | None = None) -> float:
    return float(booking.state("extract(epoch FROM next_attempt_at - app_clock())", message))


def alerts(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the tasks say that somebody should know."""
    return said(caplog, "tasks")


def sendings(booking: Booking) -> list[float]:
    """The times at which the clinic's messages were claimed."""
    return [
        row[0]
        for row in booking.sql.execute(
            "SELECT extract(epoch FROM created_at)::float8 FROM sms_events"
            " WHERE org_id = %s AND to_status = 'sending' ORDER BY created_at",
            [booking.org],
        )
    ]
