"""Calendars from elsewhere: each that is due is fetched, read, and becomes busy times of its person."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterator

from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import InternalError, OperationalError

from celeryconfig import Task
from models.base import sealing
from models.base.session import Door, system_transaction, transaction
from models.booking import calendar_uids, feed_readings, ics
from models.booking.feed_readings import Due, Read, Recorded, Taken
from models.clinics.calendar_feeds import ADDRESS, FeedProblem
from tasks import safe_fetch
from tasks.app import app
from tasks.beat import Sweep
from tasks.nudges import nudge

log = logging.getLogger(__name__)


@app.task(name=Task.SWEEP_FEEDS.value, base=Sweep)
def sweep_feeds() -> None:
    """Nudge the calendar that has been due for longest; each that was read nudges the next."""
    if due := _next():
        nudge(due)


@app.task(
    name=Task.READ_FEED.value,
    autoretry_for=(OperationalError, InternalError),
    max_retries=3,
    retry_backoff=2,
    retry_backoff_max=10,
    retry_jitter=False,
)
def read_feed(*, org_id: str, feed_id: str) -> None:
    """Read one calendar, if it is due and no other task reads it. What is wrong is kept in its row."""
    with system_transaction(Door.SWEEP, actor=Task.READ_FEED.value) as session:
        taken = feed_readings.take(session, uuid.UUID(org_id), uuid.UUID(feed_id))
    if taken is None:
        return
    outcome = _read(taken)
    for recorded in _record(taken, outcome):
        if recorded.added or recorded.removed:
            log.info("feed %s: %d busy times more, %d less", feed_id, recorded.added, recorded.removed)
    if isinstance(outcome, FeedProblem):
        log.warning("feed %s was not read: %s", feed_id, outcome.value)
    if due := _next():
        nudge(due)


def _record(taken: Taken, outcome: Read | FeedProblem) -> Iterator[Recorded]:
    """End a reading, in as many short transactions as it takes."""
    recorded: Recorded | None = Recorded(is_all=False)
    while recorded and not recorded.is_all:
        with transaction(taken.org_id, actor=Task.READ_FEED.value) as session:
            recorded = feed_readings.record(session, taken, outcome)
        if recorded:
            yield recorded


def _next() -> Due | None:
    with system_transaction(Door.SWEEP) as session:
        return feed_readings.next_due(session)


def _read(taken: Taken) -> Read | FeedProblem:
    """Fetch and read a calendar, with no transaction open: both may take seconds."""
    try:
        address = sealing.unseal(taken.org_id, ADDRESS, taken.address_sealed)
        found = safe_fetch.fetch(address, etag=taken.etag, last_modified=taken.last_modified)
        if found.body is None:
            return Read(None, taken.etag, taken.last_modified)
        digest = hashlib.sha256(found.body).hexdigest()
        if digest == taken.digest:
            return Read(None, found.etag, found.last_modified)
        reading = ics.run(
            found.body,
            zone=taken.zone,
            begin=taken.begin,
            end=taken.end,
            own_uids=calendar_uids.ending(taken.org_id),
        )
        return Read(reading, found.etag, found.last_modified, digest)
    except (sealing.CannotUnseal, safe_fetch.CannotFetch, ics.CannotRead, SoftTimeLimitExceeded) as problem:
        return _problem(problem)


def _problem(problem: Exception) -> FeedProblem:
    if isinstance(problem, safe_fetch.CannotFetch):
        return problem.problem
    if isinstance(problem, ics.CannotRead):
        return FeedProblem(problem.fault.value)
    return FeedProblem.CANNOT_UNSEAL if isinstance(problem, sealing.CannotUnseal) else FeedProblem.TOO_SLOW
