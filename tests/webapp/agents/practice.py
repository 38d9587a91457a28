"""A practice of three people, two rooms and five services, whose one calendar is of nobody in particular."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from flask.testing import FlaskClient

from models.base.session import Door, system_transaction
from models.booking import hours, set_up
from models.booking.resources import ResourceKind
from models.clinics.calendars import Calendar
from tests.factories import EVERY_DAY, bare, create_clinic, reserve, slot

ROOMS = ("room-1", "room-2")
#: By id: the name, who and what can do it, and the rules. The first is the calendar's own.
SERVICES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "check-up": ("Check-up", ("anna", "cara", *ROOMS), {"words": ["examination", "look at my teeth"]}),
    "cleaning": (
        "Cleaning",
        ("ben", "cara", *ROOMS),
        {"words": ["scale and polish", "airflow"], "minutes": 45, "minutes_after": 15, "step_minutes": 15},
    ),
    "whitening": ("Whitening", ("ben",), {"minutes": 60, "most_per_day": 1}),
    "implants": ("Implant consultation", ("cara",), {"minutes": 60, "by_phone": False}),
    "sedation": ("Deep cleaning", ("cara", *ROOMS), {"minutes": 90, "minutes_before": 30}),
}
PEOPLE = {"anna": "Anna Meyer", "ben": "Ben Ode", "cara": "Dr. Cara Ruíz"}
BY_PHONE = [name for name, _, rules in SERVICES.values() if rules.get("by_phone", True)]


def create_practice() -> str:
    """Everybody works from nine to five, Anna in the first room. Returns the clinic's id."""
    org_id = uuid.UUID(create_clinic(calendars=()))
    with system_transaction(Door.OPERATOR) as session:
        for each in ROOMS:
            set_up.add_resource(
                session, org_id=org_id, resource_id=each, kind=ResourceKind.ROOM, name=each, time_zone="UTC"
            )
        for person, name in PEOPLE.items():
            set_up.add_resource(
                session,
                org_id=org_id,
                resource_id=person,
                kind=ResourceKind.PERSON,
                name=name,
                time_zone="UTC",
                opening=EVERY_DAY,
            )
        in_room_1 = {day: [[*period, "room-1"] for period in periods] for day, periods in EVERY_DAY.items()}
        hours.replace(session, org_id, "anna", in_room_1)
        for service_id, (name, able, rules) in SERVICES.items():
            set_up.add_service(
                session,
                org_id=org_id,
                service_id=service_id,
                name=name,
                resource_ids=able,
                **({"horizon_days": 400} | rules),
            )
        session.add(
            Calendar(org_id=org_id, id="cal-1", name="The practice", service_id="check-up", time_zone="UTC")
        )
    return str(org_id)


@dataclass
class Practice:
    """The practice, as a program asks it that is no telephone call."""

    client: FlaskClient
    sql: psycopg.Connection
    org: str

    def check(self, day: str | None = None, **asked: str) -> dict[str, Any]:
        return bare(self.client, "calendar/check", tenantId=self.org, date=day or slot()[:10], **asked)

    def reserve(self, slot_id: str, **arguments: Any) -> dict[str, Any]:
        return reserve(self.client, self.org, slotId=slot_id, **arguments)

    def taken(self, hold_id: str) -> tuple[str, str, set[str], int, int]:
        """Of a hold: its service, its person, what else it takes, its minutes, and those with its buffers."""
        row = self.sql.execute(
            "SELECT service_id, resource_id, starts_at, ends_at FROM appointment_holds WHERE id = %s",
            [hold_id],
        ).fetchone()
        assert row is not None
        service, person, starts_at, ends_at = row
        rows = self.sql.execute(
            "SELECT resource_id, during FROM occupancies WHERE hold_id = %s", [hold_id]
        ).fetchall()
        [during] = {during for _, during in rows}
        assert during.lower <= starts_at
        return (
            service,
            person,
            {resource for resource, _ in rows} - {person},
            minutes(ends_at - starts_at),
            minutes(during.upper - during.lower),
        )


def minutes(length: timedelta) -> int:
    return length // timedelta(minutes=1)


def times(answer: dict[str, Any], name: str = "slots") -> list[str]:
    """The offered times of an answer, as 09:00."""
    starts = [datetime.fromisoformat(each["slotId"].split("/")[0]) for each in answer[name]]
    return [f"{start:%H:%M}" for start in starts]
