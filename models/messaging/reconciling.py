"""Messages that the provider is asked about: its answer was lost, or it accepted them and sent no receipt."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, case, func, select, update
from sqlalchemy.orm import Session

from models.base import clock
from models.messaging import handling, timing
from models.messaging.events import SmsEvent
from models.messaging.messages import SmsMessage, is_known
from models.messaging.states import Cause, SmsStatus

#: After this many attempts with a lost outcome a person decides whether to send the message again.
MOST_ATTEMPTS = 5


def find_unsettled(session: Session, *, limit: int = 50) -> list[SmsMessage]:
    """Messages whose outcome is unknown, once the provider has had time to show them.

    The caller has them to itself for ASK_AGAIN: no other process finds them meanwhile.
    """
    return _take(session, SmsMessage.status == SmsStatus.UNKNOWN, timing.ASK_AGAIN, limit)


def find_without_receipt(session: Session, *, limit: int = 50) -> list[SmsMessage]:
    """Messages that the provider accepted and whose receipt or price has not come in time.

    The caller has them to itself for RECEIPT_AGAIN.
    """
    accepted = and_(SmsMessage.status != SmsStatus.UNKNOWN, SmsMessage.provider_id.is_not(None))
    return _take(session, accepted, timing.RECEIPT_AGAIN, limit)


def _take(session: Session, which: ColumnElement[bool], keep: timedelta, limit: int) -> list[SmsMessage]:
    now = func.app_clock()
    due = (
        select(SmsMessage.id)
        .where(which, is_known(), SmsMessage.check_at <= now)
        .order_by(SmsMessage.check_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = update(SmsMessage).where(SmsMessage.id.in_(due.scalar_subquery())).values(check_at=now + keep)
    return list(session.scalars(taken.returning(SmsMessage)))


def ask_later(session: Session, message: SmsMessage) -> None:
    """The provider could not be asked about this message. The message stays as it is; the longer the provider
    cannot be asked, the longer the wait until the next question.
    """
    now = func.app_clock()
    least, most, since = timing.RECEIPT_AGAIN, timing.RECEIPT_AGAIN_AT_MOST, SmsMessage.sent_at
    if message.status is SmsStatus.UNKNOWN:
        least, most, since = timing.ASK_AGAIN, timing.ASK_AGAIN_AT_MOST, SmsMessage.unknown_since
    wait = func.least(func.greatest((now - since) / 2, least), most)
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.id == message.id, SmsMessage.check_at.is_not(None))
        .values(check_at=now + wait)
    )


def ask_others_first(session: Session, org_id: uuid.UUID) -> None:
    """Put off the clinic's due messages: its provider cannot be asked, and other clinics wait for their turn.
    They come back before the message that failed, so that it does not come first again.
    """
    now = func.app_clock()
    again = case(
        (SmsMessage.status == SmsStatus.UNKNOWN, timing.ASK_AGAIN / 2), else_=timing.RECEIPT_AGAIN / 2
    )
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.org_id == org_id, SmsMessage.check_at <= now + again)
        .values(check_at=now + again)
    )


def lose_sight_of(session: Session, message: SmsMessage) -> None:
    """No provider can be asked about this message: it stays unknown, and the staff see it."""
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.id == message.id)
        .values(check_at=func.app_clock() + timing.LOST_SIGHT)
    )


def record_never_sent(session: Session, message: SmsMessage) -> None:
    """The provider does not have this attempt, so the row waits for the next attempt.

    An urgent message expires instead: a code would come minutes late, and the agent has offered another.
    After MOST_ATTEMPTS attempts with an unknown outcome a person decides; if a person has asked for the
    message, this answer leads to one more attempt. An answer before GRACE is over proves nothing.
    """
    now = clock.now(session)
    proven = (message.unknown_since or now) + timing.GRACE
    values: dict[str, object] = {"check_at": None}
    if proven > now:
        values = {"check_at": proven}
    elif handling.of(message.kind).urgent:
        reason = Cause.NOT_FOUND.value
        values |= {"status": SmsStatus.EXPIRED, "cause": Cause.NOT_FOUND, "error_reason": reason}
    elif message.cause is Cause.OPERATOR or _count_lost(session, message) < MOST_ATTEMPTS:
        values |= {"status": SmsStatus.QUEUED, "cause": Cause.NOT_FOUND, "unknown_since": None}
        values |= {"next_attempt_at": now, "nudged_at": None}
    session.execute(
        update(SmsMessage)
        .where(
            SmsMessage.id == message.id,
            SmsMessage.attempt == message.attempt,
            SmsMessage.status == SmsStatus.UNKNOWN,
            # If it differs, a person asked for the message after this question: the next answer counts.
            SmsMessage.cause == message.cause,
        )
        .values(**values)
    )


def _count_lost(session: Session, message: SmsMessage) -> int:
    """How many attempts ended with an unknown outcome."""
    lost = select(func.count()).where(
        SmsEvent.message_id == message.id, SmsEvent.to_status == SmsStatus.UNKNOWN.value
    )
    return session.scalars(lost).one()


def record_cost(
    session: Session, message: SmsMessage, *, segments: int | None, price: Decimal | None, unit: str | None
) -> None:
    """Keep what the message cost, which the provider says only some time after it was sent."""
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.id == message.id)
        .values(
            segments=func.coalesce(segments, SmsMessage.segments),
            price=func.coalesce(price, SmsMessage.price),
            price_unit=func.coalesce(unit, SmsMessage.price_unit),
        )
    )


def record_checked(session: Session, message: SmsMessage, *, asked: bool = True) -> None:
    """Set when the provider is next asked about a message that it accepted, if at all.

    After the last time of ASK_AFTER a message without a receipt is `unconfirmed`, whether the provider could
    be asked (`asked`) or not.
    """
    row = session.scalars(select(SmsMessage).where(SmsMessage.id == message.id).with_for_update()).one()
    now = clock.now(session)
    settled = row.status is not SmsStatus.SENT and row.price is not None
    later = [row.sent_at + wait for wait in timing.ASK_AFTER if row.sent_at and row.sent_at + wait > now]
    row.check_at = None if settled or not later else later[0] if asked else now + timing.RECEIPT_AGAIN
    if row.status is SmsStatus.SENT and not later:
        row.status, row.cause = SmsStatus.UNCONFIRMED, Cause.NO_RECEIPT
    session.flush()
