"""The patients of a clinic: found by name, number or reference; and all that is known of one number."""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.booking.appointments import Appointment
from models.calls.calls import Call
from models.clinics.contacts import Contact
from models.messaging.messages import SmsMessage

#: The most patients that a search shows, and the most rows of each list of a patient's page.
MOST = 12
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
     ORDER BY latest DESC, name LIMIT :most
""")


def search(session: Session, org_id: uuid.UUID, sought: str) -> list[Found]:
    """The patients whose name has these words in it, whose number these digits, or whose confirmation this
    reference; the latest first, at most MOST.
    """
    digits = re.sub(r"\D", "", sought).lstrip("0")
    is_number = len(digits) >= 3 and re.fullmatch(r"[\d\s()+./-]+", sought.strip())
    name = re.sub(r"([!%_])", r"!\1", sought.strip())
    values = {
        "org": org_id,
        "name": f"%{name}%" if name and not is_number else "",
        "digits": f"%{digits}%" if is_number else "",
        "first": _first_of(sought.strip()),
        "most": MOST,
    }
    return [Found(**row._mapping) for row in session.execute(_SEARCH, values)]


def _first_of(reference: str) -> str:
    """The first seven digits of the id that a reference in a confirmation stands for; empty if it is none."""
    if not re.fullmatch(r"[A-Z2-7]{6}", reference.upper()):
        return ""
    return base64.b32decode(f"{reference.upper()}A=").hex()[:7]


@dataclass(frozen=True, slots=True)
class Patient:
    """One telephone number of the clinic, with what was booked, texted and said under it, newest first."""

    contact: Contact
    appointments: list[Appointment]
    messages: list[SmsMessage]
    calls: list[Call]

    @property
    def names(self) -> list[str]:
        """The names under this number, the latest first."""
        names = [each.patient_name for each in self.appointments]
        return list(dict.fromkeys([*names, *([self.contact.name] if self.contact.name else [])]))


def find(session: Session, org_id: uuid.UUID, contact_id: uuid.UUID) -> Patient | None:
    """What the clinic has of one telephone number; None if it has no such number."""
    contact = session.scalar(select(Contact).where(Contact.org_id == org_id, Contact.id == contact_id))
    if contact is None:
        return None
    return Patient(
        contact,
        list(
            session.scalars(
                select(Appointment)
                .where(Appointment.org_id == org_id, Appointment.patient_phone == contact.phone)
                .order_by(Appointment.scheduled_at.desc())
                .limit(MOST_ROWS)
            )
        ),
        list(
            session.scalars(
                select(SmsMessage)
                .where(SmsMessage.org_id == org_id, SmsMessage.to_phone == contact.phone)
                .order_by(SmsMessage.created_at.desc())
                .limit(MOST_ROWS)
            )
        ),
        list(
            session.scalars(
                select(Call)
                .where(Call.org_id == org_id, Call.caller_number == contact.phone)
                .order_by(Call.created_at.desc())
                .limit(MOST_ROWS)
            )
        ),
    )
