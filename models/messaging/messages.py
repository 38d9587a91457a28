"""Every SMS of every kind: the rows that are the outbox, and the verbs that move a message along.

The states and their legal moves are in models/messaging/states.py. Nothing here talks to a provider:
tasks/messaging.py claims a row, calls, and records.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import random

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Numeric,
    UniqueConstraint,
    and_,
    case,
    false,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.sql.dml import ReturningUpdate

import settings
from models.base.tables import Base, CreatedAt, EnumText, Id, one_of
from models.clinics.organizations import IntegrationSettings
from models.messaging import limits, opt_outs, senders
from models.messaging.events import SmsEvent
from models.messaging.states import Cause, can_become
from models.messaging.states import SmsKind as SmsKind  # whoever handles a message needs these two  # noqa: PLC0414
from models.messaging.states import SmsStatus as SmsStatus  # noqa: PLC0414

#: Longer than a task may take. An attempt of which nothing was heard for so long is over, and nobody knows
#: whether its message was sent.
LEASE = timedelta(seconds=30)

#: An attempt says every BEAT that it lives (tasks/messaging.py). One of which nothing was heard for longer
#: than ALIVE died with its process, and holds up none of its clinic's others. One that was only late loses
#: nothing by that: its outcome is awaited for as long as LEASE.
ALIVE = timedelta(seconds=1.5)
BEAT = timedelta(seconds=0.4)

#: How long a row waits after its n-th attempt that was certainly not sent; up to a quarter less, so that many
#: do not all come back together. Celery's own retries fall into the first three. Codes are waited for on the
#: telephone; and all else goes out within four minutes of the end of whatever was wrong.
BACKOFF = tuple(timedelta(seconds=seconds) for seconds in (1, 1, 1, 15, 30, 60))
CODE_BACKOFF = tuple(timedelta(seconds=seconds) for seconds in (1, 1, 1, 5))
#: Where the provider has said that it will not be for some time. A code lives long enough for a few of these.
LATER = tuple(timedelta(seconds=seconds) for seconds in (90, 180, 300, 600, 900))
JITTER = 0.25

#: How long the provider may take to show a message it accepted. Asked earlier, its "no" proves nothing.
GRACE = timedelta(seconds=90)

#: After so many attempts whose outcome was lost, a person decides.
MOST_ATTEMPTS = 5

#: After this long without a receipt the provider is asked, counted from the hand-over; after the last
#: one it is given up.
ASK_AFTER = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24), timedelta(hours=72))

#: Whoever takes a message to ask the provider about it has it for so long. When the provider cannot be
#: asked, it is at least this long until the next try, half as long again each time, and at most that long.
ASK_AGAIN, ASK_AGAIN_AT_MOST = timedelta(seconds=60), timedelta(minutes=3)
RECEIPT_AGAIN, RECEIPT_AGAIN_AT_MOST = timedelta(minutes=5), timedelta(hours=1)

#: A moment no further away than this is waited for in the queue; for a later one the row waits, and the
#: sweep looks so far ahead.
SOON = timedelta(seconds=10)

#: The processes that send (Procfile): for codes, and for all else. One clinic takes all but one of them, so
#: that none holds up the others, and only one while its answers come slowly.
PROCESSES = {True: 2, False: 3}

#: How long a message waits for another one of its clinic to be done: in seconds where it takes seconds. Of
#: many that wait for that so many a second look whether it is, and no more: each costs a claim.
NEXT_TURN = timedelta(seconds=0.25)
SLOW_TURN = timedelta(seconds=1)
LOOKS_A_SECOND = 10

#: How long a message that nobody can be asked about is left alone: the key or the account may come back.
LOST_SIGHT = timedelta(hours=1)

#: The sweep leaves a row to the nudge that went out when it was made, then nudges it again this often.
SWEEP_AFTER = timedelta(seconds=2)
NUDGE_AGAIN_AFTER = timedelta(seconds=30)


class SmsMessage(Base):
    __tablename__ = "sms_messages"
    __table_args__ = (
        one_of("kind", SmsKind),
        one_of("status", SmsStatus),
        one_of("cause", Cause),
        UniqueConstraint("id", "appointment_id"),
        ForeignKeyConstraint(["org_id", "appointment_id"], ["appointments.org_id", "appointments.id"]),
        ForeignKeyConstraint(["org_id", "hold_id"], ["appointment_holds.org_id", "appointment_holds.id"]),
        CheckConstraint(
            "(kind IN ('confirmation', 'cancellation')) = (appointment_id IS NOT NULL)",
            name="about_an_appointment",
        ),
        # P4: no code in clear at rest.
        CheckConstraint("kind <> 'otp' OR (hold_id IS NOT NULL AND body IS NULL)", name="code_is_not_kept"),
        Index(
            "ix_sms_messages_due",
            "next_attempt_at",
            postgresql_where=text("status IN ('queued', 'sending')"),
        ),
        Index("ix_sms_messages_org_id_under_way", "org_id", postgresql_where=text("lease_until IS NOT NULL")),
        Index("ix_sms_messages_check_at", "check_at", postgresql_where=text("check_at IS NOT NULL")),
        Index(
            "ix_sms_confirmation_logs_appointment_id",
            "appointment_id",
            postgresql_where=text("kind = 'confirmation'"),
        ),
        Index(
            "ix_sms_confirmation_logs_org_id_created_at",
            "org_id",
            text("created_at DESC"),
            postgresql_where=text("kind = 'confirmation'"),
        ),
        Index(
            "ix_sms_messages_cancels_appointment_id",
            "appointment_id",
            postgresql_where=text("kind = 'cancellation'"),
        ),
        Index(
            "uq_sms_messages_org_id_provider_id",
            "org_id",
            "provider_id",
            unique=True,
            postgresql_where=text("provider_id IS NOT NULL"),
        ),
        Index("ix_sms_messages_org_id_to_phone_created_at", "org_id", "to_phone", "created_at"),
        # All that is asked for, and in its order: without statistics the planner takes what looks narrowest.
        Index(
            "ix_sms_messages_org_id_hold_id_created_at",
            "org_id",
            "hold_id",
            "created_at",
            postgresql_where=text("hold_id IS NOT NULL"),
        ),
        Index("ix_sms_messages_codes", "org_id", "created_at", postgresql_where=text("kind = 'otp'")),
        Index("ix_sms_messages_org_id_queued", "org_id", "cause", postgresql_where=text("status = 'queued'")),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    kind: Mapped[SmsKind] = mapped_column(EnumText(SmsKind))
    status: Mapped[SmsStatus] = mapped_column(EnumText(SmsStatus), server_default="queued")
    to_phone: Mapped[str]
    appointment_id: Mapped[uuid.UUID | None]
    hold_id: Mapped[uuid.UUID | None]
    call_sid: Mapped[str | None]
    #: As it was sent. Never set for a code: that text is made again for each attempt.
    body: Mapped[str | None]
    #: The account that its last attempt was made with: only that one knows what became of it.
    account_sid: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(server_default="0")
    #: Until then its attempt is known to hold a process.
    lease_until: Mapped[datetime | None]
    unknown_since: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    nudged_at: Mapped[datetime | None]
    #: Its own moment in the clinic's pace, once it has one.
    slot_at: Mapped[datetime | None]
    #: When the provider is to be asked what became of it.
    check_at: Mapped[datetime | None]
    #: Why it is in the state that it is in.
    cause: Mapped[Cause] = mapped_column(EnumText(Cause), server_default="created")
    #: After this it is not worth sending: the end of the hold, or the beginning of the appointment.
    expires_at: Mapped[datetime | None]
    #: Twilio's message sid, SM….
    provider_id: Mapped[str | None]
    error_code: Mapped[str | None]
    error_reason: Mapped[str | None]
    segments: Mapped[int | None]
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 5))
    price_unit: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


@dataclass(frozen=True, slots=True)
class Due:
    """A row that is due, at once or after a wait; what a nudge carries."""

    org_id: uuid.UUID
    message_id: uuid.UUID
    kind: SmsKind
    wait: timedelta = timedelta()


def get_or_none(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> SmsMessage | None:
    return session.scalar(select(SmsMessage).where(SmsMessage.id == message_id, SmsMessage.org_id == org_id))


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
            or_(SmsMessage.next_attempt_at <= now, SmsMessage.slot_at <= now + senders.EARLY),
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
            slot_at=None,
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
        message.slot_at = None  # its moment passes in the pause
        if sender.stopped_at:  # whoever asks after this message hears why it waits
            message.error_code, message.error_reason = sender.stopped_code, sender.stopped_reason
    elif _is_another_under_way(session, message):
        until = message.slot_at = now + (SLOW_TURN if sender.slow else NEXT_TURN)
    else:
        until = message.slot_at = _moment_of(session, message, sender, now)
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

    It waits for others of its clinic that are under way, and for its moment in the clinic's pace; a code
    waits for other codes alone, and goes ahead of all else. A moment that was missed still counts where the
    pace is not used up: a thousand of them do not all go at once, and one that waited is not sent back.
    """
    is_code = message.kind is SmsKind.OTP
    pace = session.scalar(
        select(IntegrationSettings.sms_per_second).where(IntegrationSettings.org_id == message.org_id)
    )
    most = 1 if sender.slow else PROCESSES[is_code] - 1
    if _count_under_way(session, message) >= most:
        wait = SLOW_TURN if sender.slow else NEXT_TURN
        if is_code:
            return now + wait
        looks = min(pace or LOOKS_A_SECOND, LOOKS_A_SECOND)
        return senders.take_slot(session, message.org_id, per_second=looks, wait=wait)
    if is_code or not pace:
        return None
    moment = message.slot_at or senders.take_slot(session, message.org_id, per_second=pace)
    # Read again: a process that was kept waiting since would put back a message whose moment is now.
    if moment > session.scalars(select(func.app_clock())).one() + senders.EARLY:
        return moment
    if senders.take_turn(session, message.org_id, per_second=pace):
        return None
    return senders.take_slot(session, message.org_id, per_second=pace)


def _count_under_way(session: Session, message: SmsMessage) -> int:
    """The clinic's other messages that hold a process of the same queue, which they do until its request is
    over: a receipt may have come before. One whose process died has none.
    """
    return session.scalars(
        select(func.count()).where(
            SmsMessage.org_id == message.org_id,
            SmsMessage.id != message.id,
            SmsMessage.lease_until > func.app_clock(),
            (SmsMessage.kind == SmsKind.OTP) == (message.kind is SmsKind.OTP),
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
            or_(SmsMessage.slot_at.is_not(None), SmsMessage.next_attempt_at > now),
        )
    ).one_or_none()
    return Due(row.org_id, row.id, row.kind, row.wait) if row else None


def _record(session: Session, message: SmsMessage, *also: SmsStatus, **values: object) -> None:
    """Write what became of this attempt, unless a receipt or a later attempt already knows better."""
    session.execute(
        update(SmsMessage)
        .where(
            SmsMessage.id == message.id,
            SmsMessage.attempt == message.attempt,
            SmsMessage.status.in_((SmsStatus.SENDING, *also)),
        )
        .values(lease_until=None, **values)
    )


def record_body(session: Session, message: SmsMessage, body: str) -> None:
    """Keep the text that this attempt sends, from which the caller has taken what makes its link work."""
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
    """The provider has it, whichever attempt that was. A receipt may have come first: then only the gaps
    are filled. `accepted_at` is the provider's time of it, where it is learnt only later.

    True if it turns out that the provider has it twice: somebody should know.
    """
    others = find_other(session, message, [provider_id])
    row, now = _lock(session, message.org_id, message.id)
    if cause is Cause.ACCEPTED:  # what was found by looking says nothing of how the provider answers now
        senders.record_success(session, message.org_id, claimed_at=claimed_at(session, message))
    if row is None or row.provider_id not in (None, provider_id):
        return row is not None and record_second(session, row, provider_id)
    # No fence: it is proof, also when it comes so late that the next attempt was already in sight.
    moves = can_become(row.status, SmsStatus.SENT, accepted=row.provider_id is not None)
    if row.provider_id is None or row.segments is None:
        row.provider_id = None if others else provider_id
        row.segments = row.segments or segments
        row.sent_at = row.sent_at or _in_its_life(row, accepted_at, now)
        row.check_at = row.sent_at + ASK_AFTER[0]
    if moves:
        row.status, row.cause = SmsStatus.SENT, cause
        row.lease_until = row.unknown_since = row.error_code = row.error_reason = None
    session.flush()
    return False


def _lock(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> tuple[SmsMessage | None, datetime]:
    """The row as it is now, until the end of the transaction; and the time."""
    row = session.scalar(
        select(SmsMessage)
        .where(SmsMessage.id == message_id, SmsMessage.org_id == org_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return row, session.scalars(select(func.app_clock())).one()


def _in_its_life(row: SmsMessage, said: datetime | None, now: datetime) -> datetime:
    """The provider's time of something, as far as that can be by our clock: the message was made before,
    and the future is not known. Where it says none, it is now.
    """
    return min(max(said, row.created_at), now) if said else now


def record_second(session: Session, message: SmsMessage, provider_id: str) -> bool:
    """Keep that the provider has another attempt of a message, too. True the first time: somebody should
    know. The row stays with the one that was known first.
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


def claimed_at(session: Session, message: SmsMessage) -> datetime | None:
    """When its attempt was claimed; None if it never was."""
    return session.scalar(
        select(func.max(SmsEvent.created_at)).where(
            SmsEvent.message_id == message.id,
            SmsEvent.to_status == SmsStatus.SENDING.value,
            SmsEvent.attempt == message.attempt,
        )
    )


def record_unavailable(
    session: Session,
    message: SmsMessage,
    reason: str,
    *,
    code: str | None = None,
    later: bool = False,
) -> None:
    """Certainly not sent: try again, later each time, until it expires. `later`: in minutes."""
    steps = LATER if later else CODE_BACKOFF if message.kind is SmsKind.OTP else BACKOFF
    early = random() * JITTER  # noqa: S311 (nothing secret)
    wait = steps[min(message.attempt, len(steps)) - 1] * (1 - early)
    _record(
        session,
        message,
        status=SmsStatus.QUEUED,
        cause=Cause.UNAVAILABLE,
        next_attempt_at=func.app_clock() + wait,
        error_code=code,
        error_reason=reason,
    )


def record_unreachable(session: Session, message: SmsMessage, reason: str) -> None:
    """Certainly not sent, for nobody answered: the sender pauses if that goes on."""
    record_unavailable(session, message, reason)
    senders.record_silence(session, message.org_id)


def record_refused(
    session: Session,
    message: SmsMessage,
    *,
    code: str | None,
    reason: str,
    cause: Cause = Cause.REFUSED,
) -> None:
    """It will never be sent."""
    _record(session, message, status=SmsStatus.FAILED, cause=cause, error_code=code, error_reason=reason)
    if cause is not Cause.CANNOT_PREPARE:
        senders.record_answer(session, message.org_id)


def record_end(session: Session, message: SmsMessage, *, slow: bool) -> None:
    """The request of this attempt is over, whatever came of it, and its process is free for another."""
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.id == message.id, SmsMessage.attempt == message.attempt)
        .values(lease_until=None)
    )
    senders.record_speed(session, message.org_id, slow=slow)


def is_news(session: Session, message: SmsMessage, code: str | None) -> bool:
    """Whether no other message of this organisation failed with that code in the last day."""
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


def record_opted_out(session: Session, message: SmsMessage, *, code: str, reason: str) -> None:
    """The provider knew before we did that this number wants no more."""
    record_refused(session, message, code=code, reason=reason, cause=Cause.OPTED_OUT)
    opt_outs.record(session, message.org_id, message.to_phone, opt_outs.OptOutSource.PROVIDER)


def record_misconfigured(session: Session, message: SmsMessage, *, code: str | None, reason: str) -> bool:
    """The provider refuses the clinic's sender, whatever it sends: the message waits, the sender stops.

    True the first time, so that one alert is raised.
    """
    _record(
        session,
        message,
        status=SmsStatus.QUEUED,
        cause=Cause.UNAVAILABLE,
        nudged_at=None,
        error_code=code,
        error_reason=reason,
    )
    first = senders.record_stop(session, message.org_id, code=code, reason=reason)
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
    """It may or may not have been sent. Never resent blindly; a receipt settles it."""
    now = func.app_clock()
    _record(
        session,
        message,
        status=SmsStatus.UNKNOWN,
        cause=Cause.ANSWER_LOST,
        unknown_since=now,
        check_at=now + GRACE,
        error_reason=reason,
    )
    senders.record_silence(session, message.org_id)


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
        .order_by(SmsMessage.kind != SmsKind.OTP, SmsMessage.next_attempt_at)  # codes first
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.execute(_nudged(SmsMessage.id.in_(due.scalar_subquery())))
    return [Due(row.org_id, row.id, row.kind, row.wait) for row in rows]


#: Put back to a moment in the clinic's pace that is near, and not nudged for it.
_IS_SOON = and_(
    SmsMessage.slot_at.is_not(None),
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


def find_unsettled(session: Session, *, limit: int = 50) -> list[SmsMessage]:
    """Messages of which nobody knows whether they were sent, once the provider has had time to show them.

    Whoever finds one has it for ASK_AGAIN.
    """
    return _take(session, SmsMessage.status == SmsStatus.UNKNOWN, ASK_AGAIN, limit)


def find_without_receipt(session: Session, *, limit: int = 50) -> list[SmsMessage]:
    """Likewise messages that the provider accepted, and whose fate or price nobody has told us in time."""
    accepted = and_(SmsMessage.status != SmsStatus.UNKNOWN, SmsMessage.provider_id.is_not(None))
    return _take(session, accepted, RECEIPT_AGAIN, limit)


def _take(session: Session, which: ColumnElement[bool], keep: timedelta, limit: int) -> list[SmsMessage]:
    now = func.app_clock()
    due = (
        select(SmsMessage.id)
        .where(which, SmsMessage.check_at <= now)
        .order_by(SmsMessage.check_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = update(SmsMessage).where(SmsMessage.id.in_(due.scalar_subquery())).values(check_at=now + keep)
    return list(session.scalars(taken.returning(SmsMessage)))


def ask_later(session: Session, message: SmsMessage) -> None:
    """The provider cannot be asked about this message: it stays as it is until it can, and is asked about
    less often the longer that lasts.
    """
    now = func.app_clock()
    least, most, since = RECEIPT_AGAIN, RECEIPT_AGAIN_AT_MOST, SmsMessage.sent_at
    if message.status is SmsStatus.UNKNOWN:
        least, most, since = ASK_AGAIN, ASK_AGAIN_AT_MOST, SmsMessage.unknown_since
    wait = func.least(func.greatest((now - since) / 2, least), most)
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.id == message.id, SmsMessage.check_at.is_not(None))
        .values(check_at=now + wait)
    )


def ask_others_first(session: Session, org_id: uuid.UUID) -> None:
    """Put off what is due of a clinic whose provider cannot be asked, so that it does not take the others'
    turn: for half as long as the message that failed, so that this one is not asked about first again.
    """
    now = func.app_clock()
    again = case((SmsMessage.status == SmsStatus.UNKNOWN, ASK_AGAIN / 2), else_=RECEIPT_AGAIN / 2)
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.org_id == org_id, SmsMessage.check_at <= now + again)
        .values(check_at=now + again)
    )


def lose_sight_of(session: Session, message: SmsMessage) -> None:
    """Nobody can be asked about this one message: it stays unknown, in front of a person."""
    session.execute(
        update(SmsMessage).where(SmsMessage.id == message.id).values(check_at=func.app_clock() + LOST_SIGHT)
    )


def record_never_sent(session: Session, message: SmsMessage) -> None:
    """The provider knows nothing of this attempt: the row waits for the next one.

    A code does not: it would come minutes late, and the agent has offered another. After MOST_ATTEMPTS
    of this kind a person decides: who asked for it gets one more, if the "no" is the answer to that. A "no"
    before the provider had its time to show it proves nothing.
    """
    now = session.scalars(select(func.app_clock())).one()
    proven = (message.unknown_since or now) + GRACE
    values: dict[str, object] = {"check_at": None}
    if proven > now:
        values = {"check_at": proven}
    elif message.kind is SmsKind.OTP:
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
            # Else an operator wants it since the question: then it is asked again, and that answer counts.
            SmsMessage.cause == message.cause,
        )
        .values(**values)
    )


def _count_lost(session: Session, message: SmsMessage) -> int:
    """How many attempts ended with nobody knowing whether the provider has it."""
    lost = select(func.count()).where(
        SmsEvent.message_id == message.id, SmsEvent.to_status == SmsStatus.UNKNOWN.value
    )
    return session.scalars(lost).one()


def find_other(session: Session, message: SmsMessage, provider_ids: Collection[str]) -> set[str]:
    """Those of these ids that are known to be of other messages: a code that was asked for twice has the
    same words twice.

    Until the end of the transaction nobody else gives one of them to a message.
    """
    return _of_others(session, message.org_id, message.id, provider_ids)


def _of_others(
    session: Session, org_id: uuid.UUID, message_id: uuid.UUID, provider_ids: Collection[str]
) -> set[str]:
    for provider_id in sorted(provider_ids):  # two who lock several in one order never wait for each other
        key = func.hashtextextended(f"sms/{org_id}/{provider_id}", 0)
        session.execute(select(func.pg_advisory_xact_lock(key)))
    found = session.scalars(
        select(SmsMessage.provider_id).where(
            SmsMessage.org_id == org_id,
            SmsMessage.id != message_id,
            SmsMessage.provider_id.in_(provider_ids),
        )
    )
    return {each for each in found if each}


def apply_receipt(
    session: Session,
    *,
    org_id: uuid.UUID,
    message_id: uuid.UUID,
    provider_id: str,
    status: SmsStatus,
    error_code: str | None,
    error_reason: str | None = None,
    at: datetime | None = None,
    cause: Cause = Cause.RECEIPT,
) -> bool:
    """What the provider says became of a message, and when, where it says that. False if we knew as much, or
    it is of another message.

    That the provider has it is kept, whatever else is known of it: so it is never sent again.
    """
    others = _of_others(session, org_id, message_id, [provider_id])
    row, now = _lock(session, org_id, message_id)
    if row is None or row.provider_id not in (None, provider_id):
        return False
    moves = can_become(row.status, status, accepted=row.provider_id is not None)
    row.provider_id = None if others else provider_id
    row.sent_at = row.sent_at or _in_its_life(row, at, now)
    if moves:
        row.status, row.cause = status, cause
        row.error_code, row.error_reason = error_code, error_reason
        row.check_at = row.check_at or row.sent_at + ASK_AFTER[0]
    if moves and status is SmsStatus.DELIVERED:
        row.delivered_at = max(row.sent_at, _in_its_life(row, at, now))
        row.error_code = row.error_reason = None
    session.flush()
    return moves


def record_cost(
    session: Session, message: SmsMessage, *, segments: int | None, price: Decimal | None, unit: str | None
) -> None:
    """What the provider says it was: known only some time after it was sent."""
    session.execute(
        update(SmsMessage)
        .where(SmsMessage.id == message.id)
        .values(
            segments=func.coalesce(segments, SmsMessage.segments),
            # Twilio writes what it charges as a negative amount; here it is a cost.
            price=func.coalesce(func.abs(price), SmsMessage.price),
            price_unit=func.coalesce(unit, SmsMessage.price_unit),
        )
    )


def record_checked(session: Session, message: SmsMessage, *, asked: bool = True) -> None:
    """The provider was asked after a message that it accepted: ask again later, or never more.

    Three days after the hand-over a message of which nothing is known is `unconfirmed`, whether the
    provider could be asked or not.
    """
    row = session.scalars(select(SmsMessage).where(SmsMessage.id == message.id).with_for_update()).one()
    now = session.scalars(select(func.app_clock())).one()
    settled = row.status is not SmsStatus.SENT and row.price is not None
    later = [row.sent_at + wait for wait in ASK_AFTER if row.sent_at and row.sent_at + wait > now]
    row.check_at = None if settled or not later else later[0] if asked else now + RECEIPT_AGAIN
    if row.status is SmsStatus.SENT and not later:
        row.status, row.cause = SmsStatus.UNCONFIRMED, Cause.NO_RECEIPT
    session.flush()


# Codes are the only messages that name a hold. To ask for their kind as well would have a planner without
# statistics read all codes of the clinic.


def last_code_of_hold(session: Session, org_id: uuid.UUID, hold_id: uuid.UUID) -> SmsMessage | None:
    """The newest code for this hold, whatever became of it."""
    return next(iter(codes_of_hold(session, org_id, hold_id)), None)


def codes_of_hold(session: Session, org_id: uuid.UUID, hold_id: uuid.UUID) -> Sequence[SmsMessage]:
    """The codes for this hold, whatever became of them, newest first: a handful, by the caps."""
    return session.scalars(
        select(SmsMessage)
        .where(SmsMessage.org_id == org_id, SmsMessage.hold_id == hold_id)
        .order_by(SmsMessage.created_at.desc())
    ).all()


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


def waiting_code_of_hold(session: Session, org_id: uuid.UUID, hold_id: uuid.UUID) -> SmsMessage | None:
    """A code for this hold that is still on its way to the provider."""
    return session.scalar(
        select(SmsMessage).where(
            SmsMessage.org_id == org_id,
            SmsMessage.hold_id == hold_id,
            SmsMessage.status.in_((SmsStatus.QUEUED, SmsStatus.SENDING)),
        )
    )


@dataclass(frozen=True, slots=True)
class CodesSent:
    """How many codes went out in 24 hours: for one hold, and in one call."""

    for_hold: int
    in_call: int


def count_codes(
    session: Session, *, org_id: uuid.UUID, hold_id: uuid.UUID, call_sid: str | None
) -> CodesSent:
    """Reads the clinic's codes of the last 24 hours, and nothing else."""
    # As a subquery, for a volatile function is no bound that an index could begin at; and the kind in words,
    # for a plan that is made for any kind cannot use an index of codes.
    since = select(func.app_clock() - timedelta(hours=24)).scalar_subquery()
    row = session.execute(
        select(
            func.count().filter(SmsMessage.hold_id == hold_id),
            # Codes that were asked for outside of any call are not those of one call.
            func.count().filter(SmsMessage.call_sid == call_sid if call_sid else false()),
        ).where(and_(SmsMessage.org_id == org_id, text("kind = 'otp'"), SmsMessage.created_at > since))
    ).one()
    return CodesSent(*row)


def time_told_before(session: Session, message: SmsMessage) -> datetime | None:
    """The time of the appointment as its patient last heard it before this confirmation: by the last one that
    an attempt was made to send, or in the telephone call. None if this is its first.

    A confirmation is worth sending until the appointment begins, so it is the time that it tells.
    """
    # By the number, kind and order left to us: else a planner without statistics reads all of a clinic.
    rows = session.scalars(
        select(SmsMessage).where(
            SmsMessage.org_id == message.org_id,
            SmsMessage.to_phone == message.to_phone,
            SmsMessage.appointment_id == message.appointment_id,
            SmsMessage.id != message.id,
        )
    )
    earlier = sorted(
        (row for row in rows if row.kind is SmsKind.CONFIRMATION), key=lambda row: row.created_at
    )
    told = [row for row in earlier if row.attempt > 0 and row.cause is not Cause.SENT_ANEW]
    found = told[-1] if told else next(iter(earlier), None)
    return found.expires_at if found else None


def receipt_token(message_id: uuid.UUID, attempt: int, key_id: str | None = None) -> str:
    """Part of the URL that the provider reports one attempt to: whoever knows it was told by us."""
    key = settings.get().subkey("sms-receipts", key_id)
    return hmac.new(key, f"{message_id}|{attempt}".encode(), hashlib.sha256).hexdigest()[:32]


def is_receipt_token(token: str, message_id: uuid.UUID, attempt: int) -> bool:
    """Whether we gave this token out, with today's SECRET_KEY or a former one."""
    ours = (receipt_token(message_id, attempt, key_id) for key_id in settings.get().key_ids)
    return any(hmac.compare_digest(token.encode(), own.encode()) for own in ours)


def find_owner(session: Session, message_id: uuid.UUID) -> uuid.UUID | None:
    """The organisation of a message, whichever it is: a receipt's token has said that it is ours."""
    return session.scalar(select(SmsMessage.org_id).where(SmsMessage.id == message_id))
