"""A program that reads the published calendars of a clinic, and what happens in that clinic meanwhile."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from flask.testing import FlaskClient
from icalendar import Calendar
from psycopg.types.json import Jsonb
from werkzeug.test import TestResponse

from models.base.session import transaction
from models.booking import appointments, blocks, calendar_uids, published
from tests.factories import create_clinic, phone_number

Sql = psycopg.Connection[tuple[Any, ...]]

#: An hour on a day on which nothing else is booked.
SOON = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0) + timedelta(days=7)


@dataclass
class Reader:
    client: FlaskClient
    sql: Sql
    org: str

    @classmethod
    def of_a_new_clinic(cls, client: FlaskClient, sql: Sql) -> Reader:
        org = create_clinic(("anna", "ben"))
        sql.execute("UPDATE services SET name = 'Check-up' WHERE org_id = %s", [org])
        return cls(client, sql, org)

    @property
    def ending(self) -> str:
        """That of every UID."""
        return calendar_uids.ending(uuid.UUID(self.org))

    # --- the links

    def link(self, resource: str | None = None, *, names: bool = False) -> str:
        """Publish a calendar; returns its path."""
        with transaction(uuid.UUID(self.org), actor="operator ann") as session:
            _, token = published.publish(session, uuid.UUID(self.org), resource_id=resource, with_names=names)
        assert token
        return f"/calendar/{token}.ics"

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers={name.replace("_", "-"): it for name, it in headers.items()})

    def reads(self, path: str) -> Calendar:
        answer = self.get(path)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        read = Calendar.from_ical(answer.data)
        assert isinstance(read, Calendar)
        return read

    def events(self, path: str) -> dict[str, Any]:
        """The events of a calendar by UID. The library types a time as any kind of date."""
        found = {str(event["UID"]): event for event in self.reads(path).events}
        assert len(found) == len(self.reads(path).events)
        return found

    # --- what happens in the clinic

    def book(
        self,
        begins: datetime = SOON,
        *,
        minutes: int = 30,
        calendar: str = "anna",
        name: str = "Jo Canary",
        phone: str | None = None,
    ) -> str:
        """An appointment, by raw SQL and so without the rules of the diary. Returns its id."""
        with self.sql.transaction():
            phone = phone or phone_number()
            [contact] = self._one(
                "INSERT INTO contacts (org_id, phone, name) VALUES (%(org)s, %(phone)s, %(name)s)"
                " ON CONFLICT (org_id, phone) DO UPDATE SET name = EXCLUDED.name RETURNING id",
                phone=phone,
                name=name,
            )
            [appointment] = self._one(
                "WITH a AS (SELECT gen_random_uuid() AS id, gen_random_uuid() AS message), m AS ("
                "  INSERT INTO sms_messages (id, org_id, kind, to_phone, body, appointment_id, status)"
                "  SELECT message, %(org)s, 'confirmation', %(phone)s, 'x', id, 'sent' FROM a)"
                " INSERT INTO appointments (id, org_id, calendar_id, service_id, resource_id, scheduled_at,"
                "   ends_at, contact_id, patient_name, patient_phone, booked_by, booker,"
                "   confirmation_message_id, service_type)"
                " SELECT a.id, c.org_id, c.id, c.service_id, c.resource_id, %(begins)s, %(ends)s,"
                "   %(contact)s, %(name)s, %(phone)s, 'desk', 'staff x', a.message, 'said'"
                "  FROM a, calendars c WHERE c.org_id = %(org)s AND c.id = %(calendar)s RETURNING id",
                begins=begins,
                ends=begins + timedelta(minutes=minutes),
                contact=contact,
                name=name,
                phone=phone,
                calendar=calendar,
            )
        return str(appointment)

    def _one(self, statement: str, **values: Any) -> tuple[Any, ...]:
        row = self.sql.execute(statement.encode(), {"org": self.org} | values).fetchone()
        assert row
        return row

    def move(self, appointment: str, begins: datetime) -> None:
        options = Jsonb([[["anna"]]])
        [done] = self._one(
            "SELECT success FROM move_appointment(%(id)s, %(org)s, %(at)s, NULL, NULL, %(options)s)",
            id=appointment,
            at=begins,
            options=options,
        )
        assert done

    def cancel(self, appointment: str) -> None:
        with transaction(uuid.UUID(self.org)) as session:
            assert appointments.cancel(
                session, org_id=uuid.UUID(self.org), appointment_id=uuid.UUID(appointment)
            ).success

    def block(self, begins: datetime, ends: datetime, *, who: str = "anna", reason: str = "Lunch") -> str:
        with transaction(uuid.UUID(self.org)) as session:
            made = blocks.make(
                session,
                org_id=uuid.UUID(self.org),
                resource_id=who,
                starts_at=begins,
                ends_at=ends,
                reason=reason,
            )
        return str(made.block_id)
