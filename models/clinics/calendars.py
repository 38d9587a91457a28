"""A calendar: one bookable person or room of a clinic, its zone, opening hours and rules."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base, CreatedAt

#: How the end of a day is written; 23:59 by those who know no 24:00, and nobody closes a minute before it.
MIDNIGHT = ("24:00", "23:59")

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Calendar(Base):
    __tablename__ = "calendars"
    __table_args__ = (
        # Holds and appointments point at all three columns, so that none can claim another resource.
        UniqueConstraint("org_id", "id", "resource_id"),
        CheckConstraint("slot_minutes BETWEEN 5 AND 480", name="slot_minutes"),
        CheckConstraint("step_minutes BETWEEN 5 AND 480", name="step_minutes"),
        CheckConstraint("hold_minutes BETWEEN 1 AND 60", name="hold_minutes"),
        CheckConstraint("horizon_days BETWEEN 1 AND 3660", name="horizon_days"),
        CheckConstraint("min_notice_minutes >= 0", name="min_notice_minutes"),
    )

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    #: What cannot be in two places at once. Two calendars that name the same one exclude each other.
    resource_id: Mapped[str]
    #: IANA name; opening hours are wall-clock time in it.
    time_zone: Mapped[str]
    #: {"mon": [["09:00", "12:30"], ["13:30", "17:00"]], …}; a day that is missing is closed. A period that
    #: ends no later than it begins goes on into the next day; "24:00" is the end of its own day.
    hours: Mapped[dict[str, Any]]
    #: ISO dates on which the calendar is closed whatever its hours say.
    closures: Mapped[list[str]] = mapped_column(server_default="[]")
    #: What can be booked, in the clinic's own words; offered to the agent.
    services: Mapped[list[str]] = mapped_column(server_default="[]")
    #: How long an appointment lasts, and how far apart two offered starts are.
    slot_minutes: Mapped[int] = mapped_column(server_default="30")
    step_minutes: Mapped[int] = mapped_column(server_default="30")
    hold_minutes: Mapped[int] = mapped_column(server_default="10")
    #: The soonest a caller may come, and how many days ahead the diary is open.
    min_notice_minutes: Mapped[int] = mapped_column(server_default="0")
    horizon_days: Mapped[int] = mapped_column(server_default="90")
    created_at: Mapped[CreatedAt]

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def opening_hours(self, day: date) -> list[tuple[datetime, datetime]]:
        """The periods that begin on one local day, as wall-clock time and in order; empty when closed.

        One that goes on over midnight ends there if the next day is closed.
        """
        if day.isoformat() in self.closures:
            return []
        midnight = datetime.combine(day + timedelta(days=1), time())
        periods = []
        for start, end in self.hours.get(WEEKDAYS[day.weekday()], []):
            opens = datetime.combine(day, time.fromisoformat(start))
            closes = midnight if end in MIDNIGHT else datetime.combine(day, time.fromisoformat(end))
            closes += timedelta(days=closes <= opens)
            if midnight.date().isoformat() in self.closures:
                closes = min(closes, midnight)
            periods.append((opens, closes))
        return sorted(periods)


_FIRST = select(Calendar).where(Calendar.org_id == bindparam("org_id")).order_by(Calendar.id).limit(1)
_NAMED = _FIRST.where(Calendar.id == bindparam("calendar_id"))


def get_or_none(session: Session, org_id: uuid.UUID, calendar_id: str | None) -> Calendar | None:
    """One calendar; without an id the clinic's first one."""
    if calendar_id is None:
        return session.scalar(_FIRST, {"org_id": org_id})
    return session.scalar(_NAMED, {"org_id": org_id, "calendar_id": calendar_id})


def list_of_clinic(session: Session, org_id: uuid.UUID) -> list[Calendar]:
    """All calendars of a clinic, by their ids."""
    return list(session.scalars(select(Calendar).where(Calendar.org_id == org_id).order_by(Calendar.id)))


def zone(session: Session, org_id: uuid.UUID) -> ZoneInfo:
    """The clinic's time zone, which is that of its first calendar; UTC where it has none."""
    name = session.scalar(
        select(Calendar.time_zone).where(Calendar.org_id == org_id).order_by(Calendar.id).limit(1)
    )
    return ZoneInfo(name or "UTC")
