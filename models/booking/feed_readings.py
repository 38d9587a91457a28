"""The readings of calendars from elsewhere: whose turn it is, and what came of it.

A reading is in three steps, of which only the first and the last have a transaction: `take` it, fetch and
read the calendar (tasks/feeds.py), and `record` what came of it.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import and_, func, or_, select, text, update
from sqlalchemy.orm import Session

from models.base import clock, locks
from models.booking import feeds
from models.booking.blocks import Block
from models.booking.ics import Reading, Span
from models.booking.resources import Resource
from models.booking.services import Service
from models.clinics.calendar_feeds import CalendarFeed, FeedProblem

#: A reading that has not ended after this time never will: its task is ended before.
LEASE = timedelta(seconds=40)

#: How many are read at once, of all clinics together, so that slow servers elsewhere never hold up SMS.
AT_ONCE = 1

#: The longest wait after a failure, unless the feed is read less often anyway.
LONGEST_WAIT = timedelta(hours=1)

#: So many blocks are changed in one transaction, since claims of the resource wait for it.
PORTION = 100

#: No busy time is looked for further ahead.
MOST_DAYS = 730


@dataclass(frozen=True, slots=True)
class Due:
    """A feed that is to be read, for the workers. `wait` is none: the row says when it is due."""

    org_id: uuid.UUID
    feed_id: uuid.UUID
    wait: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Taken:
    """A feed that is being read, from `taken_at` on. Its busy times of [begin, end) are wanted.

    `etag`, `last_modified` and `digest` are those of the calendar that its blocks are from; they are None if
    it has to be worked out once more, since the days that are wanted have moved on.
    """

    org_id: uuid.UUID
    feed_id: uuid.UUID
    taken_at: datetime
    address_sealed: str
    zone: ZoneInfo
    begin: datetime
    end: datetime
    etag: str | None
    last_modified: str | None
    digest: str | None


def ask_for(session: Session, org_id: uuid.UUID, feed_id: uuid.UUID) -> Due | None:
    """Make a feed due now. None if there is none that is on."""
    made = session.execute(
        update(CalendarFeed)
        .where(CalendarFeed.org_id == org_id, CalendarFeed.id == feed_id, CalendarFeed.is_on)
        .values(due_at=func.app_clock())
        .returning(CalendarFeed.id)
    )
    return Due(org_id, feed_id) if made.first() else None


def next_due(session: Session) -> Due | None:
    """The feed that has been due for longest; None while as many are read as may be. For system scope."""
    if _are_busy(session):
        return None
    row = session.execute(_DUE.limit(1)).one_or_none()
    return Due(row.org_id, row.id) if row else None


def take(session: Session, org_id: uuid.UUID, feed_id: uuid.UUID) -> Taken | None:
    """Take a feed that is due. None if it is not, or while as many are read as may be. For system scope."""
    locks.take(session, func.hashtextextended("feeds", 0))
    if _are_busy(session):
        return None
    found = session.execute(
        select(CalendarFeed, Resource.time_zone)
        .join(Resource, _OF_ITS_RESOURCE)
        .where(CalendarFeed.org_id == org_id, CalendarFeed.id == feed_id, *_IS_DUE)
        .with_for_update(of=CalendarFeed, key_share=True, skip_locked=True)
    ).one_or_none()
    if found is None:
        return None
    feed, zone = found.CalendarFeed, ZoneInfo(found.time_zone)
    now = clock.now(session)
    if feed.taken_at is not None:  # the reading before never ended
        feed.problem, feed.failures = FeedProblem.INTERRUPTED, feed.failures + 1
    feed.taken_at = now
    session.flush()
    today = now.astimezone(zone).date()
    days = session.scalar(
        select(func.max(Service.horizon_days)).where(Service.org_id == org_id, Service.retired_at.is_(None))
    )
    begin, end = (
        datetime.combine(today + timedelta(days=number), time(), zone)
        for number in (-1, min((days or 0) + 2, MOST_DAYS))
    )
    is_of_today = feed.worked_out_at is not None and feed.worked_out_at >= datetime.combine(
        today, time(), zone
    )
    return Taken(
        org_id=org_id,
        feed_id=feed_id,
        taken_at=now,
        address_sealed=feed.address_sealed,
        zone=zone,
        begin=begin,
        end=end,
        etag=feed.etag if is_of_today else None,
        last_modified=feed.last_modified if is_of_today else None,
        digest=feed.digest if is_of_today else None,
    )


def _are_busy(session: Session) -> bool:
    since = func.app_clock() - LEASE
    reading = select(func.count()).where(CalendarFeed.is_on, CalendarFeed.taken_at > since)
    return (session.scalar(reading) or 0) >= AT_ONCE


_OF_ITS_RESOURCE = and_(Resource.org_id == CalendarFeed.org_id, Resource.id == CalendarFeed.resource_id)
_IS_DUE = (
    CalendarFeed.is_on,
    CalendarFeed.due_at <= func.app_clock(),
    or_(CalendarFeed.taken_at.is_(None), CalendarFeed.taken_at <= func.app_clock() - LEASE),
    Resource.retired_at.is_(None),
)
_DUE = (
    select(CalendarFeed.org_id, CalendarFeed.id)
    .join(Resource, _OF_ITS_RESOURCE)
    .where(*_IS_DUE)
    .order_by(CalendarFeed.due_at, CalendarFeed.id)
)


# --- what came of a reading ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """A calendar that was read well. Without a `reading` it is the same as the last time."""

    reading: Reading | None
    etag: str | None = None
    last_modified: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many blocks were added and removed, and whether that was all."""

    added: int = 0
    removed: int = 0
    is_all: bool = True


def record(session: Session, taken: Taken, outcome: Read | FeedProblem) -> Recorded | None:
    """End a reading. None if the feed was taken by another, turned off or removed meanwhile.

    Blocks change only where the busy times have: the same calendar writes none. Blocks that are over stay.
    Of more than PORTION changes only so many are made, and the reading goes on: commit, and record it again.
    Waits for claims of the resource, at most the lock timeout (LockNotAvailable after it).
    """
    if isinstance(outcome, FeedProblem) or outcome.reading is None:
        query = select(CalendarFeed).where(
            CalendarFeed.org_id == taken.org_id,
            CalendarFeed.id == taken.feed_id,
            CalendarFeed.is_on,
            CalendarFeed.taken_at == taken.taken_at,
        )
        feed = session.scalar(query.with_for_update(key_share=True))
    else:
        feed = feeds.locked(session, taken.org_id, taken.feed_id, taken.taken_at)
    if feed is None:
        return None
    now = clock.now(session)
    feed.taken_at, feed.asked_at = None, now
    recorded = Recorded()
    if isinstance(outcome, FeedProblem):
        feed.problem, feed.failures = outcome, feed.failures + 1
    else:
        feed.problem, feed.failures, feed.read_at = None, 0, now
        feed.etag, feed.last_modified = outcome.etag, outcome.last_modified
        if outcome.reading is not None:
            recorded = _become_busy(session, feed, outcome.reading.spans, now)
            if not recorded.is_all:
                # If the reading breaks off here, the next one must not hear that nothing has changed since.
                feed.etag = feed.last_modified = feed.digest = feed.worked_out_at = None
                feed.taken_at = taken.taken_at
                return recorded
            feed.events, feed.digest, feed.worked_out_at = outcome.reading.events, outcome.digest, now
    feed.due_at = now + _wait(feed)
    session.flush()
    return recorded


def _wait(feed: CalendarFeed) -> timedelta:
    """Until the next reading; a little more or less, so that feeds of one time do not stay together."""
    every = timedelta(minutes=feed.every_minutes)
    if feed.failures:
        every = max(every, min(every * 2 ** min(feed.failures - 1, 10), LONGEST_WAIT))
    return every * random.uniform(0.9, 1.1)  # noqa: S311 (nobody gains by guessing it)


def _become_busy(session: Session, feed: CalendarFeed, spans: Sequence[Span], now: datetime) -> Recorded:
    """Have the blocks of a feed be these spans, and change only what differs."""
    wanted = {span for span in spans if span[1] > now}
    known = {
        (row.starts_at, row.ends_at): row.id
        for row in session.execute(
            select(Block.id, Block.starts_at, Block.ends_at).where(*feeds.to_come(feed))
        )
    }
    new = sorted(wanted - known.keys())
    gone = [block_id for span, block_id in known.items() if span not in wanted]
    if len(new) + len(gone) <= PORTION:
        _remove(session, feed, gone)
        _add(session, feed, new)
        return Recorded(len(new), len(gone))
    # What is new first, so that between two transactions no time is free that was busy and stays so.
    new = new[:PORTION]
    gone = gone[: PORTION - len(new)]
    _add(session, feed, new)
    _remove(session, feed, gone)
    return Recorded(len(new), len(gone), is_all=False)


def _remove(session: Session, feed: CalendarFeed, gone: Sequence[uuid.UUID]) -> None:
    if gone:
        session.execute(_GONE, {"org": feed.org_id, "ids": list(gone)})


def _add(session: Session, feed: CalendarFeed, new: Sequence[Span]) -> None:
    if new:
        values = {
            "org": feed.org_id,
            "resource": feed.resource_id,
            "feed": feed.id,
            "label": feed.label,
            "begins": [begins for begins, _ in new],
            "ends": [ends for _, ends in new],
        }
        session.execute(_NEW, values)


# One statement each, whatever their number: the trigger takes its locks once for a statement.
_GONE = text("DELETE FROM blocks WHERE org_id = :org AND id = ANY (:ids)")
_NEW = text("""
    INSERT INTO blocks (org_id, resource_id, starts_at, ends_at, reason, source, feed_id)
    SELECT :org, :resource, s.begins, s.ends, :label, 'feed', :feed
      FROM unnest(CAST(:begins AS timestamptz[]), CAST(:ends AS timestamptz[])) s(begins, ends)
""")
