"""Rows to begin a test with: plain functions with defaults. Each commits."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from models.base import sealing
from models.base.session import Door, system_transaction
from models.booking import codes, holds, hours, set_up
from models.booking.hours import WEEKDAYS
from models.clinics import organizations
from models.clinics.calendars import Calendar
from models.clinics.organizations import IntegrationSettings, Organization

EVERY_DAY = {day: [["09:00", "17:00"]] for day in WEEKDAYS}
ACCOUNT_SID = "AC" + "5a" * 16
AUTH_TOKEN = "token-of-the-tests"

#: Beyond the range 07700 900xxx, from which the sandbox's callers take their numbers.
_numbers = itertools.count(20_000)


def create_clinic(
    calendars: tuple[str, ...] = ("cal-1",), calendar: dict[str, Any] | None = None, **clinic: Any
) -> str:
    """A clinic that is open every day, with wide limits. Returns its id."""
    org_id = uuid.uuid4()
    wide = {
        "codes_per_hold": 100,
        "codes_per_call": 10_000,
        "codes_per_phone_a_day": 10_000,
        "codes_a_day": 100_000,
        "codes_per_caller_an_hour": 10_000,
        "wrong_codes_per_phone_a_day": 100_000,
        "holds_per_phone": 100_000,
        "moves_per_appointment_a_day": 100_000,
        "texts_per_phone_a_day": 100_000,
        "segments_a_day": 1_000_000,
        "unproved_holds": 0,
        "landlines_allowed": True,
    }
    with system_transaction(Door.OPERATOR) as session:
        session.add(
            Organization(
                id=org_id, **{"name": "Test Clinic", "phone": "+442079460958", "region": "GB"} | wide | clinic
            )
        )
        session.flush()
        session.add(
            IntegrationSettings(
                org_id=org_id,
                twilio_account_sid=ACCOUNT_SID,
                twilio_auth_token_sealed=sealing.seal(org_id, "twilio_auth_token", AUTH_TOKEN),
                twilio_from_number="+447700900001",
            )
        )
        for name in calendars:
            values = {"name": name, "time_zone": "UTC", "opening": EVERY_DAY, "horizon_days": 400}
            add_calendar(session, org_id, name, **(values | (calendar or {})))
    return str(org_id)


def add_calendar(session: Session, org_id: uuid.UUID, calendar_id: str, **values: Any) -> Calendar:
    """A calendar with its person. `closures` are days as text; `minutes` and the like are its services'."""
    closures = [date.fromisoformat(day) for day in values.pop("closures", ())]
    calendar = set_up.add_calendar(session, org_id=org_id, calendar_id=calendar_id, **values)
    hours.close(session, org_id, closures, resource_id=calendar.resource_id)
    return calendar


def slot(*, days: int = 14, hour: int = 10, minute: int = 0) -> str:
    """A slotId some days from now, on the grid of a UTC clinic."""
    day: date = datetime.now(UTC).date() + timedelta(days=days)
    return datetime.combine(day, time(hour, minute), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def phone_number() -> str:
    """A number that no other test and no caller of the sandbox uses."""
    return f"+4477009{next(_numbers):05d}"


def bare(client: FlaskClient, path: str, **arguments: Any) -> dict[str, Any]:
    """One tool call as the quick reference writes it."""
    response = client.post(f"/api/vapi/tools/{path}", json={"toolCall": {"arguments": arguments}})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


def reserve(client: FlaskClient, org_id: str, **arguments: Any) -> dict[str, Any]:
    values = {
        "tenantId": org_id,
        "slotId": slot(),
        "calendarId": "cal-1",
        "patientName": "John",
        "patientPhone": phone_number(),
    }
    return bare(client, "booking/reserve-atomic", **(values | arguments))


def code_of(hold_id: str) -> str:
    """The code as the patient would read it in the SMS."""
    with system_transaction(Door.OPERATOR) as session:
        hold = session.get(holds.AppointmentHold, uuid.UUID(hold_id))
        assert hold is not None
        clinic = organizations.get_or_none(session, hold.org_id)
        assert clinic is not None
        return codes.derive(hold.id, hold.patient_phone, length=clinic.code_length, key_id=hold.code_key)
