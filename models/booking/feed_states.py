"""What the staff are told of calendars from elsewhere: how they stand, and what is wrong."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, select, text
from sqlalchemy.orm import Session

from models.booking.appointments import Appointment, AppointmentStatus
from models.booking.blocks import Block
from models.booking.occupancies import Occupancy
from models.booking.resources import Resource
from models.clinics.calendar_feeds import IS_UNREAD, CalendarFeed, FeedProblem
from models.clinics.organizations import Organization


@dataclass(frozen=True, slots=True)
class State:
    """A feed, whose it is, and how many busy times are to come until when."""

    feed: CalendarFeed
    name: str
    is_unread: bool
    busy: int
    busy_until: datetime | None


def states(session: Session, org_id: uuid.UUID) -> list[State]:
    """The feeds of a clinic, by the names of the people."""
    blocks = (
        select(Block.feed_id, func.count().label("busy"), func.max(Block.ends_at).label("until"))
        .where(Block.org_id == org_id, Block.feed_id.is_not(None), Block.ends_at > func.app_clock())
        .group_by(Block.feed_id)
        .subquery()
    )
    unread = {each.feed_id for each in find_unread(session, org_id)}
    rows = session.execute(
        select(CalendarFeed, Resource.name, blocks.c.busy, blocks.c.until)
        .join(Resource, and_(Resource.org_id == CalendarFeed.org_id, Resource.id == CalendarFeed.resource_id))
        .outerjoin(blocks, blocks.c.feed_id == CalendarFeed.id)
        .where(CalendarFeed.org_id == org_id)
        .order_by(Resource.name, CalendarFeed.created_at, CalendarFeed.id)
    )
    return [
        State(row.CalendarFeed, row.name, row.CalendarFeed.id in unread, row.busy or 0, row.until)
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Unread:
    """A calendar that was not read well since `since`, for which its person is not offered to callers."""

    feed_id: uuid.UUID
    label: str
    resource_id: str
    name: str
    since: datetime


def find_unread(session: Session, org_id: uuid.UUID) -> list[Unread]:
    """Those that were not read well for longer than the clinic allows."""
    return [Unread(**row._mapping) for row in session.execute(_UNREAD, {"org": org_id})]


_UNREAD = text(f"""
    SELECT f.id AS feed_id, f.label, r.id AS resource_id, r.name, coalesce(f.read_at, f.created_at) AS since
      FROM calendar_feeds f
      JOIN organizations o ON o.id = f.org_id
      JOIN resources r ON r.org_id = f.org_id AND r.id = f.resource_id AND r.retired_at IS NULL
     WHERE f.org_id = :org AND {IS_UNREAD}
     ORDER BY r.name, f.label, f.id
""")


def limit_hours(session: Session, org_id: uuid.UUID) -> int:
    return session.scalars(select(Organization.feed_limit_hours).where(Organization.id == org_id)).one()


def find_met(session: Session, org_id: uuid.UUID) -> list[tuple[uuid.UUID, Appointment]]:
    """The confirmed appointments to come in the busy times of feeds, each with its feed, in order."""
    query = (
        select(Block.feed_id, Appointment)
        .join(
            Occupancy,
            and_(
                Occupancy.org_id == Block.org_id,
                Occupancy.resource_id == Block.resource_id,
                Occupancy.starts_at > Block.starts_at - timedelta(hours=24),
                Occupancy.starts_at < Block.ends_at,
                Occupancy.ends_at > Block.starts_at,
            ),
        )
        .join(Appointment, and_(Appointment.org_id == org_id, Appointment.id == Occupancy.appointment_id))
        .where(
            Block.org_id == org_id,
            Block.feed_id.is_not(None),
            Block.ends_at > func.app_clock(),
            Appointment.status == AppointmentStatus.CONFIRMED,
            Appointment.ends_at > func.app_clock(),
        )
        .order_by(Appointment.scheduled_at, Appointment.id)
    )
    found = {(row.feed_id, row.Appointment.id): row.Appointment for row in session.execute(query)}
    return [(feed_id, appointment) for (feed_id, _), appointment in found.items()]


#: What is wrong, for people: each sentence says what to do.
SENTENCES = {
    FeedProblem.BAD_ADDRESS: "The address is not one that may be asked. Copy it again, from https:// on.",
    FeedProblem.NOT_PUBLIC: "The address leads into a private network. Copy the one on the internet.",
    FeedProblem.NO_SUCH_HOST: "There is no server of that name. Copy the address again.",
    FeedProblem.UNREACHABLE: "The server did not answer, or broke off. It is tried again by itself.",
    FeedProblem.NOT_TRUSTED: "The server's certificate cannot be trusted. Its owner has to renew it.",
    FeedProblem.TOO_SLOW: "The server took too long. It is tried again by itself.",
    FeedProblem.TOO_MANY_REDIRECTS: "The address leads on and on. Open it in a browser; copy where it ends.",
    FeedProblem.REFUSED: "The server wants a sign-in. Copy the secret or public address in ICS format.",
    FeedProblem.NOT_FOUND: "No calendar is there any more. Publish it again, and add the new address.",
    FeedProblem.SERVER_FAILED: "The server has a fault or too much to do. It is tried again by itself.",
    FeedProblem.BAD_ANSWER: "The server's answer cannot be used. Copy the address again.",
    FeedProblem.NOT_A_CALENDAR: "It is no calendar, perhaps a web page. Copy the address in ICS format.",
    FeedProblem.UNREADABLE: "The calendar has mistakes in it. Publish it again where it comes from.",
    FeedProblem.TOO_LARGE: "The calendar is larger than 5 MB. Publish fewer months or fewer details.",
    FeedProblem.TOO_MANY_EVENTS: "It has more than 5,000 events to come. Publish fewer months.",
    FeedProblem.TOO_MANY_INSTANCES: "Its events repeat more than 10,000 times. End those that never end.",
    FeedProblem.TOO_MANY_ZONES: "It describes more than 200 time zones. Publish it again.",
    FeedProblem.TOOK_TOO_LONG: "It took too long to work out. Look for an event that repeats every minute.",
    FeedProblem.CANNOT_UNSEAL: "Its address cannot be read with this SECRET_KEY. Remove it; add it again.",
    FeedProblem.INTERRUPTED: "The last reading was broken off. It is tried again by itself.",
}
