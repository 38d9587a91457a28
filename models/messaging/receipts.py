"""What the provider says became of a message, in a receipt or when it is asked, and what follows from it."""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

import settings
from models.base import digests
from models.messaging import opt_outs, outcomes, reconciling, senders, timing
from models.messaging.meanings import Action, Failure
from models.messaging.messages import SmsMessage, lock
from models.messaging.states import Cause, SmsStatus, can_become


@dataclass(frozen=True, slots=True)
class Report:
    """The provider's word on one message, in our terms."""

    provider_id: str
    status: SmsStatus
    #: Why it was not delivered, where the provider says so.
    why: Failure | None = None
    segments: int | None = None
    #: What it cost; never negative.
    price: Decimal | None = None
    price_unit: str | None = None
    #: When the message reached this state, where the provider says so.
    at: datetime | None = None


def apply(
    session: Session, message: SmsMessage, report: Report, *, cause: Cause = Cause.RECEIPT
) -> list[str]:
    """Move the message forward to the reported state, and keep what a failure says about its number and its
    sender.

    Returns the lines for the log that a person should see.
    """
    moved = apply_receipt(
        session,
        org_id=message.org_id,
        message_id=message.id,
        provider_id=report.provider_id,
        status=report.status,
        why=report.why,
        at=report.at,
        cause=cause,
    )
    if message.provider_id not in (None, report.provider_id):
        news = outcomes.record_second(session, message, report.provider_id)
        return [sent_twice(message, report.provider_id)] if news else []
    if report.segments or report.price is not None:
        reconciling.record_cost(
            session, message, segments=report.segments, price=report.price, unit=report.price_unit
        )
    if not moved:
        return []
    if report.status is SmsStatus.DELIVERED:
        claimed_at = outcomes.claimed_at(session, message)
        senders.record_success(session, message.org_id, claimed_at=claimed_at, delivered=True)
    return _follow(session, message, report.why) if report.why else []


def _follow(session: Session, message: SmsMessage, why: Failure) -> list[str]:
    """Act on what a failure says about the number or the sender. Nothing is sent again: that would be another
    message, while the first is billed and may still arrive.
    """
    if why.meaning is None:
        return []
    if why.meaning.action is Action.OPT_OUT:
        opt_outs.record(session, message.org_id, message.to_phone, opt_outs.OptOutSource.PROVIDER)
    elif why.meaning.stops_sender:
        first = senders.record_stop(session, message.org_id, why, late=True)
        return [stopped(message.org_id, why)] if first else []
    alert = why.meaning.needs_somebody and outcomes.is_news(session, message, why.code)
    return [failed(message, why)] if alert else []


def stopped(org_id: uuid.UUID, why: Failure) -> str:
    """The line for the log. The word "error" keeps the number after it from being masked as a code."""
    return f"the sender of organisation {org_id} is stopped{_by(why)}: {why.reason}"


def failed(message: SmsMessage, why: Failure) -> str:
    return f"sms {message.id} of organisation {message.org_id} failed{_by(why)}: {why.reason}"


def _by(why: Failure) -> str:
    return f" by the provider's error {why.code}" if why.code else ""


def sent_twice(message: SmsMessage, provider_id: str) -> str:
    return f"sms {message.id} was accepted twice: as {message.provider_id or 'another'} and as {provider_id}"


def apply_receipt(
    session: Session,
    *,
    org_id: uuid.UUID,
    message_id: uuid.UUID,
    provider_id: str,
    status: SmsStatus,
    why: Failure | None = None,
    at: datetime | None = None,
    cause: Cause = Cause.RECEIPT,
) -> bool:
    """Record what became of a message, and when, if the provider says when. False if the receipt is no news
    or is about another message.

    That the provider has the message is recorded even if its state does not move, so that it is never sent
    again.
    """
    others = outcomes.of_others(session, org_id, message_id, [provider_id])
    row, now = lock(session, org_id, message_id)
    if row is None or row.provider_id not in (None, provider_id):
        return False
    moves = can_become(row.status, status, accepted=row.provider_id is not None)
    row.provider_id = None if others else provider_id
    row.sent_at = row.sent_at or outcomes.in_its_life(row, at, now)
    if moves:
        row.status, row.cause = status, cause
        row.error_code = why.code if why else None
        row.error_meaning = why.meaning if why else None
        row.error_reason = why.reason if why else None
        row.check_at = row.check_at or row.sent_at + timing.ASK_AFTER[0]
    if moves and status is SmsStatus.DELIVERED:
        row.delivered_at = max(row.sent_at, outcomes.in_its_life(row, at, now))
        row.error_code = row.error_meaning = row.error_reason = None
    session.flush()
    return moves


def receipt_token(message_id: uuid.UUID, attempt: int, key_id: str | None = None) -> str:
    """Part of the URL to which the provider reports one attempt. Only the provider is told the token."""
    return digests.keyed("sms-receipts", f"{message_id}|{attempt}", key_id=key_id)[:32]


def is_receipt_token(token: str, message_id: uuid.UUID, attempt: int) -> bool:
    """Whether the token was made here, with today's SECRET_KEY or a former one."""
    ours = (receipt_token(message_id, attempt, key_id) for key_id in settings.get().key_ids)
    return any(hmac.compare_digest(token.encode(), own.encode()) for own in ours)
