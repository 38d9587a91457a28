"""The patients of a clinic: found by name, number or reference; and all that is known of one number."""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, func, not_, or_, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.booking import resources
from models.booking.appointments import Appointment, AppointmentStatus
from models.calls.calls import Call
from models.clinics import patient_notes
from models.clinics.contacts import Contact
from models.clinics.patient_notes import Written
from models.messaging.messages import SmsMessage

Row = TypeVar("Row", Appointment, SmsMessage, Call)

#: The most patients that a search shows at once, and the most rows of each list of a patient's page.
MOST = 12
#: How far the pages of a search go: who has seen so many looks for a longer name.
FURTHEST = 50 * MOST
MOST_ROWS = 100


@dataclass(frozen=True, slots=True)
class Found:
    """A name and the number that it was booked under. A family may share a number, and has a row each."""

    contact_id: uuid.UUID
    #: The latest appointment of that name and number.
    appointment_id: uuid.UUID
    name: str
    phone: str
    latest: datetime


_SEARCH = text("""
    SELECT contact_id, appointment_id, name, phone, latest FROM (
        SELECT DISTINCT ON (a.patient_name, a.patient_phone) a.contact_id, a.id AS appointment_id,
               a.patient_name AS name,
               a.patient_phone AS phone, a.scheduled_at AS latest
          FROM appointments a
         WHERE a.org_id = :org AND a.patient_phone NOT LIKE 'erased:%'
           AND ((:name <> '' AND a.patient_name ILIKE :name ESCAPE '!')
                OR (:digits <> '' AND a.patient_phone LIKE :digits)
                OR (:first <> '' AND starts_with(replace(a.id::text, '-', ''), :first)))
         ORDER BY a.patient_name, a.patient_phone, a.scheduled_at DESC
    ) found
     ORDER BY latest DESC, name, phone LIMIT :most OFFSET :skip
""")


@dataclass(frozen=True, slots=True)
class Search:
    """One page of the patients who were found, from the number `skip` on; `more`: others follow."""

    rows: list[Found]
    skip: int
    more: bool

    @property
    def following(self) -> int:
        return self.skip + len(self.rows)


def search(session: Session, org_id: uuid.UUID, sought: str, *, skip: int = 0) -> Search:
    """The patients whose name has these words in it, whose number these digits, or whose confirmation this
    reference; the latest first, at most MOST after the first `skip`.
    """
    skip = max(0, min(skip, FURTHEST))
    digits = re.sub(r"\D", "", sought).lstrip("0")
    is_number = len(digits) >= 3 and re.fullmatch(r"[\d\s()+./-]+", sought.strip())
    name = re.sub(r"([!%_])", r"!\1", sought.strip())
    values = {
        "org": org_id,
        "name": f"%{name}%" if name and not is_number else "",
        "digits": f"%{digits}%" if is_number else "",
        "first": _first_of(sought.strip()),
        "most": MOST + 1,
        "skip": skip,
    }
    found = [Found(**row._mapping) for row in session.execute(_SEARCH, values)]
    return Search(found[:MOST], skip, len(found) > MOST and skip < FURTHEST)


def _first_of(reference: str) -> str:
    """The first seven digits of the id that a reference in a confirmation stands for; empty if it is none."""
    if not re.fullmatch(r"[A-Z2-7]{6}", reference.upper()):
        return ""
    return base64.b32decode(f"{reference.upper()}A=").hex()[:7]


@dataclass(frozen=True, slots=True)
class LastVisit:
    """The latest appointment that has begun and was kept, as far as the desk noted it."""

    appointment_id: uuid.UUID
    name: str
    starts_at: datetime
    with_whom: str
    resource_id: str
    service: str | None
    service_id: str | None
    #: Whether the same person still does the same service.
    can_be_again: bool


_LAST_VISIT = text("""
    SELECT a.id AS appointment_id, a.patient_name AS name, a.scheduled_at AS starts_at, r.name AS with_whom,
           a.resource_id, coalesce(s.name, a.service_type) AS service, a.service_id,
           r.kind = 'person' AND r.retired_at IS NULL AND s.id IS NOT NULL AND s.retired_at IS NULL
             AND EXISTS (SELECT FROM service_resources x
                          WHERE x.org_id = a.org_id AND x.service_id = s.id AND x.resource_id = r.id)
             AS can_be_again
      FROM appointments a
      JOIN resources r ON r.org_id = a.org_id AND r.id = a.resource_id
      LEFT JOIN services s ON s.org_id = a.org_id AND s.id = a.service_id
     WHERE a.org_id = :org AND a.patient_phone = :phone AND a.status NOT IN ('cancelled', 'no_show')
       AND a.scheduled_at <= app_clock() AND (CAST(:name AS text) IS NULL OR a.patient_name = :name)
     ORDER BY a.scheduled_at DESC LIMIT 1
""")


def last_visit(
    session: Session, org_id: uuid.UUID, phone: str, *, name: str | None = None
) -> LastVisit | None:
    """When a patient was here last, with whom and what for. `name`: of this name only, for a family shares a
    number. None for one who was never here.
    """
    row = session.execute(_LAST_VISIT, {"org": org_id, "phone": phone, "name": name}).one_or_none()
    return LastVisit(**row._mapping) if row else None


@dataclass(frozen=True, slots=True)
class Patient:
    """One telephone number of the clinic, with what was booked, texted, said and noted under it.

    The appointments to come are in order; in the other lists the newest comes first. Of each but
    the notes there are at most MOST_ROWS.
    """

    contact: Contact
    to_come: list[Appointment]
    past: list[Appointment]
    #: The names of people, rooms and devices, also of those who have left.
    resources: dict[str, str]
    messages: list[SmsMessage]
    calls: list[Call]
    notes: list[Written]
    last: LastVisit | None

    @property
    def names(self) -> list[str]:
        """The names under this number, the latest first."""
        names = [each.patient_name for each in (*reversed(self.to_come), *self.past)]
        return list(dict.fromkeys([*names, *([self.contact.name] if self.contact.name else [])]))


def find(session: Session, org_id: uuid.UUID, contact_id: uuid.UUID) -> Patient | None:
    """What the clinic has of one telephone number; None if it has no such number."""
    contact = session.scalar(select(Contact).where(Contact.org_id == org_id, Contact.id == contact_id))
    if contact is None:
        return None
    theirs = (Appointment.org_id == org_id, Appointment.patient_phone == contact.phone)
    is_to_come = and_(
        Appointment.scheduled_at > func.app_clock(), Appointment.status != AppointmentStatus.CANCELLED
    )

    def newest(
        entity: type[Row], *where: ColumnElement[bool], by: InstrumentedAttribute[datetime]
    ) -> list[Row]:
        return list(session.scalars(select(entity).where(*where).order_by(by.desc()).limit(MOST_ROWS)))

    booked_in = select(Appointment.call_sid).where(*theirs, Appointment.call_sid.is_not(None))
    return Patient(
        contact,
        list(
            session.scalars(
                select(Appointment)
                .where(*theirs, is_to_come)
                .order_by(Appointment.scheduled_at)
                .limit(MOST_ROWS)
            )
        ),
        newest(Appointment, *theirs, not_(is_to_come), by=Appointment.scheduled_at),
        {each.id: each.name for each in resources.list_of_clinic(session, org_id, retired=True)},
        newest(
            SmsMessage,
            SmsMessage.org_id == org_id,
            SmsMessage.to_phone == contact.phone,
            by=SmsMessage.created_at,
        ),
        newest(
            Call,
            Call.org_id == org_id,
            or_(Call.caller_number == contact.phone, Call.id.in_(booked_in)),
            by=Call.created_at,
        ),
        patient_notes.list_of(session, org_id, contact.id),
        last_visit(session, org_id, contact.phone),
    )
