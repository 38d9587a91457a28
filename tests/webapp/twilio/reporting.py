"""An SMS, and Twilio's receipts for it."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from twilio.request_validator import RequestValidator

import settings
from models.base.session import Door, system_transaction
from models.messaging import messages, receipts
from tests.factories import ACCOUNT_SID, AUTH_TOKEN, bare, code_of, create_clinic, reserve

SID = "SM" + "a" * 32


@pytest.fixture
def message(client: FlaskClient) -> str:
    hold = reserve(client, create_clinic())["holdId"]
    bare(client, "booking/send-otp", holdId=hold)
    booked = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))
    return str(booked["appointmentId"])


class Twilio:
    def __init__(self, client: FlaskClient, sql: psycopg.Connection, appointment: str) -> None:
        self.client, self.sql, self.appointment = client, sql, appointment
        row = sql.execute("SELECT id FROM sms_messages WHERE appointment_id = %s", [appointment]).fetchone()
        assert row
        self.message_id: uuid.UUID = row[0]

    def report(self, status: str, *, token: str = AUTH_TOKEN, path: str | None = None, **form: Any) -> int:
        path = path or self.path(1)
        form = {"MessageSid": SID, "MessageStatus": status, "AccountSid": ACCOUNT_SID} | form
        signature = RequestValidator(token).compute_signature(settings.get().public_base_url + path, form)
        response = self.client.post(path, data=form, headers={"X-Twilio-Signature": signature})
        return response.status_code

    def path(self, attempt: int) -> str:
        token = receipts.receipt_token(self.message_id, attempt)
        return f"/api/twilio/status/{self.message_id}/{attempt}/{token}"

    def becomes(self, *statuses: str, **values: Any) -> messages.SmsMessage:
        """Put the message into each of these statuses in turn."""
        for column, value in [*values.items(), *(("status", status) for status in statuses)]:
            self.sql.execute(
                f"UPDATE sms_messages SET {column} = %s WHERE id = %s".encode(), [value, self.message_id]
            )
        with system_transaction(Door.OPERATOR) as session:
            return session.get_one(messages.SmsMessage, self.message_id)

    def log(self) -> tuple[Any, ...]:
        row = self.sql.execute(
            "SELECT message_id, status, delivery_timestamp IS NOT NULL FROM sms_confirmation_logs"
            " WHERE appointment_id = %s",
            [self.appointment],
        ).fetchone()
        assert row
        return row


@pytest.fixture
def twilio_reports(client: FlaskClient, sql: psycopg.Connection, message: str) -> Twilio:
    return Twilio(client, sql, message)
