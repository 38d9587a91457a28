"""How a person has a message sent again, without any danger of sending it twice."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.base import clock
from models.base.erased import is_erased
from models.messaging.events import SmsEvent
from models.messaging.meanings import Meaning
from models.messaging.messages import Due, SmsMessage
from models.messaging.states import Cause, SmsStatus
from models.notices import registry


@dataclass(frozen=True, slots=True)
class Retry:
    """Whether a message is sent again, and why or why not in words; `due` is what to send at once, if any."""

    done: bool
    why: str
    due: Due | None = None


def retry(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> Retry:
    """Queue a message that certainly never reached the provider, or have the provider asked at once.

    A message that the provider accepted is never sent again, because the provider says what became of it. If
    it was not delivered, for a reason that may pass, another message takes its place.
    """
    message = session.scalar(
        select(SmsMessage).where(SmsMessage.id == message_id, SmsMessage.org_id == org_id).with_for_update()
    )
    if message is None:
        return Retry(done=False, why="there is no such message")
    now = clock.now(session)
    if why := _never_again(session, message, now):
        return Retry(done=False, why=why)
    if message.provider_id is not None:
        return _send_anew(session, message, now)
    match message.status:
        case SmsStatus.UNKNOWN:
            # Even if it was asked about before: the provider may show the message now.
            session.execute(
                update(SmsMessage)
                .where(SmsMessage.id == message_id)
                .values(check_at=now, cause=Cause.OPERATOR)
            )
            return Retry(
                done=True,
                why="the provider is asked first; if it does not have it, it is sent again by itself",
            )
        case SmsStatus.FAILED | SmsStatus.EXPIRED:
            session.execute(
                update(SmsMessage)
                .where(SmsMessage.id == message_id)
                .values(
                    status=SmsStatus.QUEUED,
                    cause=Cause.OPERATOR,
                    next_attempt_at=now,
                    check_at=None,
                    unknown_since=None,
                    error_code=None,
                    error_meaning=None,
                    error_reason=None,
                )
            )
            return Retry(done=True, why="it is queued", due=Due(org_id, message_id, message.kind))
        case _:
            return Retry(done=False, why=f"it is {message.status}, and on its way without help")


def _never_again(session: Session, message: SmsMessage, now: datetime) -> str | None:
    """Why a message must not be sent again; None if that depends on its status."""
    # A late receipt may have changed the cause of a message to an erased patient.
    cause = Cause.ERASED if is_erased(message.to_phone) else message.cause
    if cause in (Cause.SUPERSEDED, Cause.TOGETHER, Cause.ERASED, Cause.SENT_ANEW, Cause.IMPORTED):
        return f"it is not to be sent any more: {cause}"
    if message.provider_id is not None and not may_be_sent_anew(message.status, message.error_meaning):
        return f"the provider accepted it as {message.provider_id}: it is {message.status}"
    if why := registry.of(message.kind).never_by_hand:
        return f"it is not sent again by hand. {why}"
    if message.expires_at is not None and message.expires_at <= now:
        return "it is of no use any more: its time is over"
    if message.status is not SmsStatus.UNKNOWN and registry.render(session, message) is None:
        return "what it was about is gone, or another message says it"
    return None


def may_be_sent_anew(status: str, meaning: Meaning | None) -> bool:
    """Whether a message that the provider accepted was not delivered, and another like it may arrive."""
    arrived_not = status in (SmsStatus.FAILED, SmsStatus.UNDELIVERED)
    return arrived_not and meaning is not None and meaning.may_pass


def _send_anew(session: Session, message: SmsMessage, now: datetime) -> Retry:
    """Queue another message in place of a message that was not delivered.

    The first message keeps its id, price and status, because it is billed and late receipts refer to it.
    """
    if session.scalar(
        select(SmsEvent.id).where(SmsEvent.message_id == message.id, SmsEvent.provider_id.is_not(None))
    ):
        return Retry(done=False, why="the provider accepted it twice: the other one may have arrived")
    anew = SmsMessage(
        id=uuid.uuid4(),
        org_id=message.org_id,
        kind=message.kind,
        to_phone=message.to_phone,
        appointment_id=message.appointment_id,
        hold_id=message.hold_id,
        call_sid=message.call_sid,
        cause=Cause.OPERATOR,
        expires_at=message.expires_at,
        next_attempt_at=now,
        created_at=now,
    )
    session.add(anew)
    message.cause = Cause.SENT_ANEW
    session.flush()
    registry.of(message.kind).take_over(session, [message], anew.id)
    why = "the provider could not deliver it: another one like it is queued"
    return Retry(done=True, why=why, due=Due(anew.org_id, anew.id, anew.kind))
