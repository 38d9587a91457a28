"""Published calendars: links by which other programs, such as Google Calendar, read a clinic's diary.

Whoever has the link can read the calendar, so its token is random, stored as a digest only and shown once.
What a calendar says is in models/booking/published_events.py.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

import settings
from models.base.tables import Base, CreatedAt, Id
from models.booking import resources
from models.booking.hours import Impossible

PATH = "/calendar/"
SUFFIX = ".ics"

#: Calendars that one clinic may have published at once.
MOST = 100

#: Bytes of a token: nobody guesses 256 bits.
_BYTES = 32

#: Characters that are kept of how a program that reads a calendar describes itself.
MOST_OF_A_READER = 120


class PublishedCalendar(Base):
    __tablename__ = "published_calendars"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "resource_id"], ["resources.org_id", "resources.id"]),
        UniqueConstraint("token_digest"),
        Index("ix_published_calendars_org_id", "org_id"),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    #: The person, room or device whose diary it is; null for the whole clinic.
    resource_id: Mapped[str | None]
    #: Whether it names patients and services; else it says only when somebody is busy.
    with_names: Mapped[bool]
    #: SHA-256 of the token, in hex.
    token_digest: Mapped[str]
    #: When it was last read, to the minute, and by which program, as that describes itself.
    last_used_at: Mapped[datetime | None]
    last_used_by: Mapped[str | None]
    created_at: Mapped[CreatedAt]


@dataclass(frozen=True, slots=True)
class Found:
    """The clinic and the id of a published calendar."""

    org_id: uuid.UUID
    calendar_id: uuid.UUID


def publish(
    session: Session,
    org_id: uuid.UUID,
    *,
    resource_id: str | None,
    with_names: bool,
    once: uuid.UUID | None = None,
) -> tuple[PublishedCalendar, str | None]:
    """Publish the diary of a resource, or of the whole clinic (None). Returns the calendar and its token,
    which cannot be read again.

    Two calls with the same `once`, which becomes the calendar's id, make one, and the second returns no
    token. Raises Impossible if there is no such resource or it is retired, and if there are MOST already.
    """
    if resource_id is not None:
        resource = resources.get_or_none(session, org_id, resource_id)
        if resource is None:
            raise Impossible(f"there is no {resource_id}")
        if resource.retired_at:
            raise Impossible(f"{resource_id} is retired; publish the calendar of somebody who can be booked")
    known = once and get_or_none(session, org_id, once)
    if known:
        return known, None
    published = list_of_clinic(session, org_id)
    if len(published) >= MOST:
        raise Impossible(f"{MOST} calendars are published already; revoke one that nobody reads")
    token = secrets.token_urlsafe(_BYTES)
    calendar = PublishedCalendar(
        id=once or uuid.uuid4(),
        org_id=org_id,
        resource_id=resource_id,
        with_names=with_names,
        token_digest=digest(token),
    )
    session.add(calendar)
    session.flush()
    session.refresh(calendar)
    return calendar, token


def renew(session: Session, org_id: uuid.UUID, calendar_id: uuid.UUID) -> str | None:
    """Give a calendar another token, which is returned; the one before works no more. None if there is no
    such calendar.
    """
    token = secrets.token_urlsafe(_BYTES)
    renewed = session.execute(
        update(PublishedCalendar)
        .where(PublishedCalendar.org_id == org_id, PublishedCalendar.id == calendar_id)
        .values(token_digest=digest(token), last_used_at=None, last_used_by=None)
        .returning(PublishedCalendar.id)
    )
    return token if renewed.first() else None


def revoke(session: Session, org_id: uuid.UUID, calendar_id: uuid.UUID) -> bool:
    """Publish it no more. False if there is no such calendar. The audit log keeps who did it and when."""
    gone = session.execute(
        delete(PublishedCalendar)
        .where(PublishedCalendar.org_id == org_id, PublishedCalendar.id == calendar_id)
        .returning(PublishedCalendar.id)
    )
    return gone.first() is not None


def get_or_none(session: Session, org_id: uuid.UUID, calendar_id: uuid.UUID) -> PublishedCalendar | None:
    return session.scalar(
        select(PublishedCalendar).where(
            PublishedCalendar.org_id == org_id, PublishedCalendar.id == calendar_id
        )
    )


def list_of_clinic(session: Session, org_id: uuid.UUID) -> list[PublishedCalendar]:
    """The published calendars of a clinic, oldest first."""
    query = select(PublishedCalendar).where(PublishedCalendar.org_id == org_id)
    return list(session.scalars(query.order_by(PublishedCalendar.created_at, PublishedCalendar.id)))


def find(session: Session, token: str) -> Found | None:
    """The calendar with this token, in any clinic; None if there is none."""
    row = session.execute(
        select(PublishedCalendar.org_id, PublishedCalendar.id).where(
            PublishedCalendar.token_digest == digest(token)
        )
    ).one_or_none()
    return Found(*row) if row else None


def note_reading(session: Session, found: Found, reader: str) -> None:
    """Note that a program read a calendar, with at most one write a minute for the same program."""
    reader = reader[:MOST_OF_A_READER]
    session.execute(
        update(PublishedCalendar)
        .where(
            PublishedCalendar.org_id == found.org_id,
            PublishedCalendar.id == found.calendar_id,
            or_(
                PublishedCalendar.last_used_at.is_(None),
                PublishedCalendar.last_used_at < func.app_clock() - timedelta(minutes=1),
                PublishedCalendar.last_used_by.is_distinct_from(reader),
            ),
        )
        .values(last_used_at=func.app_clock(), last_used_by=reader)
        .execution_options(synchronize_session=False)
    )


def digest(token: str) -> str:
    """The SHA-256 of a token, which is random enough to need no slow hash."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def address(token: str) -> str:
    """The URL of the calendar with this token."""
    return f"{settings.get().public_base_url.rstrip('/')}{PATH}{token}{SUFFIX}"


def webcal(token: str) -> str:
    """The same for a device that is to subscribe to it: an iPhone does so where such a link is opened."""
    return "webcal://" + address(token).partition("://")[2]
