"""A clinic of two dentists who share a service, and its desk: what is booked by hand, and the rows of it."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.clinics.staff import StaffRole
from tests.factories import create_clinic, phone_number, reserve
from tests.webapp.staff.browsers import Person, employ

#: A day on which nothing is booked yet, as a form names it.
DAY = (datetime.now(UTC).date() + timedelta(days=14)).isoformat()


def at(clock: str, day: str = DAY) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}:00+00:00")


def slot_id(clock: str, day: str = DAY) -> str:
    return f"{day}T{clock}:00Z"


@dataclass
class Desk:
    """The desk of one clinic, with a member of its staff who is signed in."""

    app: Flask
    sql: psycopg.Connection[tuple[Any, ...]]
    person: Person

    @property
    def org(self) -> str:
        return self.person.org

    def colleague(self, role: StaffRole = StaffRole.STAFF, name: str = "Sam") -> Desk:
        """Another member of the same clinic's staff, signed in with a browser of their own."""
        person = employ(self.app, self.org, name, role)
        assert person.sign_in().status_code == 303
        return Desk(self.app, self.sql, person)

    def book(self, clock: str = "10:00", **form: str) -> TestResponse:
        """Press Book; by default for a new patient with cal-1."""
        values = {
            "service": "check-up",
            "person": "cal-1",
            "day": DAY,
            "other": clock,
            "name": "Ann Desk",
            "phone": "07700 900456",
        }
        return self.person.post("diary/new", **(values | form))

    def booked(self, clock: str = "10:00", **form: str) -> str:
        """The id of an appointment that is booked now."""
        return id_in(self.book(clock, **form))

    def block(self, begin: str, end: str, **form: str) -> TestResponse:
        values = {
            "who": "cal-1",
            "from_day": DAY,
            "from_time": begin,
            "until_day": DAY,
            "until_time": end,
            "reason": "Staff meeting",
        }
        return self.person.post("diary/block", **(values | form))

    def claim(self, clock: str, calendar: str = "cal-1", **arguments: Any) -> dict[str, Any]:
        """A caller claims that time."""
        client: FlaskClient = self.app.test_client()
        values = {"slotId": slot_id(clock), "calendarId": calendar, "patientPhone": phone_number()}
        return reserve(client, self.org, **(values | arguments))

    def row(self, appointment: str, columns: str) -> Any:
        [row] = self.sql.execute(
            f"SELECT {columns} FROM appointments WHERE id = %s".encode(), [appointment]
        ).fetchall()
        return row if len(row) > 1 else row[0]

    def count(self, table: str) -> int:
        [row] = self.sql.execute(
            f"SELECT count(*) FROM {table} WHERE org_id = %s".encode(), [self.org]
        ).fetchall()
        return int(row[0])

    def messages(self, appointment: str) -> list[tuple[Any, ...]]:
        """The kind, status and number of the texts about an appointment, in order."""
        return self.sql.execute(
            "SELECT kind, status, to_phone FROM sms_messages WHERE appointment_id = %s"
            " ORDER BY created_at, id",
            [appointment],
        ).fetchall()

    def audit(self, table: str, row: str) -> list[tuple[Any, ...]]:
        return self.sql.execute(
            "SELECT actor, action FROM audit_log WHERE table_name = %s AND row_id = %s ORDER BY id",
            [table, row],
        ).fetchall()

    def seek(self, sought: str, path: str = "patients", **form: str) -> str:
        """The page that a search of a patient leads to."""
        answer = self.person.post(path, q=sought, **form)
        assert answer.status_code == 303, answer.text
        found = self.person.client.get(answer.location)
        assert found.status_code == 200
        return found.text

    def page(self, path: str) -> str:
        answer = self.person.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text


def id_in(answer: TestResponse) -> str:
    """The id of what a form made, from where the answer leads."""
    assert answer.status_code == 303, answer.text
    return str(uuid.UUID(re.split("[/?]", answer.location)[-1]))


def later(days: int) -> str:
    return (date.fromisoformat(DAY) + timedelta(days=days)).isoformat()


def open_desk(app: Flask, sql: psycopg.Connection[tuple[Any, ...]], **clinic: Any) -> Desk:
    calendar = {"service_names": ("Check-up",)} | clinic.pop("calendar", {})
    org = create_clinic(("cal-1", "cal-2"), calendar=calendar, **clinic)
    person = employ(app, org)
    assert person.sign_in().status_code == 303
    return Desk(app, sql, person)


@pytest.fixture
def desk(app: Flask, sql: psycopg.Connection[tuple[Any, ...]]) -> Desk:
    return open_desk(app, sql)


@pytest.fixture
def elsewhere(app: Flask, sql: psycopg.Connection[tuple[Any, ...]]) -> Desk:
    """The desk of another clinic."""
    return open_desk(app, sql)
