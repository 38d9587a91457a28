"""A patient on the line, who waits for an SMS."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.messaging import opt_outs
from models.messaging.opt_outs import OptOutSource
from tests.factories import bare, code_of, create_clinic, phone_number, reserve
from vendors.twilio_codes import failure


class Line:
    """A patient on the telephone with a time reserved."""

    def __init__(self, client: FlaskClient, sql: psycopg.Connection) -> None:
        self.client, self.sql = client, sql
        self.org, self.phone = create_clinic(), phone_number()
        self.hold = reserve(client, self.org, patientPhone=self.phone)["holdId"]

    def send(self) -> dict[str, Any]:
        return bare(self.client, "booking/send-otp", holdId=self.hold)

    def verify(self, code: str | None = None) -> dict[str, Any]:
        return bare(
            self.client, "booking/verify-otp", holdId=self.hold, providedOTP=code or code_of(self.hold)
        )

    def wrong(self) -> str:
        return f"{(int(code_of(self.hold)) + 1) % 10_000:04}"

    def became(
        self, status: str, code: str | None = None, cause: str = "a receipt", kind: str = "otp"
    ) -> None:
        """Set the status of the clinic's messages of a kind, as a worker or a receipt would."""
        self.sql.execute("ALTER TABLE sms_messages DISABLE TRIGGER legal_moves")
        self.sql.execute(
            "UPDATE sms_messages SET status = %s, error_code = %s, error_meaning = %s, cause = %s"
            " WHERE org_id = %s AND kind = %s",
            [status, code, failure(code).meaning if code else None, cause, self.org, kind],
        )
        self.sql.execute("ALTER TABLE sms_messages ENABLE TRIGGER legal_moves")

    def opt_out(self) -> None:
        with transaction(uuid.UUID(self.org)) as session:
            opt_outs.record(session, uuid.UUID(self.org), self.phone, OptOutSource.WORDS)

    def count(self) -> int:
        row = self.sql.execute("SELECT count(*) FROM sms_messages WHERE org_id = %s", [self.org]).fetchone()
        assert row
        return int(row[0])


@pytest.fixture
def line(client: FlaskClient, sql: psycopg.Connection) -> Line:
    return Line(client, sql)
