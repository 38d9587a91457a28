"""The outcome of one attempt to send a message."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from random import random

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.base import locks
from models.messaging import handling, opt_outs, senders, timing
from models.messaging.events import SmsEvent
from models.messaging.meanings import Action, Failure
from models.messaging.messages import SmsMessage, lock
from models.messaging.states import Cause, SmsStatus, can_become


def claimed_at(session: Session, message: SmsMessage) -> datetime | None:
    """When the message's current attempt was claimed; None if it never was."""
    return session.scalar(
        select(func.max(SmsEvent.created_at)).where(
            SmsEvent.message_id == message.id,
            SmsEvent.to_status == SmsStatus.SENDING.value,
            SmsEvent.attempt == message.attempt,
        )
    )


def _record(session: Session, message: SmsMessage, **values: object) -> None:
    """Write what became of this attempt, unless a receipt or a later attempt already knows better."""
    session.execute(
        update(SmsMessage)
        .where(
            SmsMessage.id == message.id,
            SmsMessage.attempt == message.attempt,
            SmsMessage.status == SmsStatus.SENDING,
        )
        .values(lease_until=None, **values)
    )


def record_body(session: Session, message: SmsMessage, body: str) -> None:
    """Keep the text that this attempt sends. The caller has removed the part that makes its link work."""
    session.execute(update(SmsMessage).where(SmsMessage.id == message.id).values(body=body))


def record_account(session: Session, message: SmsMessage, account_sid: str) -> None:
    session.execute(update(SmsMessage).where(SmsMessage.id == message.id).values(account_sid=account_sid))


def record_sent(
    session: Session,
    message: SmsMessage,
    *,
    provider_id: str,
    segments: int | None,
    accepted_at: datetime | None = None,
    cause: Cause = Cause.ACCEPTED,
) -> bool:
    """The provider has accepted the message, by this or another attempt. If a receipt came first, only the
    gaps are filled. `accepted_at` is the provider's time of acceptance, if the acceptance is learnt later.

    True if the provider turns out to have the message twice: a person should know.
    """
    others = of_others(session, message.org_id, message.id, [provider_id])
    row, now = lock(session, message.org_id, message.id)
    if cause is Cause.ACCEPTED:  # a message that was found later does not show that the provider answers now
        senders.record_success(session, message.org_id, claimed_at=claimed_at(session, message))
    if row is None or row.provider_id not in (None, provider_id):
        return row is not None and record_second(session, row, provider_id)
    # Whatever `attempt` the row is at: this is proof, even if it comes after the next attempt has begun.
    moves = can_become(row.status, SmsStatus.SENT, accepted=row.provider_id is not None)
    if row.provider_id is None or row.segments is None:
        row.provider_id = None if others else provider_id
        row.segments = row.segments or segments
        row.sent_at = row.sent_at or in_its_life(row, accepted_at, now)
        row.check_at = row.sent_at + timing.ASK_AFTER[0]
    if moves:
        row.status, row.cause = SmsStatus.SENT, cause
        row.lease_until = row.unknown_since = None
        row.error_code = row.error_meaning = row.error_reason = None
    session.flush()
    return False


def in_its_life(row: SmsMessage, said: datetime | None, now: datetime) -> datetime:
    """The provider's time of an event, kept between the creation of the message and now by our clock; now if
    the provider gave no time.
    """
    return min(max(said, row.created_at), now) if said else now


def record_second(session: Session, message: SmsMessage, provider_id: str) -> bool:
    """Record that the provider has a second attempt of a message as well. True the first time: a person
    should know. The row keeps the id that was known first.
    """
    noted = insert(SmsEvent).values(
        org_id=message.org_id,
        message_id=message.id,
        from_status=message.status.value,
        to_status=message.status.value,
        cause=Cause.SENT_TWICE.value,
        attempt=message.attempt,
        provider_id=provider_id,
        created_at=func.app_clock(),
    )
    return session.scalar(noted.on_conflict_do_nothing().returning(SmsEvent.id)) is not None


def _why(failure: Failure) -> dict[str, object]:
    return {
        "error_code": failure.code,
        "error_meaning": failure.meaning,
        "error_reason": failure.reason,
    }


def record_unavailable(session: Session, message: SmsMessage, why: Failure) -> None:
    """Certainly not sent: try again, later each time, until it expires."""
    later = why.meaning is not None and why.meaning.action is Action.RETRY_LATER
    urgent = handling.of(message.kind).urgent
    steps = timing.LATER if later else timing.URGENT_BACKOFF if urgent else timing.BACKOFF
    early = random() * timing.JITTER  # noqa: S311 (nothing secret)
    wait = steps[min(message.attempt, len(steps)) - 1] * (1 - early)
    _record(
        session,
        message,
        status=SmsStatus.QUEUED,
        cause=Cause.UNAVAILABLE,
        next_attempt_at=func.app_clock() + wait,
        **_why(why),
    )


def record_unreachable(session: Session, message: SmsMessage, why: Failure) -> None:
    """Certainly not sent, because the provider did not answer. The sender pauses if that goes on."""
    record_unavailable(session, message, why)
    senders.record_silence(session, message.org_id)


def record_refused(
    session: Session, message: SmsMessage, why: Failure, *, cause: Cause = Cause.REFUSED
) -> None:
    """The message will never be sent."""
    _record(session, message, status=SmsStatus.FAILED, cause=cause, **_why(why))
    if cause is not Cause.CANNOT_PREPARE:
        senders.record_answer(session, message.org_id)


def record_superseded(session: Session, message: SmsMessage) -> None:
    """What the message was to say is no longer true: it never goes out, and no person has to look at it."""
    cause = Cause.SUPERSEDED
    _record(session, message, status=SmsStatus.EXPIRED, cause=cause, error_reason=cause.value)


def record_end(session: Session, message: SmsMessage, *, slow: bool) -> None:
    """The request of this attempt is over, whatever its outcome, and its process is free for another."""
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.id == message.id, SmsMessage.attempt == message.attempt)
        .values(lease_until=None)
    )
    senders.record_speed(session, message.org_id, slow=slow)


def is_news(session: Session, message: SmsMessage, code: str | None) -> bool:
    """Whether no other message of this organisation from the last 24 hours failed with this code."""
    return (
        session.scalar(
            select(SmsMessage.id)
            .where(
                SmsMessage.org_id == message.org_id,
                SmsMessage.id != message.id,
                SmsMessage.error_code == code,
                SmsMessage.created_at > func.app_clock() - timedelta(hours=24),
            )
            .limit(1)
        )
        is None
    )


def record_opted_out(session: Session, message: SmsMessage, why: Failure) -> None:
    """The provider knew before we did that this number wants no more messages."""
    record_refused(session, message, why, cause=Cause.OPTED_OUT)
    opt_outs.record(session, message.org_id, message.to_phone, opt_outs.OptOutSource.PROVIDER)


def record_misconfigured(session: Session, message: SmsMessage, why: Failure) -> bool:
    """The provider refuses the clinic's sender, whatever it sends: the message waits, the sender stops.

    True the first time, so that one alert is raised.
    """
    _record(
        session,
        message,
        status=SmsStatus.QUEUED,
        cause=Cause.UNAVAILABLE,
        nudged_at=None,
        **_why(why),
    )
    first = senders.record_stop(session, message.org_id, why)
    session.execute(
        update(SmsMessage)
        .where(
            SmsMessage.id == message.id,
            SmsMessage.attempt == message.attempt,
            SmsMessage.status == SmsStatus.QUEUED,
        )
        .values(next_attempt_at=func.coalesce(senders.next_try(message.org_id), func.app_clock()))
    )
    return first


def record_unknown(session: Session, message: SmsMessage, reason: str) -> None:
    """The message may or may not have been sent. It is never resent blindly; a receipt settles it."""
    now = func.app_clock()
    _record(
        session,
        message,
        status=SmsStatus.UNKNOWN,
        cause=Cause.ANSWER_LOST,
        unknown_since=now,
        check_at=now + timing.GRACE,
        error_reason=reason,
    )
    senders.record_silence(session, message.org_id)


def of_others(
    session: Session, org_id: uuid.UUID, message_id: uuid.UUID, provider_ids: Collection[str]
) -> set[str]:
    """Which of these ids other messages have: two messages with the same code have the same words.

    The ids stay locked until the end of the transaction.
    """
    for provider_id in sorted(provider_ids):  # in one order, so that two transactions cannot deadlock
        locks.take(session, func.provider_id_lock_key(org_id, provider_id))
    found = session.scalars(
        select(SmsMessage.provider_id).where(
            SmsMessage.org_id == org_id,
            SmsMessage.id != message_id,
            SmsMessage.provider_id.in_(provider_ids),
        )
    )
    return {each for each in found if each}
