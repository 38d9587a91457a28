"""Blocks: time of a person, room or device that nobody may book, for an hour or for weeks.

A block takes what is free of its time, and the rest as that comes free (migrations/sql/occupancies_v2.sql).
What was booked before stands, and the verb that makes a block returns it: somebody rings these patients.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import clock, once
from models.base.tables import Base, CreatedAt, EnumText, Id, one_of
from models.booking import resources
from models.booking.appointments import EXPECTED, Appointment
from models.booking.holds import AppointmentHold
from models.booking.hours import Impossible
from models.booking.occupancies import Occupancy

#: As the CHECK of the table has it.
LONGEST_BLOCK = timedelta(days=3660)


class BlockSource(StrEnum):
    DESK = "desk"
    #: From a calendar elsewhere (models/booking/feeds.py), with its label as the reason.
    FEED = "feed"


class Block(Base):
    __tablename__ = "blocks"
    __table_args__ = (
        one_of("source", BlockSource),
        ForeignKeyConstraint(["org_id", "resource_id"], ["resources.org_id", "resources.id"]),
        CheckConstraint("ends_at > starts_at AND ends_at <= starts_at + interval '3660 days'", name="length"),
        CheckConstraint(r"reason ~ '\S'", name="reason"),
        ForeignKeyConstraint(["org_id", "feed_id"], ["calendar_feeds.org_id", "calendar_feeds.id"]),
        CheckConstraint("(source = 'feed') = (feed_id IS NOT NULL)", name="feed"),
        Index("ix_blocks_org_id_resource_id_ends_at", "org_id", "resource_id", "ends_at"),
        Index(
            "uq_blocks_org_id_imported_id",
            "org_id",
            "imported_id",
            unique=True,
            postgresql_where=text("imported_id IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID]
    resource_id: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str]
    source: Mapped[BlockSource] = mapped_column(EnumText(BlockSource), server_default="desk")
    #: As for an appointment. The reason of an imported block may be a patient's name.
    imported_id: Mapped[str | None]
    feed_id: Mapped[uuid.UUID | None]
    created_at: Mapped[CreatedAt]


@dataclass(frozen=True, slots=True)
class Blocked:
    """A block that was made, and the appointments that stand in its time, in order."""

    block_id: uuid.UUID
    meets: list[Appointment]


def make(
    session: Session,
    *,
    org_id: uuid.UUID,
    resource_id: str,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    form: uuid.UUID | None = None,
) -> Blocked:
    """Block a time of a resource. Two calls with the same `form` that ask for the same make one block.
    Waits for claims of the resource for the lock timeout, then LockNotAvailable.

    A transaction that blocks several takes their locks first (holds.lock_resources), and blocks before it
    cancels or moves anything; otherwise two such transactions could wait for each other.

    Raises Impossible if the time has no length, is over or is longer than ten years, if there is no reason,
    and if there is no such resource or it is retired.
    """
    if not starts_at < ends_at:
        raise Impossible("the block ends before it begins; give an end after the beginning")
    if ends_at <= clock.now(session):
        raise Impossible("the block is over already; give an end that is still to come")
    if ends_at - starts_at > LONGEST_BLOCK:
        raise Impossible("a block lasts at most ten years; look at the year of its end")
    if not reason.strip():
        raise Impossible("a block needs a reason")
    resource = resources.get_or_none(session, org_id, resource_id)
    if resource is None:
        raise Impossible(f"there is no {resource_id}")
    if resource.retired_at:
        raise Impossible(f"{resource_id} is retired, and cannot be booked in any case")
    block_id = once.row_id(org_id, form, resource_id, starts_at, ends_at, reason.strip())
    values = {
        "id": block_id,
        "org_id": org_id,
        "resource_id": resource_id,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "reason": reason.strip(),
    }
    # Of two that come at the same moment the second waits for the first, and makes nothing.
    session.execute(insert(Block).values(values).on_conflict_do_nothing(index_elements=["id"]))
    return Blocked(block_id, find_met(session, org_id, resource_id, starts_at, ends_at))


def moment(local: datetime, zone: ZoneInfo, *, is_end: bool = False) -> datetime:
    """The instant of a wall-clock time, in UTC. Of one that comes twice: the first, or as an end the second.

    Raises Impossible for a time that the clocks skip.
    """
    found = local.replace(tzinfo=zone, fold=int(is_end)).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) != local:
        raise Impossible(f"{local:%H:%M} does not exist on {local.date()} in {zone.key}: the clocks skip it")
    return found


def get_or_none(session: Session, org_id: uuid.UUID, block_id: uuid.UUID) -> Block | None:
    return session.scalar(select(Block).where(Block.org_id == org_id, Block.id == block_id))


def remove(session: Session, org_id: uuid.UUID, block_id: uuid.UUID) -> bool:
    """Give the time of a block back. False if there is no such block.

    Raises Impossible for a block of a feed, which the next reading would make again.
    """
    block = get_or_none(session, org_id, block_id)
    if block and block.source is BlockSource.FEED:
        raise Impossible(
            f"this time comes from the calendar {block.reason}; change it there, or turn that calendar off"
            " in the settings"
        )
    removed = session.execute(
        delete(Block).where(Block.org_id == org_id, Block.id == block_id).returning(Block.id)
    )
    return removed.first() is not None


def list_of_clinic(session: Session, org_id: uuid.UUID, begin: datetime, end: datetime) -> list[Block]:
    """The blocks that reach into [begin, end), in order."""
    query = (
        select(Block)
        .where(Block.org_id == org_id, Block.ends_at > begin, Block.starts_at < end)
        .order_by(Block.starts_at, Block.resource_id)
    )
    return list(session.scalars(query))


def find_held(
    session: Session, org_id: uuid.UUID, resource_id: str, begin: datetime, end: datetime
) -> list[AppointmentHold]:
    """The holds of callers that take up time of a resource in [begin, end), and may still be confirmed."""
    query = (
        select(AppointmentHold)
        .join(Occupancy, Occupancy.hold_id == AppointmentHold.id)
        .where(
            AppointmentHold.org_id == org_id,
            AppointmentHold.live_now(),
            Occupancy.meets(org_id, [resource_id], begin, end),
        )
        .order_by(AppointmentHold.starts_at, AppointmentHold.id)
    )
    return list(session.scalars(query))


def find_met(
    session: Session, org_id: uuid.UUID, resource_id: str, begin: datetime, end: datetime
) -> list[Appointment]:
    """The appointments that stand and take up time of a resource in [begin, end), in order."""
    query = (
        select(Appointment)
        .join(Occupancy, Occupancy.appointment_id == Appointment.id)
        .where(
            Appointment.org_id == org_id,
            Appointment.status.in_(EXPECTED),
            Occupancy.meets(org_id, [resource_id], begin, end),
        )
        .order_by(Appointment.scheduled_at, Appointment.id)
    )
    return list(session.scalars(query))
