"""An appointment made by telephone, whose confirmation has a link."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg
from flask.testing import FlaskClient

from models.booking import links
from tests.factories import bare, code_of, create_clinic, phone_number, reserve, slot
from tests.stack import eventually


def at(slot_id: str) -> datetime:
    return datetime.fromisoformat(slot_id).astimezone(UTC)


class Linked:
    """A booking, and its current rows in the database."""

    def __init__(
        self,
        client: FlaskClient,
        sql: psycopg.Connection,
        org: str | None = None,
        *,
        start: str | None = None,
        service: str | None = None,
        **arguments: Any,
    ) -> None:
        self.client, self.sql = client, sql
        self.org = org or create_clinic(sandbox=True)
        self.start = start or slot()
        self.phone = phone_number()
        values = {"slotId": self.start, "patientPhone": self.phone} | arguments
        hold = reserve(client, self.org, **values)["holdId"]
        bare(client, "booking/send-otp", holdId=hold)
        self.code = code_of(hold)
        said = {"serviceType": service} if service else {}
        self.appointment: str = bare(
            client, "booking/verify-otp", holdId=hold, providedOTP=self.code, **said
        )["appointmentId"]
        self.message: uuid.UUID = self.newest()
        self.token = links.derive(self.message)

    @property
    def path(self) -> str:
        return f"/a/{self.token}"

    def row(self, columns: str) -> Any:
        return self.one(f"SELECT {columns} FROM appointments WHERE id = %s", self.appointment)

    def sms(self, message: uuid.UUID | None = None, columns: str = "status, cause") -> Any:
        return self.one(f"SELECT {columns} FROM sms_messages WHERE id = %s", message or self.message)

    def have_sent(self) -> None:
        """Have the SMS sent. A sweep of another test's worker may hold its row, so this tries again."""
        from tasks.messaging import deliver_sms  # noqa: PLC0415 (its settings exist only now)

        def is_tried() -> bool:
            deliver_sms.run(org_id=self.org, message_id=str(self.message))
            return bool(self.sms(columns="status <> 'queued'"))

        eventually(is_tried)

    def link(self, message: uuid.UUID | None = None) -> Any:
        return self.one(
            "SELECT outcome, used_at IS NOT NULL, expires_at FROM patient_links WHERE message_id = %s",
            message or self.message,
        )

    def newest(self) -> uuid.UUID:
        """The message id of the newest confirmation."""
        found: uuid.UUID = self.row("confirmation_message_id")
        return found

    def taken(self) -> list[datetime]:
        rows = self.sql.execute(
            "SELECT starts_at FROM occupancies WHERE org_id = %s ORDER BY starts_at", [self.org]
        ).fetchall()
        return [row[0].astimezone(UTC) for row in rows]

    def one(self, statement: str, *values: object) -> Any:
        [row] = self.sql.execute(statement.encode(), values).fetchall()
        return row if len(row) > 1 else row[0]
