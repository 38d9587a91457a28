"""Every move and every cancellation of an appointment: from which time to which, by whom, when.

Written by a trigger alone (migrations/sql/appointment_changes_v1.sql), whoever changes the appointment. A row
names nobody but who made the change, so that it stays when a patient is erased.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Identity, Index, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, CreatedAt, EnumText, one_of
from models.patient_links import LinkOutcome


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
    #: When it was to begin before the change.
    was_at: Mapped[datetime]
    #: When it is to begin after it; null for a cancellation.
    is_at: Mapped[datetime | None]
    #: As in the audit log: "patient link", "operator <name>", or the database role at a prompt.
    actor: Mapped[str]
    created_at: Mapped[CreatedAt]


def list_of(session: Session, org_id: uuid.UUID, appointment_id: uuid.UUID) -> list[AppointmentChange]:
    """What became of one appointment, oldest first."""
    return list(
        session.scalars(
            select(AppointmentChange)
            .where(AppointmentChange.org_id == org_id, AppointmentChange.appointment_id == appointment_id)
            .order_by(AppointmentChange.id)
        )
    )


def last_moved_from(session: Session, org_id: uuid.UUID, appointment_id: uuid.UUID) -> datetime | None:
    """The time that its last move was away from; None if it was never moved."""
    return session.scalar(
        select(AppointmentChange.was_at)
        .where(
            AppointmentChange.org_id == org_id,
            AppointmentChange.appointment_id == appointment_id,
            AppointmentChange.change == LinkOutcome.MOVED,
        )
        .order_by(AppointmentChange.id.desc())
        .limit(1)
    )
