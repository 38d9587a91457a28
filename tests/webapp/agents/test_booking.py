"""The five tools in a row, in the quick reference's form."""

from __future__ import annotations

import psycopg
from flask.testing import FlaskClient

from tests.factories import bare, code_of, create_clinic, reserve, slot


def test_a_booking_from_the_first_question_to_the_confirmation(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    org = create_clinic()
    free = bare(client, "calendar/check", tenantId=org, date=slot()[:10])
    assert slot() in [offered["slotId"] for offered in free["slots"]]

    held = reserve(client, org)
    assert held["success"]
    sent = bare(client, "booking/send-otp", holdId=held["holdId"])
    assert sent["success"]
    assert sent["status"] == "queued"  # no worker runs beside this test

    booked = bare(client, "booking/verify-otp", holdId=held["holdId"], providedOTP=code_of(held["holdId"]))
    assert booked["success"]
    row = sql.execute(
        "SELECT a.status, a.scheduled_at = %s, m.status, m.kind FROM appointments a"
        " JOIN sms_messages m ON m.id = a.confirmation_message_id WHERE a.id = %s",
        [slot(), booked["appointmentId"]],
    ).fetchone()
    assert row == ("confirmed", True, "queued", "confirmation")

    confirmed = bare(client, "booking/send-confirmation", appointmentId=booked["appointmentId"])
    assert (confirmed["success"], confirmed["messageSent"], confirmed["status"]) == (True, False, "queued")
    again = bare(client, "calendar/check", tenantId=org, date=slot()[:10])
    assert slot() not in [offered["slotId"] for offered in again["slots"]]
