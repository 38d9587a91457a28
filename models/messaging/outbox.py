"""The rows that wait to be sent. Each is claimed for one attempt, in its turn, and swept if no nudge came.

Nothing here talks to a provider: tasks/messaging.py claims a row, commits, calls the provider, and records
the outcome. Decision 30 says why messages wait here and not in the provider's queue.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from models.base import clock
from models.clinics.organizations import IntegrationSettings
from models.messaging import handling, limits, opt_outs, senders, timing
from models.messaging.messages import Due, SmsMessage, is_known
from models.messaging.states import Cause, SmsKind, SmsStatus

#: The processes that send (Procfile): for urgent messages such as codes (True), and for all others (False).
#: One clinic may use all of them but one, so that no clinic holds up the others; while its provider answers
#: slowly, it may use only one.
PROCESSES = {True: 2, False: 3}


def claim_for_sending(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> SmsMessage | None:
    """Claim the row for one attempt. None if another process has it, it is done, or it may not go now.

    The caller commits before it calls the provider. Only the process with this `attempt` may record its
    outcome.
    """
    now = func.app_clock()
    message = session.scalar(
        select(SmsMessage)
        .where(
            SmsMessage.id == message_id,
            SmsMessage.org_id == org_id,
            SmsMessage.status == SmsStatus.QUEUED,
            or_(SmsMessage.next_attempt_at <= now, SmsMessage.moment_at <= now + timing.EARLY),
        )
        .with_for_update(skip_locked=True)  # a process that has locked the row is claiming it
    )
    if message is None:
        return None
    if message.expires_at and message.expires_at <= session.scalars(select(now)).one():
        _settle(session, message, SmsStatus.EXPIRED, Cause.TOO_LATE)
        return None
    if opt_outs.stands(session, org_id, message.to_phone):
        _settle(session, message, SmsStatus.FAILED, Cause.OPTED_OUT, error_code="opted_out")
        return None
    if not _may_go(session, message):
        return None
    return session.scalar(
        update(SmsMessage)
        .where(SmsMessage.id == message_id)
        .values(
            status=SmsStatus.SENDING,
            cause=Cause.CLAIMED,
            attempt=SmsMessage.attempt + 1,
            lease_until=now + timing.ALIVE,
            moment_at=None,
        )
        .returning(SmsMessage)
        .execution_options(populate_existing=True)
    )


def keep_alive(session: Session, message: SmsMessage) -> None:
    """Note that the process with this attempt still waits for the provider's answer."""
    session.execute(
        update(SmsMessage)
        .where(
            SmsMessage.id == message.id,
            SmsMessage.attempt == message.attempt,
            SmsMessage.lease_until.is_not(None),  # else the attempt is over, or was given up
        )
        .values(lease_until=func.app_clock() + timing.ALIVE)
    )


def _settle(session: Session, message: SmsMessage, status: SmsStatus, cause: Cause, **values: object) -> None:
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.id == message.id)
        .values(status=status, cause=cause, error_reason=cause.value, **values)
    )


def _may_go(session: Session, message: SmsMessage) -> bool:
    """Whether the clinic's sender may send the message now. If not, its row is put back to when it may.

    The message waits in this order: for the end of a stop or a pause, for another text about its appointment,
    for its moment in the pace, and for room under the clinic's limits.
    """
    sender = senders.lock(session, message.org_id)
    now = clock.now(session)
    until = senders.paused_until(sender, now)
    if until is not None:
        message.moment_at = None  # its moment passes in the pause
        if sender.stopped_at:  # the agent that asks about this message hears why it waits
            message.error_code, message.error_reason = sender.stopped_code, sender.stopped_reason
            message.error_meaning = sender.stopped_meaning
    elif _is_another_under_way(session, message):
        until = message.moment_at = now + (timing.SLOW_TURN if sender.slow else timing.NEXT_TURN)
    else:
        until = message.moment_at = _waits_until(session, message, sender, now)
    if until is None and (held := limits.hold_back(session, message, now)):
        if held.until is None:
            _settle(session, message, SmsStatus.EXPIRED, held.cause)
            return False
        until, message.cause = held.until, held.cause
    if until is None:
        senders.try_again(sender, now)  # last: a message that has to wait must not use up the one try
        return True
    message.next_attempt_at = until
    message.nudged_at = None
    session.flush()
    return False


def _waits_until(
    session: Session, message: SmsMessage, sender: senders.SmsSender, now: datetime
) -> datetime | None:
    """The moment at which a message is looked at again; None if it may go now.

    A message waits while its clinic has as many others under way as it may, and then for its moment in the
    clinic's pace. An urgent message waits only for other urgent messages, and goes ahead of all others. A
    message that missed its moment goes at once if the pace allows, and is given a new moment otherwise.
    """
    urgent = handling.of(message.kind).urgent
    pace = session.scalar(
        select(IntegrationSettings.sms_per_second).where(IntegrationSettings.org_id == message.org_id)
    )
    most = 1 if sender.slow else PROCESSES[urgent] - 1
    if _count_under_way(session, message) >= most:
        wait = timing.SLOW_TURN if sender.slow else timing.NEXT_TURN
        if urgent:
            return now + wait
        looks = min(pace or timing.LOOKS_A_SECOND, timing.LOOKS_A_SECOND)
        return senders.take_moment(session, message.org_id, per_second=looks, wait=wait)
    if urgent or not pace:
        return None
    moment = message.moment_at or senders.take_moment(session, message.org_id, per_second=pace)
    # The time is read again: this process may have waited for locks, and the moment may have come.
    if moment > clock.now(session) + timing.EARLY:
        return moment
    if senders.use_pace(session, message.org_id, per_second=pace):
        return None
    return senders.take_moment(session, message.org_id, per_second=pace)


def _count_under_way(session: Session, message: SmsMessage) -> int:
    """How many other messages of the clinic occupy a process of the same queue. A message occupies one until
    its request is over, even if its receipt comes earlier; a message whose process died occupies none.
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
    """Whether another SMS about the same appointment is being sent. This message waits for it, so that the
    patient does not read outdated news last.
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
    """The row, if it was put back to a moment that is near and has no nudge for that moment yet.

    The caller nudges it, with the returned wait.
    """
    now = func.app_clock()
    row = session.execute(
        _nudged(
            SmsMessage.id == message_id,
            SmsMessage.org_id == org_id,
            SmsMessage.status == SmsStatus.QUEUED,
            SmsMessage.nudged_at.is_(None),
            SmsMessage.next_attempt_at <= now + timing.SOON,
            or_(SmsMessage.moment_at.is_not(None), SmsMessage.next_attempt_at > now),
        )
    ).one_or_none()
    return Due(row.org_id, row.id, row.kind, row.wait) if row else None


def sweep(session: Session, *, limit: int = 500) -> list[Due]:
    """Settle the attempts whose worker died, and return the rows that are (nearly) due and have no nudge.

    An attempt that was silent for LEASE died with its worker: whether it was sent is unknown.
    """
    now = func.app_clock()
    session.execute(
        update(SmsMessage)
        .where(
            SmsMessage.status == SmsStatus.SENDING,
            SmsMessage.lease_until < now - (timing.LEASE - timing.ALIVE),
        )
        .values(
            status=SmsStatus.UNKNOWN,
            cause=Cause.WORKER_STOPPED,
            unknown_since=now,
            check_at=now + timing.GRACE,
            lease_until=None,
            error_reason=Cause.WORKER_STOPPED.value,
        )
    )
    missed = and_(
        SmsMessage.next_attempt_at <= now - timing.SWEEP_AFTER,
        or_(
            SmsMessage.nudged_at.is_(None),
            SmsMessage.nudged_at < SmsMessage.next_attempt_at,  # the nudge for this moment was lost
            SmsMessage.nudged_at < now - timing.NUDGE_AGAIN_AFTER,
        ),
    )
    due = (
        select(SmsMessage.id)
        .where(SmsMessage.status == SmsStatus.QUEUED, is_known(), or_(missed, _IS_SOON))
        .order_by(SmsMessage.kind.not_in(handling.urgent()), SmsMessage.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.execute(_nudged(SmsMessage.id.in_(due.scalar_subquery())))
    return [Due(row.org_id, row.id, row.kind, row.wait) for row in rows]


#: Put back to a moment in the clinic's pace that is near, and without a nudge for it.
_IS_SOON = and_(
    SmsMessage.moment_at.is_not(None),
    SmsMessage.next_attempt_at <= func.app_clock() + timing.SOON,
    SmsMessage.nudged_at.is_(None),
)


def _nudged(*which: ColumnElement[bool]) -> ReturningUpdate[tuple[uuid.UUID, uuid.UUID, SmsKind, timedelta]]:
    """The statement that marks these rows as nudged and returns the columns of a Due."""
    now = func.app_clock()
    wait = func.greatest(SmsMessage.next_attempt_at - now, timedelta())
    return (
        update(SmsMessage)
        .where(*which)
        .values(nudged_at=now)
        .returning(SmsMessage.org_id, SmsMessage.id, SmsMessage.kind, wait.label("wait"))
    )


def try_at_once(session: Session, message: SmsMessage) -> None:
    """The patient asks for the message again: if an earlier attempt failed, the next one is due now."""
    session.execute(
        update(SmsMessage)
        .where(
            SmsMessage.id == message.id,
            SmsMessage.status == SmsStatus.QUEUED,
            SmsMessage.cause == Cause.UNAVAILABLE,
        )
        .values(next_attempt_at=func.app_clock(), nudged_at=None)
    )
