"""Every move and cancellation of an appointment, with its times before and after, its actor and its moment.

Only a trigger writes the rows, on every change of an appointment (migrations/sql/appointment_changes_v1.sql).
A row names only the actor and never the patient, so it stays when the patient is erased.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Identity, Index, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base, CreatedAt, EnumText, one_of
from models.booking.links import LinkOutcome


class AppointmentChange(Base):
    __tablename__ = "appointment_changes"
    __table_args__ = (
        one_of("change", LinkOutcome),
        CheckConstraint("(change = 'moved') = (is_at IS NOT NULL)", name="moved_to_a_time"),
        ForeignKeyConstraint(["org_id", "appointment_id"], ["appointments.org_id", "appointments.id"]),
        Index("ix_appointment_changes_appointment_id", "appointment_id", "id"),
        Index("ix_appointment_changes_org_id_created_at", "org_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    org_id: Mapped[uuid.UUID]
    appointment_id: Mapped[uuid.UUID]
    change: Mapped[LinkOutcome] = mapped_column(EnumText(LinkOutcome))
    #: The start before the change.
    was_at: Mapped[datetime]
    #: The start after the change; null for a cancellation.
    is_at: Mapped[datetime | None]
    #: As in the audit log: "patient link", "operator <name>", or the database role at a prompt.
    actor: Mapped[str]
    created_at: Mapped[CreatedAt]


def list_of(session: Session, org_id: uuid.UUID, appointment_id: uuid.UUID) -> list[AppointmentChange]:
    """The changes of one appointment, oldest first."""
    return list(
        session.scalars(
            select(AppointmentChange)
            .where(AppointmentChange.org_id == org_id, AppointmentChange.appointment_id == appointment_id)
            .order_by(AppointmentChange.id)
        )
    )


@dataclass(frozen=True, slots=True)
class ChangeMade:
    """One change as the staff see it, with the appointment's patient, service and calendar."""

    change: str
    was_at: datetime
    is_at: datetime | None
    actor: str
    created_at: datetime
    name: str
    phone: str
    service: str | None
    calendar: str


@dataclass(frozen=True, slots=True)
class ChangesMade:
    """The newest changes, and how many moves and cancellations there are in all."""

    rows: list[ChangeMade]
    moved: int
    cancelled: int

    @property
    def total(self) -> int:
        return self.moved + self.cancelled


_SINCE = text("""
    SELECT c.change, c.was_at, c.is_at, c.actor, c.created_at, a.patient_name AS name,
           a.patient_phone AS phone, a.service_type AS service, k.name AS calendar,
           count(*) FILTER (WHERE c.change = 'moved') OVER () AS moved,
           count(*) FILTER (WHERE c.change = 'cancelled') OVER () AS cancelled
      FROM appointment_changes c
      JOIN appointments a ON a.org_id = c.org_id AND a.id = c.appointment_id
      JOIN calendars k ON k.org_id = a.org_id AND k.id = a.calendar_id
     WHERE c.org_id = :org AND c.created_at >= :since
     ORDER BY c.created_at DESC, c.id DESC LIMIT :most
""")


def made_since(session: Session, org_id: uuid.UUID, since: datetime, *, most: int) -> ChangesMade:
    """The changes made since a moment, newest first and at most `most`, with the counts of all."""
    found = session.execute(_SINCE, {"org": org_id, "since": since, "most": most}).mappings()
    rows = [dict(row) for row in found]
    counts = [(row.pop("moved"), row.pop("cancelled")) for row in rows]
    return ChangesMade([ChangeMade(**row) for row in rows], *(counts[0] if counts else (0, 0)))
