"""Every move and cancellation of an appointment, with its times before and after, its actor and its moment.

Only a trigger writes the rows, on every change of an appointment (migrations/sql/appointment_changes_v2.sql).
A row names only the actor and never the patient, so it stays when the patient is erased.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

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
    #: The end before the change, and the leader before and after it; null in rows older than these columns.
    was_ends_at: Mapped[datetime | None]
    was_resource_id: Mapped[str | None]
    is_resource_id: Mapped[str | None]
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


class TimeLeft(StrEnum):
    """What has become of the time that a move or a cancellation left, as long as it is to come."""

    FREE = "free"
    BOOKED = "booked"
    HELD = "held"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class ChangeMade:
    """One change as the staff see it, with the patient, the service, and whom it was and is with.

    `actor_name` is the name of the member of staff who made it. `time_left` is None where there is nothing to
    say: the time has passed, the person has left the clinic, or the appointment still takes a part of it.
    """

    appointment_id: uuid.UUID
    change: str
    was_at: datetime
    is_at: datetime | None
    was_with: str
    is_with: str | None
    actor: str
    actor_name: str | None
    created_at: datetime
    name: str
    phone: str
    service: str | None
    time_left: TimeLeft | None


@dataclass(frozen=True, slots=True)
class ChangesMade:
    """The newest changes, and how many moves and cancellations there are in all."""

    rows: list[ChangeMade]
    moved: int
    cancelled: int

    @property
    def total(self) -> int:
        return self.moved + self.cancelled


#: What takes up the time that the change `c` left, without its buffers; null for nothing to say. Each seat is
#: looked at apart, so that each look is a short range of the primary key of occupancies.
TIME_LEFT = """
    CASE WHEN c.was_at > app_clock() AND EXISTS (
           SELECT FROM resources r
            WHERE r.org_id = c.org_id AND r.id = c.was_resource_id AND r.retired_at IS NULL)
    THEN (
        SELECT CASE WHEN bool_or(o.appointment_id = c.appointment_id) THEN NULL
                    WHEN bool_or(o.appointment_id IS NOT NULL) THEN 'booked'
                    WHEN bool_or(h.id IS NOT NULL) THEN 'held'
                    WHEN bool_or(o.block_id IS NOT NULL) THEN 'blocked'
                    ELSE 'free' END
          FROM (
            SELECT appointment_id, hold_id, block_id FROM occupancies
             WHERE org_id = c.org_id AND resource_id = c.was_resource_id AND seat = 0
               AND starts_at > c.was_at - interval '24 hours' AND starts_at < c.was_ends_at
               AND ends_at > c.was_at
            UNION ALL
            SELECT appointment_id, hold_id, block_id FROM occupancies
             WHERE org_id = c.org_id AND resource_id = c.was_resource_id AND seat > 0
               AND starts_at > c.was_at - interval '24 hours' AND starts_at < c.was_ends_at
               AND ends_at > c.was_at
          ) o
          LEFT JOIN appointment_holds h ON h.org_id = c.org_id AND h.id = o.hold_id
                AND hold_is_live(h.status, h.expires_at, app_clock())
    ) END
"""

# The time that was left is worked out for the rows that are shown, and not for all that are counted.
_SINCE = text(f"""
    SELECT c.appointment_id, c.change, c.was_at, c.is_at, c.was_with, c.is_with, c.actor, c.actor_name,
           c.created_at, c.name, c.phone, c.service, c.moved, c.cancelled, {TIME_LEFT} AS time_left
      FROM (
        SELECT c.*, a.patient_name AS name, a.patient_phone AS phone,
               coalesce(a.service_type, s.name) AS service, u.name AS actor_name,
               coalesce(was.name, now_with.name) AS was_with, is_now.name AS is_with,
               count(*) FILTER (WHERE c.change = 'moved') OVER () AS moved,
               count(*) FILTER (WHERE c.change = 'cancelled') OVER () AS cancelled
          FROM appointment_changes c
          JOIN appointments a ON a.org_id = c.org_id AND a.id = c.appointment_id
          JOIN resources now_with ON now_with.org_id = a.org_id AND now_with.id = a.resource_id
          LEFT JOIN resources was ON was.org_id = c.org_id AND was.id = c.was_resource_id
          LEFT JOIN resources is_now ON is_now.org_id = c.org_id AND is_now.id = c.is_resource_id
          LEFT JOIN services s ON s.org_id = a.org_id AND s.id = a.service_id
          LEFT JOIN staff_users u ON u.org_id = c.org_id AND c.actor = 'staff ' || u.email
         WHERE c.org_id = :org AND c.created_at >= :since
         ORDER BY c.created_at DESC, c.id DESC LIMIT :most
      ) c
     ORDER BY c.created_at DESC, c.id DESC
""")


def made_since(session: Session, org_id: uuid.UUID, since: datetime, *, most: int) -> ChangesMade:
    """The changes made since a moment, newest first and at most `most`, with the counts of all."""
    found = session.execute(_SINCE, {"org": org_id, "since": since, "most": most}).mappings()
    rows = [dict(row) for row in found]
    counts = [(row.pop("moved"), row.pop("cancelled")) for row in rows]
    made = [
        ChangeMade(**row | {"time_left": TimeLeft(row["time_left"]) if row["time_left"] else None})
        for row in rows
    ]
    return ChangesMade(made, *(counts[0] if counts else (0, 0)))
