"""What a tool works with: an open transaction, the clinic, and the telephone call."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from models.base import phones
from models.booking import rules
from models.booking.appointments import Appointment
from models.booking.codes import Asker
from models.booking.holds import AppointmentHold
from models.clinics.organizations import Organization
from models.messaging import messages


@dataclass(frozen=True, slots=True)
class Desk:
    """`call_id` and `caller_number` are those of the telephone call; None outside one."""

    session: Session
    clinic: Organization
    call_id: str | None
    caller_number: str | None
    now: datetime
    credential_id: uuid.UUID | None = None
    call_holds_a_slot: bool = False
    #: Messages that the tool call made, to be nudged after the commit.
    due: list[messages.Due] = field(default_factory=list)

    @property
    def org_id(self) -> uuid.UUID:
        return self.clinic.id

    @property
    def asker(self) -> Asker:
        """Who asks for a hold or a code. The number comes from the platform, never from what was said."""
        try:
            number = self.read_number(self.caller_number or "")
        except phones.ImpossibleNumber:
            return Asker(None, self.credential_id)  # withheld, or an address that is not a number
        return Asker(number, self.credential_id)

    def read_number(self, said: str) -> str:
        """A number in E.164, as it is read in the clinic's country. Raises phones.ImpossibleNumber."""
        return phones.e164(said, region=self.clinic.region, sandbox=self.clinic.sandbox)

    def nudge_afterwards(self, due: messages.Due) -> None:
        self.due.append(due)

    def hold(self, given: str | None) -> AppointmentHold | None:
        """The hold with the given id, or this call's; None if there is none that this call may name."""
        hold_id = as_uuid(given)
        if given is not None and hold_id is None:
            return None
        return rules.find_hold(self.session, self.org_id, call_id=self.call_id, hold_id=hold_id)

    def appointment(self, given: str | None) -> Appointment | None:
        """The same for appointments."""
        appointment_id = as_uuid(given)
        if given is not None and appointment_id is None:
            return None
        return rules.find_appointment(
            self.session, self.org_id, call_id=self.call_id, appointment_id=appointment_id
        )


def as_uuid(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return None
