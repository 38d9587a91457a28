"""Calendars: what an agent may book by, and the zone in which its times are said."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base, CreatedAt


class Calendar(Base):
    """What an agent may name to book by: one person or room, or whoever can do a service."""

    __tablename__ = "calendars"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "resource_id"], ["resources.org_id", "resources.id"]),
        ForeignKeyConstraint(["org_id", "service_id"], ["services.org_id", "services.id"]),
        CheckConstraint("hold_minutes BETWEEN 1 AND 60", name="hold_minutes"),
        CheckConstraint("slot_minutes BETWEEN 5 AND 480", name="slot_minutes"),
        CheckConstraint("step_minutes BETWEEN 5 AND 480", name="step_minutes"),
        CheckConstraint("horizon_days BETWEEN 1 AND 3660", name="horizon_days"),
        CheckConstraint("min_notice_minutes >= 0", name="min_notice_minutes"),
    )

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    #: Null: whoever can do the service.
    resource_id: Mapped[str | None]
    #: The service that is meant where none is named.
    service_id: Mapped[str | None]
    #: IANA name; times are said and texted in this zone.
    time_zone: Mapped[str]
    hold_minutes: Mapped[int] = mapped_column(server_default="10")
    created_at: Mapped[CreatedAt]

    # What moved to resources and services (migrations/versions/0027_diary.py). Only a process of the release
    # before reads these columns, while both releases run; a later migration drops them.
    former_hours: Mapped[dict[str, Any]] = mapped_column("hours", server_default="{}", deferred=True)
    former_closures: Mapped[list[str]] = mapped_column("closures", server_default="[]", deferred=True)
    former_services: Mapped[list[str]] = mapped_column("services", server_default="[]", deferred=True)
    former_minutes: Mapped[int] = mapped_column("slot_minutes", server_default="30", deferred=True)
    former_step: Mapped[int] = mapped_column("step_minutes", server_default="30", deferred=True)
    former_notice: Mapped[int] = mapped_column("min_notice_minutes", server_default="0", deferred=True)
    former_horizon: Mapped[int] = mapped_column("horizon_days", server_default="90", deferred=True)

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


_FIRST = select(Calendar).where(Calendar.org_id == bindparam("org_id")).order_by(Calendar.id).limit(1)
_NAMED = _FIRST.where(Calendar.id == bindparam("calendar_id"))


def get_or_none(session: Session, org_id: uuid.UUID, calendar_id: str | None) -> Calendar | None:
    """The calendar with this id; without an id the clinic's first calendar."""
    if calendar_id is None:
        return session.scalar(_FIRST, {"org_id": org_id})
    return session.scalar(_NAMED, {"org_id": org_id, "calendar_id": calendar_id})


def list_of_clinic(session: Session, org_id: uuid.UUID) -> list[Calendar]:
    """All calendars of a clinic, sorted by id."""
    return list(session.scalars(select(Calendar).where(Calendar.org_id == org_id).order_by(Calendar.id)))


def zone(session: Session, org_id: uuid.UUID) -> ZoneInfo:
    """The time zone of the clinic's first calendar; UTC where it has no calendar."""
    name = session.scalar(
        select(Calendar.time_zone).where(Calendar.org_id == org_id).order_by(Calendar.id).limit(1)
    )
    return ZoneInfo(name or "UTC")
