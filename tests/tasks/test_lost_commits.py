"""The connection breaks in the commit of the provider's answer: it is recorded, and sent once."""

from __future__ import annotations

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.breaking import Breaks, Line
from tests.surroundings import environment
from tests.tasks.bookings import Booking, inbox


@pytest.mark.parametrize("how", [Breaks.BEFORE, Breaks.AFTER])
def test_what_the_provider_answered_is_written_down(
    client: FlaskClient, sql: psycopg.Connection, database_url: str, twilio: str, how: Breaks
) -> None:
    with Line(database_url) as line, environment(DATABASE_URL=line.url):
        booking = Booking(client, sql)
        for message in (booking.otp, booking.confirmation):
            line.break_commit_of("provider_id=", how)
            booking.deliver(message)
            assert line.has_broken()
            state = sql.execute(
                "SELECT status, provider_id LIKE 'SM%%' FROM sms_messages WHERE id = %s", [message]
            ).fetchone()
            assert state == ("sent", True)
    assert len(inbox(twilio, booking.phone)) == 2
