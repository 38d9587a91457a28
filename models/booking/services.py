"""Services: what can be booked, how long it takes, by which rules, and who or what can do it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Select,
    and_,
    or_,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base, CreatedAt, EnumText, one_of
from models.booking import resources
from models.booking.resources import Resource, ResourceKind
from models.clinics import calendars
from models.clinics.calendars import Calendar

#: The name of the one service of a calendar for which none was named. It is not told to callers, so it is
#: none that a clinic would choose.
UNNAMED = "Any appointment"


#: The rules of a service that are whole numbers: the least and the most, as the schema has them.
LIMITS = {
    "minutes": (5, 480),
    "minutes_before": (0, 240),
    "minutes_after": (0, 240),
    "step_minutes": (5, 480),
    "min_notice_minutes": (0, 525_600),
    "horizon_days": (1, 3660),
    "most_per_day": (1, 10_000),
}

#: The rules of a service where nothing else is said.
RULES: Mapping[str, Any] = {
    "minutes": 30,
    "minutes_before": 0,
    "minutes_after": 0,
    "step_minutes": 30,
    "min_notice_minutes": 0,
    "horizon_days": 90,
    "most_per_day": None,
    "by_phone": True,
    "by_link": True,
}


class Worth(StrEnum):
    """What a service is worth to the clinic, for the score of a caller who wants it."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Service(Base):
    """The times of a service are in minutes. A start is a step from the opening, by the wall clock."""

    __tablename__ = "services"
    __table_args__ = (
        CheckConstraint("minutes BETWEEN 5 AND 480", name="minutes"),
        CheckConstraint("minutes_before BETWEEN 0 AND 240", name="minutes_before"),
        CheckConstraint("minutes_after BETWEEN 0 AND 240", name="minutes_after"),
        CheckConstraint("step_minutes BETWEEN 5 AND 480", name="step_minutes"),
        CheckConstraint("min_notice_minutes >= 0", name="min_notice_minutes"),
        CheckConstraint("horizon_days BETWEEN 1 AND 3660", name="horizon_days"),
        CheckConstraint("most_per_day >= 1", name="most_per_day"),
        one_of("worth", Worth),
    )

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    #: As the clinic calls it, and what callers may say for it besides.
    name: Mapped[str]
    words: Mapped[list[str]] = mapped_column(server_default="[]")
    #: The order in which the services are named.
    position: Mapped[int] = mapped_column(server_default="0")
    minutes: Mapped[int] = mapped_column(server_default="30")
    #: Kept free before and after, for the same person, room and device.
    minutes_before: Mapped[int] = mapped_column(server_default="0")
    minutes_after: Mapped[int] = mapped_column(server_default="0")
    #: The time between two offered starts.
    step_minutes: Mapped[int] = mapped_column(server_default="30")
    #: The least time between booking and start, and how many days ahead patients may book.
    min_notice_minutes: Mapped[int] = mapped_column(server_default="0")
    horizon_days: Mapped[int] = mapped_column(server_default="90")
    #: How many may begin on one day, whoever does them; null for any number.
    most_per_day: Mapped[int | None]
    #: Whether callers may book it, and whether patients may move it by their link. The desk always may.
    by_phone: Mapped[bool] = mapped_column(server_default="true")
    by_link: Mapped[bool] = mapped_column(server_default="true")
    #: Null: as the call itself suggests (models/leads/scoring.py).
    worth: Mapped[Worth | None] = mapped_column(EnumText(Worth))
    #: Since when it is offered no more; what is booked stands.
    retired_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class ServiceResource(Base):
    """A person, room or device that can do a service. An appointment takes one of each kind that has any."""

    __tablename__ = "service_resources"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "service_id"], ["services.org_id", "services.id"]),
        ForeignKeyConstraint(["org_id", "resource_id"], ["resources.org_id", "resources.id"]),
        Index("ix_service_resources_org_id_resource_id", "org_id", "resource_id"),
    )

    org_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    service_id: Mapped[str] = mapped_column(primary_key=True)
    resource_id: Mapped[str] = mapped_column(primary_key=True)


def get_or_none(session: Session, org_id: uuid.UUID, service_id: str) -> Service | None:
    return session.scalar(select(Service).where(Service.org_id == org_id, Service.id == service_id))


def list_of_clinic(session: Session, org_id: uuid.UUID, *, retired: bool = False) -> list[Service]:
    """The services of a clinic in their order; the retired ones only if asked for."""
    query = select(Service).where(Service.org_id == org_id).order_by(Service.position, Service.id)
    return list(session.scalars(query if retired else query.where(Service.retired_at.is_(None))))


def who_can_do(session: Session, service: Service) -> list[Resource]:
    """The people, rooms and devices that can do a service, by id."""
    query = (
        select(Resource)
        .join(
            ServiceResource,
            and_(ServiceResource.org_id == Resource.org_id, ServiceResource.resource_id == Resource.id),
        )
        .where(ServiceResource.org_id == service.org_id, ServiceResource.service_id == service.id)
        .order_by(Resource.id)
        # Somebody may have retired one while this transaction waited for a lock.
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(query))


def done_by(session: Session, org_id: uuid.UUID, resource_id: str) -> list[Service]:
    """The services that a person, room or device can do, in their order."""
    query = _done_by(org_id, resource_id).order_by(Service.position, Service.id)
    return list(session.scalars(query))


def _done_by(org_id: uuid.UUID, resource_id: str) -> Select[Service]:
    its_own = select(ServiceResource.service_id).where(
        ServiceResource.org_id == org_id, ServiceResource.resource_id == resource_id
    )
    return select(Service).where(
        Service.org_id == org_id, Service.id.in_(its_own), Service.retired_at.is_(None)
    )


def lock_done_by(session: Session, org_id: uuid.UUID, resource_id: str) -> list[Service]:
    """The same, by id, locked until the commit: two people at once do not take the last two from a service.
    Claims refer to these rows, and do not wait for the lock.
    """
    query = _done_by(org_id, resource_id).order_by(Service.id).with_for_update(key_share=True)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def names_of_clinic(session: Session, org_id: uuid.UUID) -> list[str]:
    """The names of a clinic's services in their order, each once."""
    return list(dict.fromkeys(each.name for each in list_of_clinic(session, org_id) if each.name != UNNAMED))


def worths_of_clinic(session: Session, org_id: uuid.UUID) -> dict[str, Worth]:
    """The worth of a clinic's services by name, where it is set. Of two with one name the first counts."""
    found: dict[str, Worth] = {}
    for each in list_of_clinic(session, org_id):
        if each.worth is not None:
            found.setdefault(each.name, each.worth)
    return found


def names_by_calendar(session: Session, calendar: Calendar) -> list[str]:
    """The names of what callers may book by a calendar, in their order, each once.

    That is what its own person or room can do, and what nobody with a calendar of their own can: by any
    calendar the caller is offered whoever does that.
    """
    query = (
        select(Service.name)
        .where(Service.org_id == calendar.org_id, Service.retired_at.is_(None), Service.by_phone)
        .order_by(Service.position, Service.id)
    )
    if calendar.resource_id is not None:
        done = select(ServiceResource.service_id).where(ServiceResource.org_id == calendar.org_id)
        own = done.where(ServiceResource.resource_id == calendar.resource_id)
        with_a_calendar = select(Calendar.resource_id).where(Calendar.org_id == calendar.org_id)
        of_others = done.where(ServiceResource.resource_id.in_(with_a_calendar))
        query = query.where(or_(Service.id.in_(own), Service.id.not_in(of_others)))
    return [name for name in dict.fromkeys(session.scalars(query)) if name != UNNAMED]


def people_to_ask_for(session: Session, org_id: uuid.UUID) -> list[str]:
    """The names of a clinic's people, for callers to choose from.

    None if each of them has a calendar of their own, and every calendar is one of theirs: then callers
    choose by the calendar.
    """
    people = {
        each.id: each.name
        for each in resources.list_of_clinic(session, org_id)
        if each.kind is ResourceKind.PERSON
    }
    own = {each.resource_id for each in calendars.list_of_clinic(session, org_id)}
    return [] if own == set(people) else list(people.values())


_STARTS = text("""
    SELECT a.scheduled_at AS starts_at FROM appointments a
     WHERE a.org_id = :org AND a.service_id = :service AND a.scheduled_at >= :begin AND a.scheduled_at < :end
       AND a.status <> 'cancelled'
    UNION ALL
    SELECT h.starts_at FROM appointment_holds h
     WHERE h.org_id = :org AND h.service_id = :service AND h.starts_at >= :begin AND h.starts_at < :end
       AND hold_is_live(h.status, h.expires_at, app_clock())
    ORDER BY 1
""")


def find_starts(
    session: Session, org_id: uuid.UUID, service_id: str, begin: datetime, end: datetime
) -> list[datetime]:
    """When the appointments and live holds of a service begin in [begin, end), in order."""
    values = {"org": org_id, "service": service_id, "begin": begin, "end": end}
    return list(session.scalars(_STARTS, values))
