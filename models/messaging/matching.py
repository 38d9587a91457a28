"""Which message the provider has accepted, where two have the same number and the same words.

A code that is asked for again has the same digits, so it is the same text to the same number. The time tells
the two apart: an attempt is accepted between its claim and its end.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Over, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.messaging import outcomes
from models.messaging.events import SmsEvent
from models.messaging.messages import SmsMessage
from models.messaging.states import Cause, SmsStatus

#: Causes of the end of an attempt that the provider certainly does not have.
_NEVER_SENT = (
    Cause.UNAVAILABLE,
    Cause.REFUSED,
    Cause.OPTED_OUT,
    Cause.CANNOT_PREPARE,
    Cause.SUPERSEDED,
    Cause.TOO_LATE,
)

_WHOLE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Attempt:
    message_id: uuid.UUID
    begun: datetime
    ended: datetime

    def distance(self, at: datetime) -> tuple[timedelta, timedelta]:
        """How far a moment lies outside this attempt, and how far from its beginning; the least is nearest.

        The provider gives whole seconds, by a clock that may differ from ours.
        """
        outside = max(self.begun - at - _WHOLE_SECOND, at - self.ended, timedelta())
        return outside, abs(at - self.begun)


def own_of(
    session: Session, message: SmsMessage, found: Mapping[str, datetime | None], *, longest: timedelta
) -> set[str]:
    """Which of the provider's ids in `found`, with the times of their acceptance, belong to this message.

    An id does not belong to it if another row has that id, or if its time is nearer to an attempt of another
    row with the same words. An attempt is over after `longest`. The ids stay locked until the end of the
    transaction.
    """
    others = outcomes.of_others(session, message.org_id, message.id, found)
    attempts = _attempts(session, message, longest)

    def is_own(at: datetime | None) -> bool:
        if at is None or not attempts:
            return True
        return min(attempts, key=lambda attempt: attempt.distance(at)).message_id == message.id

    return {each for each, at in found.items() if each not in others and is_own(at)}


def _attempts(session: Session, message: SmsMessage, longest: timedelta) -> list[_Attempt]:
    """The attempts that may have been accepted, of this message and of all messages with the same words."""
    same_words = and_(
        SmsMessage.org_id == message.org_id,
        SmsMessage.to_phone == message.to_phone,
        SmsMessage.kind == message.kind,
        or_(
            SmsMessage.id == message.id,
            SmsMessage.hold_id == message.hold_id,
            SmsMessage.appointment_id == message.appointment_id,
        ),
    )

    def next_of(column: InstrumentedAttribute[Any]) -> Over[Any]:
        return func.lead(column).over(partition_by=SmsEvent.message_id, order_by=SmsEvent.id)

    moves = (
        select(
            SmsEvent.message_id,
            SmsEvent.to_status,
            SmsEvent.created_at.label("begun"),
            next_of(SmsEvent.created_at).label("ended"),
            next_of(SmsEvent.cause).label("cause"),
            # The row has the id of this attempt already, so no other id can belong to the attempt.
            and_(SmsMessage.provider_id.is_not(None), SmsMessage.attempt == SmsEvent.attempt).label("known"),
        )
        .join(SmsMessage, SmsMessage.id == SmsEvent.message_id)
        .where(same_words)
        .subquery()
    )
    rows = session.execute(
        select(moves.c.message_id, moves.c.begun, moves.c.ended).where(
            moves.c.to_status == SmsStatus.SENDING.value,
            ~moves.c.known,
            func.coalesce(moves.c.cause, "").not_in([cause.value for cause in _NEVER_SENT]),
        )
    )
    return [
        _Attempt(row.message_id, row.begun, min(row.ended or row.begun + longest, row.begun + longest))
        for row in rows
    ]
