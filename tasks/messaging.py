"""Sending SMS: claim the row and commit, call the provider, record what came of it; and asking afterwards."""

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

#: The first level of retries, for what passes in seconds; the second is the row's next_attempt_at.
RETRY_ON = (Unavailable, OperationalError, InternalError)  # the last: a session that is read-only by now
RETRIES = 3
RETRY_FIRST, RETRY_LONGEST = 2, 10  # seconds; each wait is twice the one before

#: Seconds after which a claimed attempt is no longer made; half of its lease (models/messaging/timing.py).
STALE = timing.LEASE.total_seconds() / 2

#: Seconds after which an answer was slow: the clinic's messages then go one at a time.
SLOW = 2.0

#: Seconds after which a run begins no further question to a provider, and for one question.
RUN = 8.0
PATIENCE = 4.0

#: Messages of one clinic that a run fails to ask about, one after the other, before it leaves the clinic's.
FAILURES = 3

#: Seconds for which an outcome is brought to a database that is away, perhaps only starting anew.
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
    """Send one queued SMS. Harmless to run twice, or for a row that needs nothing."""
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
        return  # this process was frozen: the lease may be over, and somebody else's attempt under way
    asked = time.monotonic()
    try:
        with _alive(message):
            accepted = outgoing.provider.send(outgoing.text)
    except (providers.Problem, SoftTimeLimitExceeded) as problem:
        _record(message, partial(record_problem, problem=problem), asked)
        if isinstance(problem, Unavailable) and not problem.later and message.attempt <= RETRIES:
            raise  # Celery's turn; after that the row says when, and a retry would come for nothing
        if isinstance(problem, Misconfigured):
            _try_soon(message)
    else:
        _record(message, partial(record_accepted, accepted=accepted), asked)


@contextmanager
def _alive(message: messages.SmsMessage) -> Iterator[None]:
    """While this process waits for the provider its attempt says that it lives; with the process both end."""
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
        teller.join(1)  # the one connection of this process is wanted next


def _try_soon(message: messages.SmsMessage) -> None:
    """Where the clinic's sender is tried again in seconds, do not wait for the sweep."""
    with transaction(message.org_id) as session:
        again = outbox.nudge_for_its_moment(session, message.org_id, message.id)
    if again:
        nudge(again)


def _record(message: messages.SmsMessage, verb: Callable[..., None], asked: float) -> None:
    """Write an outcome down. It is known nowhere else, so a database that is away is tried for a while."""
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
    """Nudge what is due and was never nudged: Redis was away, or the web process died after its commit."""
    with system_transaction(Door.SWEEP) as session:
        due = outbox.sweep(session)
    for row in due:
        nudge(row)


@app.task(name=Task.RECONCILE_SMS.value, base=Sweep)
def reconcile_sms() -> None:
    """Ask about SMS that may or may not have been sent: sent after all, or to be sent again."""
    _ask_about_each(reconciling.find_unsettled, _settle)


@app.task(name=Task.CHECK_RECEIPTS.value, base=Sweep)
def check_receipts() -> None:
    """Ask about SMS that were accepted and of which no receipt came, or no price."""
    _ask_about_each(reconciling.find_without_receipt, _check)


def _ask_about_each(
    find: Callable[..., list[messages.SmsMessage]], ask: Callable[[messages.SmsMessage], None]
) -> None:
    """What cannot be asked about is asked about later, and holds up neither its clinic's others nor anybody
    else's. A clinic whose account is broken, or does not answer, or fails several times, is left for a while:
    a run is short, and the SMS that the same workers send do not wait behind it.
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
    """Raises Misconfigured or Unavailable."""
    with transaction(message.org_id) as session:
        provider = asked_of(session, message, timeout=PATIENCE)
        bodies = words_of(session, message)
    if provider is None or not bodies:
        # Another account has it, or its words cannot be made again: it stays unknown, for a person to see.
        log.warning("organisation %s: sms %s can no longer be looked for", message.org_id, message.id)
        with transaction(message.org_id) as session:
            reconciling.lose_sight_of(session, message)
        return
    found = provider.find(to=message.to_phone, bodies=bodies, since=message.created_at - CLOCK_SKEW)
    with transaction(message.org_id) as session:
        times = {each.provider_id: each.at for each in found}
        own = matching.own_of(session, message, times, longest=timedelta(seconds=provider.longest))
        # One settles it, whichever attempt it was: the first is what the patient got first.
        newest_first = sorted(found, key=lambda each: each.at or message.created_at, reverse=True)
        for each in reversed(newest_first):
            if each.provider_id in own:
                record_accepted(session, message, each, cause=Cause.FOUND)
        if not own:
            reconciling.record_never_sent(session, message)


def _check(message: messages.SmsMessage) -> None:
    """Raises Misconfigured or Unavailable."""
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
