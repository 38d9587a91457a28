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

#: The ways to write the end of a day: some people write 23:59, and no clinic closes a minute before midnight.
MIDNIGHT = ("24:00", "23:59")

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Calendar(Base):
    __tablename__ = "calendars"
    __table_args__ = (
        # Holds and appointments refer to all three columns, so that none can claim another resource.
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
    #: The person, room or device that is taken up. Two calendars with the same resource exclude each other.
    resource_id: Mapped[str]
    #: IANA name; opening hours are wall-clock times in this zone.
    time_zone: Mapped[str]
    #: {"mon": [["09:00", "12:30"], ["13:30", "17:00"]], …}; a missing day is closed. A period that ends no
    #: later than it begins goes on into the next day; "24:00" is the end of its own day.
    hours: Mapped[dict[str, Any]]
    #: ISO dates on which the calendar is closed in spite of its hours.
    closures: Mapped[list[str]] = mapped_column(server_default="[]")
    #: The services that can be booked, in the clinic's own words, as the agent is told them.
    services: Mapped[list[str]] = mapped_column(server_default="[]")
    #: The length of an appointment, and the time between two offered starts.
    slot_minutes: Mapped[int] = mapped_column(server_default="30")
    step_minutes: Mapped[int] = mapped_column(server_default="30")
    hold_minutes: Mapped[int] = mapped_column(server_default="10")
    #: The least time between booking and start, and how many days ahead callers may book.
    min_notice_minutes: Mapped[int] = mapped_column(server_default="0")
    horizon_days: Mapped[int] = mapped_column(server_default="90")
    created_at: Mapped[CreatedAt]

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def opening_hours(self, day: date) -> list[tuple[datetime, datetime]]:
        """The periods that begin on one local day, as wall-clock times in order; empty when closed.

        A period that goes on past midnight ends at midnight if the next day is a closure.
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
