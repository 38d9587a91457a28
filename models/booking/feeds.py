"""Busy times from elsewhere: calendars of people that are read again and again, and become blocks.

The blocks of a feed are like those of the desk: they take what is free, and what was booked before stands.
models/booking/feed_readings.py reads, and models/booking/feed_states.py says how the feeds stand.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from models.base import clock, sealing
from models.booking import holds, resources
from models.booking.blocks import Block
from models.booking.hours import Impossible
from models.clinics.calendar_feeds import ADDRESS, LATEST, SOONEST, USUAL, CalendarFeed

MOST_OF_A_RESOURCE = 10
LONGEST_ADDRESS = 2000
LONGEST_LABEL = 80


# --- the set-up -----------------------------------------------------------------------------------


def address_of(given: str) -> str:
    """The address of a calendar as it is asked for. Raises Impossible."""
    address = given.strip()
    if address.lower().startswith(("webcal://", "webcals://")):
        address = "https" + address[address.index(":") :]
    if not address:
        raise Impossible("paste the address of the calendar, which begins with https://")
    if len(address) > LONGEST_ADDRESS or not address.isascii() or not address.isprintable() or " " in address:
        raise Impossible("that is no address; copy it once more, from https:// to its end")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host and parts.scheme == "http":
        raise Impossible(
            "the address begins with http://, which anybody on the way can read; it must be https://"
        )
    if not host or parts.scheme != "https":
        raise Impossible("that is no address of a calendar; it begins with https:// or webcal://")
    if parts.username is not None or parts.password is not None:
        raise Impossible("the address has a name or a password in it; copy one that needs none")
    return address


def masked(feed: CalendarFeed) -> str:
    """The host of its address, and nothing of the secret after it."""
    try:
        return f"https://{urlsplit(address(feed)).hostname}/…"
    except sealing.CannotUnseal:
        return "…"


def address(feed: CalendarFeed) -> str:
    """The whole address, which is a secret. Raises CannotUnseal."""
    return sealing.unseal(feed.org_id, ADDRESS, feed.address_sealed)


def add(
    session: Session,
    *,
    org_id: uuid.UUID,
    resource_id: str,
    address: str,
    label: str,
    every_minutes: int = USUAL,
) -> CalendarFeed:
    """Add the calendar of a person, room or device. It is due at once. Raises Impossible."""
    wanted = address_of(address)
    resource = resources.get_or_none(session, org_id, resource_id)
    if resource is None:
        raise Impossible(f"there is no {resource_id}; choose whose calendar it is")
    if resource.retired_at:
        raise Impossible(f"{resource.name} is retired, and cannot be booked in any case")
    holds.lock_resources(session, org_id, [resource_id])
    known = [each for each in list_of_clinic(session, org_id) if each.resource_id == resource_id]
    if len(known) >= MOST_OF_A_RESOURCE:
        raise Impossible(f"{resource.name} has {len(known)} calendars already; remove one first")
    if any(_is_at(each, wanted) for each in known):
        raise Impossible(f"{resource.name} has that calendar already")
    feed = CalendarFeed(
        org_id=org_id,
        resource_id=resource_id,
        label=_label(label),
        address_sealed=sealing.seal(org_id, ADDRESS, wanted),
        every_minutes=_every(every_minutes),
        due_at=clock.now(session),
    )
    session.add(feed)
    session.flush()
    session.refresh(feed)
    return feed


def _is_at(feed: CalendarFeed, wanted: str) -> bool:
    try:
        return address(feed) == wanted
    except sealing.CannotUnseal:
        return False


def _label(given: str) -> str:
    label = " ".join(given.split())
    if not label or not label.isprintable() or len(label) > LONGEST_LABEL:
        raise Impossible(f"a calendar needs a name for the diary, of at most {LONGEST_LABEL} characters")
    return label


def _every(minutes: int) -> int:
    if not SOONEST <= minutes <= LATEST:
        raise Impossible(f"a calendar is read every {SOONEST} to {LATEST} minutes")
    return minutes


def get_or_none(session: Session, org_id: uuid.UUID, feed_id: uuid.UUID) -> CalendarFeed | None:
    return session.scalar(
        select(CalendarFeed).where(CalendarFeed.org_id == org_id, CalendarFeed.id == feed_id)
    )


def list_of_clinic(session: Session, org_id: uuid.UUID) -> list[CalendarFeed]:
    query = select(CalendarFeed).where(CalendarFeed.org_id == org_id)
    return list(
        session.scalars(query.order_by(CalendarFeed.resource_id, CalendarFeed.created_at, CalendarFeed.id))
    )


def change(
    session: Session,
    org_id: uuid.UUID,
    feed_id: uuid.UUID,
    *,
    label: str | None = None,
    every_minutes: int | None = None,
    is_on: bool | None = None,
) -> CalendarFeed:
    """Change what is given. Turned off, a feed is not read any more, and gives back its time to come; turned
    on, it is due at once. Raises Impossible.
    """
    feed = locked(session, org_id, feed_id)
    if feed is None:
        raise Impossible("that calendar is not there any more")
    if every_minutes is not None:
        feed.every_minutes = _every(every_minutes)
        feed.due_at = clock.now(session)
    if label is not None and (label := _label(label)) != feed.label:
        feed.label = label
        session.execute(update(Block).where(*to_come(feed)).values(reason=label))
    if is_on is not None and is_on != feed.is_on:
        feed.is_on = is_on
        feed.taken_at = feed.worked_out_at = feed.events = None
        feed.due_at = clock.now(session)
        feed.problem, feed.failures = None, 0
        if not is_on:
            session.execute(delete(Block).where(*to_come(feed)))
    session.flush()
    return feed


def remove(session: Session, org_id: uuid.UUID, feed_id: uuid.UUID) -> bool:
    """Remove a calendar and give all of its time back. False if there is none."""
    feed = locked(session, org_id, feed_id)
    if feed is None:
        return False
    session.execute(delete(Block).where(Block.org_id == org_id, Block.feed_id == feed_id))
    session.delete(feed)
    session.flush()
    return True


def locked(
    session: Session, org_id: uuid.UUID, feed_id: uuid.UUID, taken_at: datetime | None = None
) -> CalendarFeed | None:
    """A feed whose blocks are about to change; with `taken_at` only while that reading has it.

    The lock of its resource comes first, as in every transaction that changes what is taken.
    """
    found = get_or_none(session, org_id, feed_id)
    if found is None:
        return None
    holds.lock_resources(session, org_id, [found.resource_id])
    query = select(CalendarFeed).where(CalendarFeed.org_id == org_id, CalendarFeed.id == feed_id)
    if taken_at is not None:
        query = query.where(CalendarFeed.is_on, CalendarFeed.taken_at == taken_at)
    return session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))


def to_come(feed: CalendarFeed) -> tuple[ColumnElement[bool], ...]:
    return Block.org_id == feed.org_id, Block.feed_id == feed.id, Block.ends_at > func.app_clock()
