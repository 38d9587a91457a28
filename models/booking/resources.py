"""Resources: the people, rooms and devices of a clinic, their weekly hours, and the dates that differ."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, SmallInteger, select, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base, CreatedAt, EnumText, Id, one_of

#: Minutes of a day.
A_DAY = 24 * 60


class ResourceKind(StrEnum):
    """In the order in which they lead: a service is with a person, else in a room, else at a device."""

    PERSON = "person"
    ROOM = "room"
    DEVICE = "device"


class Resource(Base):
    __tablename__ = "resources"
    __table_args__ = (one_of("kind", ResourceKind),)

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[ResourceKind] = mapped_column(EnumText(ResourceKind))
    name: Mapped[str]
    #: IANA name; hours are wall-clock times in this zone.
    time_zone: Mapped[str]
    #: Since when nothing more is booked with it; what is booked stands.
    retired_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class ResourceHours(Base):
    """One period of the week in which a resource works. A person's may say in which room.

    A person without hours is never open; a room or a device without hours is always open. Minutes count from
    the midnight on which the weekday begins; a period that ends after the next midnight goes on into the next
    day.
    """

    __tablename__ = "resource_hours"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "resource_id"], ["resources.org_id", "resources.id"]),
        ForeignKeyConstraint(["org_id", "room_id"], ["resources.org_id", "resources.id"]),
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint(
            f"from_minute BETWEEN 0 AND {A_DAY - 1} AND until_minute > from_minute"
            f" AND until_minute <= from_minute + {A_DAY}",
            name="minutes",
        ),
        ExcludeConstraint(
            ("org_id", "="),
            ("resource_id", "="),
            (text(f"int4range(weekday * {A_DAY} + from_minute, weekday * {A_DAY} + until_minute)"), "&&"),
            using="gist",
            name="ex_resource_hours_no_overlap",
        ),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID]
    resource_id: Mapped[str]
    #: 0 is Monday.
    weekday: Mapped[int] = mapped_column(SmallInteger)
    from_minute: Mapped[int]
    until_minute: Mapped[int]
    room_id: Mapped[str | None]


class HoursException(Base):
    """A date on which hours differ: closed, or open besides; for one resource, or for the whole clinic.

    Without minutes a closure is of the whole day, with the hours that begin on it and go on past midnight.
    """

    __tablename__ = "hours_exceptions"
    __table_args__ = (
        ForeignKeyConstraint(["org_id"], ["organizations.id"]),
        ForeignKeyConstraint(["org_id", "resource_id"], ["resources.org_id", "resources.id"]),
        ForeignKeyConstraint(["org_id", "room_id"], ["resources.org_id", "resources.id"]),
        CheckConstraint(
            f"from_minute BETWEEN 0 AND {A_DAY - 1} AND until_minute > from_minute"
            f" AND until_minute <= from_minute + {A_DAY}",
            name="minutes",
        ),
        CheckConstraint(
            "num_nonnulls(from_minute, until_minute) = 2"
            " OR (NOT is_open AND num_nonnulls(from_minute, until_minute) = 0)",
            name="whole_or_part",
        ),
        Index("ix_hours_exceptions_org_id_day", "org_id", "day"),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID]
    #: Null: the whole clinic.
    resource_id: Mapped[str | None]
    day: Mapped[date]
    is_open: Mapped[bool]
    from_minute: Mapped[int | None]
    until_minute: Mapped[int | None]
    room_id: Mapped[str | None]
    reason: Mapped[str | None]
    created_at: Mapped[CreatedAt]


def get_or_none(session: Session, org_id: uuid.UUID, resource_id: str) -> Resource | None:
    return session.scalar(select(Resource).where(Resource.org_id == org_id, Resource.id == resource_id))


def list_of_clinic(session: Session, org_id: uuid.UUID, *, retired: bool = False) -> list[Resource]:
    """The resources of a clinic by name; the retired ones only if asked for."""
    query = select(Resource).where(Resource.org_id == org_id).order_by(Resource.name, Resource.id)
    return list(session.scalars(query if retired else query.where(Resource.retired_at.is_(None))))
