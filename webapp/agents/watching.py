"""What a tool call may wait for: an SMS on its way, or the answer to an equal tool call that came first."""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator

import settings
from models.calls import calls
from models.messaging import messages
from models.messaging.states import SmsStatus
from webapp.agents.replies import Reply
from webapp.nudge import nudge
from webapp.shares import Shares
from webapp.state import per_app
from webapp.unit_of_work import DatabaseAway, in_transaction

#: Threads of a process that may watch an SMS at once; half of its threads at most. Each reads its row several
#: times a second, while the other threads answer new calls. One clinic gets half of the places at most.
MOST_WATCHERS = 16

_ON_ITS_WAY = (SmsStatus.QUEUED, SmsStatus.SENDING)


def watch(org_id: uuid.UUID, message_id: uuid.UUID) -> messages.SmsMessage:
    """Nudge an SMS, and read its row until it is no longer on its way, or SMS_WATCH seconds are over.

    No transaction is open while it waits.
    """
    pauses = _pauses(org_id, time.monotonic() + settings.get().sms_watch)
    message = _look(org_id, message_id)
    if message.status in _ON_ITS_WAY:
        nudge(messages.Due(org_id, message_id, message.kind))
    while message.status in _ON_ITS_WAY and next(pauses, False):
        message = _look(org_id, message_id)
    pauses.close()
    return message


def settled(org_id: uuid.UUID, key: calls.ToolCallKey) -> Reply | None:
    """The final answer to the first of several equal tool calls; None if it takes too long."""
    pauses = _pauses(org_id, time.monotonic() + settings.get().sms_watch + 0.5)
    kept = None
    while kept is None and next(pauses, False):
        kept = in_transaction(org_id, lambda session: calls.get_final_reply(session, org_id, key))
    pauses.close()
    return Reply.from_json(kept) if kept else None


@per_app
def _watchers() -> Shares:
    return Shares(max(1, min(MOST_WATCHERS, settings.get().threads_of_web // 2)))


def _pauses(org_id: uuid.UUID, until: float) -> Generator[bool, None, None]:
    """Sleep briefly, time and again, until `until`; not at all if the clinic has its share of watchers."""
    with _watchers().place(org_id) as got:
        pause = 0.02
        while got and time.monotonic() < until:
            time.sleep(pause)
            yield True
            pause = min(pause * 1.5, 0.2)


def _look(org_id: uuid.UUID, message_id: uuid.UUID) -> messages.SmsMessage:
    message = in_transaction(org_id, lambda session: messages.get_or_none(session, org_id, message_id))
    if message is None:
        raise DatabaseAway
    return message
