"""The clinic of a hold, an appointment or a call; used only in development, without a credential."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.booking.appointments import Appointment
from models.booking.holds import AppointmentHold
from models.calls.calls import ToolCall


def find_organization_of(
    session: Session, *, hold_id: uuid.UUID | None, appointment_id: uuid.UUID | None, call_sid: str | None
) -> uuid.UUID | None:
    """The clinic of a hold, else of an appointment, else of a call's last hold or one of its tool calls."""
    queries = []
    if hold_id:
        queries.append(select(AppointmentHold.org_id).where(AppointmentHold.id == hold_id))
    if appointment_id:
        queries.append(select(Appointment.org_id).where(Appointment.id == appointment_id))
    if call_sid:
        queries.append(
            select(AppointmentHold.org_id)
            .where(AppointmentHold.call_sid == call_sid)
            .order_by(AppointmentHold.created_at.desc())
            .limit(1)
        )
        queries.append(select(ToolCall.org_id).where(ToolCall.call_id == call_sid).limit(1))
    for query in queries:
        if org_id := session.scalar(query):
            return org_id
    return None
