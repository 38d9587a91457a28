"""Sends SMS: claims the row and commits, calls the provider, records the outcome; and asks afterwards."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial

from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError, SQLAlchemyError

from celeryconfig import Task
from models.base.session import Door, system_transaction, transaction
from models.messaging import matching, messages, outbox, outcomes, receipts, reconciling, timing
from models.messaging.states import Cause
from tasks import providers
from tasks.app import app
from tasks.beat import Sweep
from tasks.delivery import CLOCK_SKEW, asked_of, prepare, record_accepted, record_problem, words_of
from tasks.nudges import nudge
from tasks.providers import Misconfigured, Unavailable

log = logging.getLogger(__name__)

#: The first level of retries, for troubles that pass in seconds; the second is the row's next_attempt_at.
RETRY_ON = (Unavailable, OperationalError, InternalError)  # the last: a session that has become read-only
RETRIES = 3
RETRY_FIRST, RETRY_LONGEST = 2, 10  # seconds; each wait is twice the one before

#: Seconds after the claim at which the attempt is no longer made; half of its lease.
STALE = timing.LEASE.total_seconds() / 2

#: Seconds after which an answer counts as slow: the clinic's messages then go one at a time.
SLOW = 2.0

#: Seconds after which a run asks the providers nothing more; and seconds for one question.
RUN = 8.0
PATIENCE = 4.0

#: A run leaves a clinic after this many failed questions in a row about its messages.
FAILURES = 3

#: Seconds for which recording an outcome is tried while the database is away; it may only be restarting.
INSIST = 5.0


@app.task(
    name=Task.DELIVER_SMS.value,
    autoretry_for=RETRY_ON,
    max_retries=RETRIES,
    retry_backoff=RETRY_FIRST,
    retry_backoff_max=RETRY_LONGEST,
    retry_jitter=False,
)
def deliver_sms(*, org_id: str, message_id: str) -> None:
    """Send one queued SMS. It is harmless to run twice, or for a row that needs nothing."""
    begun = time.monotonic()
    clinic = uuid.UUID(org_id)
    with transaction(clinic) as session:
        message = outbox.claim_for_sending(session, clinic, uuid.UUID(message_id))
        outgoing = prepare(session, message) if message else None
        again = None if outgoing else outbox.nudge_for_its_moment(session, clinic, uuid.UUID(message_id))
    if again:
        nudge(again)
    if message is None or outgoing is None:
        return
    if time.monotonic() - begun > STALE:
        return  # this process was frozen: its lease may be over, and another attempt under way
    asked = time.monotonic()
    try:
        with _alive(message):
            accepted = outgoing.provider.send(outgoing.text)
    except (providers.Problem, SoftTimeLimitExceeded) as problem:
        _record(message, partial(record_problem, problem=problem), asked)
        if isinstance(problem, Unavailable) and not problem.later and message.attempt <= RETRIES:
            raise  # Celery retries first; later the row says when, and Celery's retry would find nothing due
        if isinstance(problem, Misconfigured):
            _try_soon(message)
    else:
        _record(message, partial(record_accepted, accepted=accepted), asked)


@contextmanager
def _alive(message: messages.SmsMessage) -> Iterator[None]:
    """Keep the attempt's lease alive while this process waits for the provider."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(timing.BEAT.total_seconds()):
            with suppress(SQLAlchemyError), transaction(message.org_id) as session:
                outbox.keep_alive(session, message)

    teller = threading.Thread(target=tell, name=f"alive-{message.id}", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join(1)  # the next step needs the one connection of this process


def _try_soon(message: messages.SmsMessage) -> None:
    """Nudge the message if its sender is tried again in seconds, which is sooner than the sweep nudges."""
    with transaction(message.org_id) as session:
        again = outbox.nudge_for_its_moment(session, message.org_id, message.id)
    if again:
        nudge(again)


def _record(message: messages.SmsMessage, verb: Callable[..., None], asked: float) -> None:
    """Record an outcome. It is known only here, so the task tries for INSIST if the database is away."""
    now = time.monotonic()
    until, slow = now + INSIST, now - asked > SLOW
    while True:
        try:
            with transaction(message.org_id) as session:
                verb(session, message)
                return outcomes.record_end(session, message, slow=slow)
        except DBAPIError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


@app.task(name=Task.SWEEP_SMS.value, base=Sweep)
def sweep_sms() -> None:
    """Nudge rows that are due and had no nudge: Redis was away, or the web process died after its commit."""
    with system_transaction(Door.SWEEP) as session:
        due = outbox.sweep(session)
    for row in due:
        nudge(row)


@app.task(name=Task.RECONCILE_SMS.value, base=Sweep)
def reconcile_sms() -> None:
    """Ask about SMS that may or may not have been sent, and settle whether they were."""
    _ask_about_each(reconciling.find_unsettled, _settle)


@app.task(name=Task.CHECK_RECEIPTS.value, base=Sweep)
def check_receipts() -> None:
    """Ask about SMS that were accepted and whose receipt or price did not come."""
    _ask_about_each(reconciling.find_without_receipt, _check)


def _ask_about_each(
    find: Callable[..., list[messages.SmsMessage]], ask: Callable[[messages.SmsMessage], None]
) -> None:
    """Ask about one message after another, for RUN seconds.

    If a question fails, its message is put off and does not hold up others. A clinic whose account is broken,
    whose provider does not answer, or whose questions fail several times is left for a while: the same
    workers send SMS, which must not wait behind it.
    """
    until = time.monotonic() + RUN
    failures: Counter[uuid.UUID] = Counter()
    while (begun := time.monotonic()) < until:
        with system_transaction(Door.SWEEP) as session:
            found = find(session, limit=1)
        if not found:
            return
        [message] = found
        clinic = message.org_id
        try:
            ask(message)
            failures[clinic] = 0
        except (Misconfigured, Unavailable) as problem:
            log.warning("organisation %s: sms %s cannot be asked about: %s", clinic, message.id, problem)
            failures[clinic] += 1
            hangs = time.monotonic() - begun > PATIENCE / 2
            with transaction(clinic) as session:
                reconciling.ask_later(session, message)
                if hangs or failures[clinic] >= FAILURES or isinstance(problem, Misconfigured):
                    reconciling.ask_others_first(session, clinic)


def _settle(message: messages.SmsMessage) -> None:
    """Ask about an SMS whose outcome is unknown. Raises Misconfigured or Unavailable."""
    with transaction(message.org_id) as session:
        provider = asked_of(session, message, timeout=PATIENCE)
        bodies = words_of(session, message)
    if provider is None or not bodies:
        # Another account has it, or its words cannot be made again: it stays unknown, and the staff see it.
        log.warning("organisation %s: sms %s can no longer be looked for", message.org_id, message.id)
        with transaction(message.org_id) as session:
            reconciling.lose_sight_of(session, message)
        return
    found = provider.find(to=message.to_phone, bodies=bodies, since=message.created_at - CLOCK_SKEW)
    with transaction(message.org_id) as session:
        times = {each.provider_id: each.at for each in found}
        own = matching.own_of(session, message, times, longest=timedelta(seconds=provider.longest))
        # The earliest copy settles it, whichever attempt it came from: the patient received it first.
        newest_first = sorted(found, key=lambda each: each.at or message.created_at, reverse=True)
        for each in reversed(newest_first):
            if each.provider_id in own:
                record_accepted(session, message, each, cause=Cause.FOUND)
        if not own:
            reconciling.record_never_sent(session, message)


def _check(message: messages.SmsMessage) -> None:
    """Ask what became of an accepted SMS. Raises Misconfigured or Unavailable."""
    if message.provider_id is None:
        return
    try:
        with transaction(message.org_id) as session:
            provider = asked_of(session, message, timeout=PATIENCE)
        known = provider.fetch(message.provider_id) if provider else None
    except (Misconfigured, Unavailable):
        with transaction(message.org_id) as session:
            reconciling.record_checked(session, message, asked=False)
        raise
    with transaction(message.org_id) as session:
        if known:
            for alert in receipts.apply(session, message, known, cause=Cause.FOUND):
                log.error("%s", alert)
        reconciling.record_checked(session, message)
