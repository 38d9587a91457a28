"""The rows that wait to be sent: each is claimed for one attempt, in its turn, and swept if nobody nudged it.

Nothing here talks to a provider: tasks/messaging.py claims a row, commits, calls, and records.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from models.clinics.organizations import IntegrationSettings
from models.messaging import handling, limits, opt_outs, senders
from models.messaging.messages import GRACE, Due, SmsMessage
from models.messaging.states import Cause, SmsKind, SmsStatus

#: Longer than a task may take. An attempt of which nothing was heard for so long is over, and nobody knows
#: whether its message was sent.
LEASE = timedelta(seconds=30)

#: An attempt says every BEAT that it lives (tasks/messaging.py). One of which nothing was heard for longer
#: than ALIVE died with its process, and holds up none of its clinic's others. One that was only late loses
#: nothing by that: its outcome is awaited for as long as LEASE.
ALIVE = timedelta(seconds=1.5)

BEAT = timedelta(seconds=0.4)

#: A moment no further away than this is waited for in the queue; for a later one the row waits, and the
#: sweep looks so far ahead.
SOON = timedelta(seconds=10)

#: The processes that send (Procfile): for what is urgent, as codes are, and for all else. One clinic takes
#: all but one of them, so that none holds up the others, and only one while its answers come slowly.
PROCESSES = {True: 2, False: 3}

#: How long a message waits for another one of its clinic to be done: in seconds where it takes seconds. Of
#: many that wait for that so many a second look whether it is, and no more: each costs a claim.
NEXT_TURN = timedelta(seconds=0.25)

SLOW_TURN = timedelta(seconds=1)

LOOKS_A_SECOND = 10

#: The sweep leaves a row to the nudge that went out when it was made, then nudges it again this often.
SWEEP_AFTER = timedelta(seconds=2)

NUDGE_AGAIN_AFTER = timedelta(seconds=30)


def claim_for_sending(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> SmsMessage | None:
    """Take the row for one attempt, or None: somebody has it, it is done, or it may not go now.

    The caller commits before it calls the provider. `attempt` is the fence: only its holder may record.
    """
    now = func.app_clock()
    message = session.scalar(
        select(SmsMessage)
        .where(
            SmsMessage.id == message_id,
            SmsMessage.org_id == org_id,
            SmsMessage.status == SmsStatus.QUEUED,
            or_(SmsMessage.next_attempt_at <= now, SmsMessage.moment_at <= now + senders.EARLY),
        )
        .with_for_update(skip_locked=True)  # whoever has it is claiming it
    )
    if message is None:
        return None
    if message.expires_at and message.expires_at <= session.scalars(select(now)).one():
        _settle(session, message, SmsStatus.EXPIRED, Cause.TOO_LATE)
        return None
    if opt_outs.stands(session, org_id, message.to_phone):
        _settle(session, message, SmsStatus.FAILED, Cause.OPTED_OUT, error_code="opted_out")
        return None
    if not _its_turn(session, message):
        return None
    return session.scalar(
        update(SmsMessage)
        .where(SmsMessage.id == message_id)
        .values(
            status=SmsStatus.SENDING,
            cause=Cause.CLAIMED,
            attempt=SmsMessage.attempt + 1,
            lease_until=now + ALIVE,
            moment_at=None,
        )
        .returning(SmsMessage)
        .execution_options(populate_existing=True)
    )


def keep_alive(session: Session, message: SmsMessage) -> None:
    """The process that has this attempt is still waiting for the provider's answer."""
    session.execute(
        update(SmsMessage)
        .where(
            SmsMessage.id == message.id,
            SmsMessage.attempt == message.attempt,
            SmsMessage.lease_until.is_not(None),  # else it is over, or was given up
        )
        .values(lease_until=func.app_clock() + ALIVE)
    )


def _settle(session: Session, message: SmsMessage, status: SmsStatus, cause: Cause, **values: object) -> None:
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.id == message.id)
        .values(status=status, cause=cause, error_reason=cause.value, **values)
    )


def _its_turn(session: Session, message: SmsMessage) -> bool:
    """Whether the clinic's sender may send it now; else the row is put back to when it may."""
    sender = senders.lock(session, message.org_id)
    now = session.scalars(select(func.app_clock())).one()
    until = senders.paused_until(sender, now)
    if until is not None:
        message.moment_at = None  # its moment passes in the pause
        if sender.stopped_at:  # whoever asks after this message hears why it waits
            message.error_code, message.error_reason = sender.stopped_code, sender.stopped_reason
            message.error_meaning = sender.stopped_meaning
    elif _is_another_under_way(session, message):
        until = message.moment_at = now + (SLOW_TURN if sender.slow else NEXT_TURN)
    else:
        until = message.moment_at = _moment_of(session, message, sender, now)
    if until is None and (held := limits.hold_back(session, message, now)):
        if held.until is None:
            _settle(session, message, SmsStatus.EXPIRED, held.cause)
            return False
        until, message.cause = held.until, held.cause
    if until is None:
        senders.try_again(sender, now)  # only now: who still had to wait would use up the one try
        return True
    message.next_attempt_at = until
    message.nudged_at = None
    session.flush()
    return False


def _moment_of(
    session: Session, message: SmsMessage, sender: senders.SmsSender, now: datetime
) -> datetime | None:
    """When it is to be tried again; None if it may go now.

    It waits for others of its clinic that are under way, and for its moment in the clinic's pace; an urgent
    one waits for other urgent ones alone, and goes ahead of all else. A moment that was missed still counts
    where the pace is not used up: a thousand of them do not all go at once, and one that waited is not sent
    back.
    """
    urgent = handling.of(message.kind).urgent
    pace = session.scalar(
        select(IntegrationSettings.sms_per_second).where(IntegrationSettings.org_id == message.org_id)
    )
    most = 1 if sender.slow else PROCESSES[urgent] - 1
    if _count_under_way(session, message) >= most:
        wait = SLOW_TURN if sender.slow else NEXT_TURN
        if urgent:
            return now + wait
        looks = min(pace or LOOKS_A_SECOND, LOOKS_A_SECOND)
        return senders.take_moment(session, message.org_id, per_second=looks, wait=wait)
    if urgent or not pace:
        return None
    moment = message.moment_at or senders.take_moment(session, message.org_id, per_second=pace)
    # Read again: a process that was kept waiting since would put back a message whose moment is now.
    if moment > session.scalars(select(func.app_clock())).one() + senders.EARLY:
        return moment
    if senders.take_turn(session, message.org_id, per_second=pace):
        return None
    return senders.take_moment(session, message.org_id, per_second=pace)


def _count_under_way(session: Session, message: SmsMessage) -> int:
    """The clinic's other messages that hold a process of the same queue, which they do until its request is
    over: a receipt may have come before. One whose process died has none.
    """
    of_its_queue = SmsMessage.kind.in_(handling.urgent())
    return session.scalars(
        select(func.count()).where(
            SmsMessage.org_id == message.org_id,
            SmsMessage.id != message.id,
            SmsMessage.lease_until > func.app_clock(),
            of_its_queue if handling.of(message.kind).urgent else ~of_its_queue,
        )
    ).one()


def _is_another_under_way(session: Session, message: SmsMessage) -> bool:
    """Whether another SMS about the same appointment is just being sent: the patient must get the newer one
    after it, or would read last what is no longer so.
    """
    if message.appointment_id is None:
        return False
    other = select(SmsMessage.id).where(
        SmsMessage.org_id == message.org_id,
        SmsMessage.id != message.id,
        SmsMessage.appointment_id == message.appointment_id,
        SmsMessage.lease_until > func.app_clock(),
    )
    return session.scalar(other.limit(1)) is not None


def nudge_for_its_moment(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> Due | None:
    """The row, if it has just been put back to a moment that is near and nobody nudges it for that yet.

    The caller nudges it, after the wait that is given.
    """
    now = func.app_clock()
    row = session.execute(
        _nudged(
            SmsMessage.id == message_id,
            SmsMessage.org_id == org_id,
            SmsMessage.status == SmsStatus.QUEUED,
            SmsMessage.nudged_at.is_(None),
            SmsMessage.next_attempt_at <= now + SOON,
            or_(SmsMessage.moment_at.is_not(None), SmsMessage.next_attempt_at > now),
        )
    ).one_or_none()
    return Due(row.org_id, row.id, row.kind, row.wait) if row else None


def sweep(session: Session, *, limit: int = 500) -> list[Due]:
    """Settle what was left lying, and return the rows that are due, or will be soon, and that nobody nudged.

    An attempt that said nothing for as long as LEASE died with its worker: nobody knows whether it was sent.
    """
    now = func.app_clock()
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.status == SmsStatus.SENDING, SmsMessage.lease_until < now - (LEASE - ALIVE))
        .values(
            status=SmsStatus.UNKNOWN,
            cause=Cause.WORKER_STOPPED,
            unknown_since=now,
            check_at=now + GRACE,
            lease_until=None,
            error_reason=Cause.WORKER_STOPPED.value,
        )
    )
    missed = and_(
        SmsMessage.next_attempt_at <= now - SWEEP_AFTER,
        or_(
            SmsMessage.nudged_at.is_(None),
            SmsMessage.nudged_at < SmsMessage.next_attempt_at,  # that one was for this moment, and got lost
            SmsMessage.nudged_at < now - NUDGE_AGAIN_AFTER,
        ),
    )
    due = (
        select(SmsMessage.id)
        .where(SmsMessage.status == SmsStatus.QUEUED, or_(missed, _IS_SOON))
        .order_by(SmsMessage.kind.not_in(handling.urgent()), SmsMessage.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.execute(_nudged(SmsMessage.id.in_(due.scalar_subquery())))
    return [Due(row.org_id, row.id, row.kind, row.wait) for row in rows]


#: Put back to a moment in the clinic's pace that is near, and not nudged for it.
_IS_SOON = and_(
    SmsMessage.moment_at.is_not(None),
    SmsMessage.next_attempt_at <= func.app_clock() + SOON,
    SmsMessage.nudged_at.is_(None),
)


def _nudged(*which: ColumnElement[bool]) -> ReturningUpdate[tuple[uuid.UUID, uuid.UUID, SmsKind, timedelta]]:
    """Note that these rows are nudged; gives what a Due is made of."""
    now = func.app_clock()
    wait = func.greatest(SmsMessage.next_attempt_at - now, timedelta())
    return (
        update(SmsMessage)
        .where(*which)
        .values(nudged_at=now)
        .returning(SmsMessage.org_id, SmsMessage.id, SmsMessage.kind, wait.label("wait"))
    )


def try_at_once(session: Session, message: SmsMessage) -> None:
    """Somebody asks for it again: it need not wait for its next attempt, if an earlier one failed."""
    session.execute(
        update(SmsMessage)
        .where(
            SmsMessage.id == message.id,
            SmsMessage.status == SmsStatus.QUEUED,
            SmsMessage.cause == Cause.UNAVAILABLE,
        )
        .values(next_attempt_at=func.app_clock(), nudged_at=None)
    )
