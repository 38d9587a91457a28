"""A clinic's sender: its pace, and whether it can send at all.

A clinic's broken account must not hold up other clinics, and a configuration error must be one alert and not
a thousand failed messages: messages stay queued until the sender works again.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import ForeignKey, ScalarSelect, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import clock
from models.base.tables import Base, EnumText, one_of
from models.messaging import timing
from models.messaging.meanings import Failure, Meaning
from models.messaging.states import Cause


class SmsSender(Base):
    __tablename__ = "sms_senders"
    __table_args__ = (one_of("stopped_meaning", Meaning),)

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    #: The first moment in the clinic's pace that no message has taken.
    next_at: Mapped[datetime | None]
    #: Until then the messages that have gone use up the pace.
    full_until: Mapped[datetime | None]
    #: Its last answer was long in coming, or never came.
    slow: Mapped[bool] = mapped_column(server_default=text("false"))
    #: Attempts in a row that got no answer.
    failures: Mapped[int] = mapped_column(server_default="0")
    #: Nothing is sent before this.
    retry_at: Mapped[datetime | None]
    #: Set while the provider refuses everything, with its code and what that means.
    stopped_at: Mapped[datetime | None]
    stopped_code: Mapped[str | None]
    stopped_meaning: Mapped[Meaning | None] = mapped_column(EnumText(Meaning))
    stopped_reason: Mapped[str | None]
    #: It is refused only after a message was accepted, so that the next one is accepted, too.
    stopped_late: Mapped[bool] = mapped_column(server_default=text("false"))
    #: Messages with which it was tried since it stopped.
    tries: Mapped[int] = mapped_column(server_default="0")


def get_or_none(session: Session, org_id: uuid.UUID) -> SmsSender | None:
    return session.scalar(select(SmsSender).where(SmsSender.org_id == org_id))


def lock(session: Session, org_id: uuid.UUID) -> SmsSender:
    """The clinic's sender, for this transaction alone: its messages are claimed one after the other."""
    session.execute(insert(SmsSender).values(org_id=org_id).on_conflict_do_nothing())
    return session.scalars(
        select(SmsSender)
        .where(SmsSender.org_id == org_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def paused_until(sender: SmsSender, now: datetime) -> datetime | None:
    """When this sender, which is locked, may be tried again; None if it may be now."""
    return sender.retry_at if sender.retry_at and sender.retry_at > now else None


def next_try(org_id: uuid.UUID) -> ScalarSelect[datetime | None]:
    """When that sender may be tried again, as part of a statement."""
    return select(SmsSender.retry_at).where(SmsSender.org_id == org_id).scalar_subquery()


def try_again(sender: SmsSender, now: datetime) -> None:
    """After a pause one message goes ahead, and the others wait for what becomes of it: a broken account
    costs one attempt, and not one of each message.
    """
    if not sender.retry_at:
        return
    if sender.stopped_at:
        sender.tries += 1
        sender.retry_at = now + _until_probe(sender)
    else:
        sender.retry_at = now + _pause(sender.failures)


def _until_probe(sender: SmsSender) -> timedelta:
    waits = timing.LATE_PROBES if sender.stopped_late else timing.PROBES
    return waits[min(sender.tries, len(waits) - 1)]


def _pause(failures: int) -> timedelta:
    return timing.PAUSES[min(max(failures - timing.SILENT_ATTEMPTS, 0), len(timing.PAUSES) - 1)]


def take_moment(
    session: Session, org_id: uuid.UUID, *, per_second: int, wait: timedelta = timedelta()
) -> datetime:
    """The next free moment in the clinic's pace, after a wait if there is one. No other message gets it."""
    first = func.app_clock() + wait
    step = timedelta(seconds=1) / per_second
    upsert = insert(SmsSender).values(org_id=org_id, next_at=first + step)
    # greatest() passes over what is null.
    free = func.greatest(SmsSender.next_at, SmsSender.full_until, first)
    moment = upsert.on_conflict_do_update(index_elements=["org_id"], set_={"next_at": free + step}).returning(
        SmsSender.next_at - step
    )
    return cast("datetime", session.execute(moment).scalar_one())


def use_pace(session: Session, org_id: uuid.UUID, *, per_second: int) -> bool:
    """Use up a part of the clinic's pace for a message that goes now. False if none of it is left.

    Moments alone would not keep the pace: messages that missed theirs would all go at once.
    """
    now = func.app_clock()
    until = func.greatest(SmsSender.full_until, now) + timedelta(seconds=1) / per_second
    taken = session.scalar(
        update(SmsSender)
        .where(SmsSender.org_id == org_id, func.coalesce(SmsSender.full_until, now) <= now + timing.EARLY)
        .values(full_until=until)
        .returning(SmsSender.org_id)
    )
    return taken is not None


def record_speed(session: Session, org_id: uuid.UUID, *, slow: bool) -> None:
    """Note whether the provider took long over a message. While it does, the clinic's go one at a time."""
    session.execute(
        update(SmsSender).where(SmsSender.org_id == org_id, SmsSender.slow != slow).values(slow=slow)
    )


def record_answer(session: Session, org_id: uuid.UUID) -> None:
    """The provider answered, even if it refused this one message: it is no longer silent."""
    session.execute(
        update(SmsSender)
        .where(SmsSender.org_id == org_id, SmsSender.failures > 0, SmsSender.stopped_at.is_(None))
        .values(failures=0, retry_at=None)
    )


def record_success(
    session: Session, org_id: uuid.UUID, *, claimed_at: datetime | None, delivered: bool = False
) -> None:
    """The provider has just accepted a message, or delivered one that it accepted earlier.

    Only a message that was claimed (at `claimed_at`) after a stop proves that the stop is over, because
    receipts of earlier ones still arrive. A stop that came by receipt ends only when a message is delivered.
    A delivery does not prove that the provider answers requests now, so it ends no silence.
    """
    sender = get_or_none(session, org_id)
    if sender is None:
        return
    if sender.stopped_at:
        since = claimed_at is not None and claimed_at > sender.stopped_at
        if since and (delivered or not sender.stopped_late):
            resume(session, org_id)
    elif delivered:
        return
    elif sender.retry_at:
        resume(session, org_id)
    else:
        record_answer(session, org_id)
        session.execute(_HURRY, {"org_id": org_id, "cause": Cause.UNAVAILABLE.value})


def record_silence(session: Session, org_id: uuid.UUID) -> None:
    """No answer came in time. After SILENT_ATTEMPTS in a row the sender pauses, longer each time."""
    failures: int = session.scalars(
        insert(SmsSender)
        .values(org_id=org_id, failures=1)
        .on_conflict_do_update(index_elements=["org_id"], set_={"failures": SmsSender.failures + 1})
        .returning(SmsSender.failures)
    ).one()
    if failures >= timing.SILENT_ATTEMPTS:
        # A sender that is stopped stays so for longer.
        until = func.greatest(SmsSender.retry_at, func.app_clock() + _pause(failures))
        session.execute(update(SmsSender).where(SmsSender.org_id == org_id).values(retry_at=until))


def record_stop(session: Session, org_id: uuid.UUID, why: Failure, *, late: bool = False) -> bool:
    """The provider refuses the sender itself; `late`: by the receipt of a message that it had accepted.

    True the first time, so that one alert is raised. Only the first time sets a try: a later refusal answers
    either a try, which has set the next one (try_again), or a message that went out before the stop.
    """
    sender = lock(session, org_id)
    first = sender.stopped_at is None
    sender.stopped_code, sender.stopped_meaning, sender.stopped_reason = why.code, why.meaning, why.reason
    sender.stopped_late = late
    if first:
        now = clock.now(session)
        sender.stopped_at, sender.tries = now, 0
        sender.retry_at = now + _until_probe(sender)
    session.flush()
    return first


def resume(session: Session, org_id: uuid.UUID) -> None:
    """Let the sender go on at once, with all that waits: the account works, or somebody put it right."""
    session.execute(
        update(SmsSender)
        .where(SmsSender.org_id == org_id)
        .values(
            failures=0,
            retry_at=None,
            stopped_at=None,
            stopped_code=None,
            stopped_meaning=None,
            stopped_reason=None,
            stopped_late=False,
            tries=0,
        )
    )
    # SKIP LOCKED: a claim holds its message while it waits for the sender, which this transaction has locked.
    session.execute(_BRING_FORWARD, {"org_id": org_id})


_BRING_FORWARD = text(
    "UPDATE sms_messages SET next_attempt_at = greatest(app_clock(), slot_at), nudged_at = NULL,"
    " error_code = NULL, error_meaning = NULL, error_reason = NULL"
    " WHERE id IN (SELECT id FROM sms_messages WHERE org_id = :org_id AND status = 'queued'"
    " AND (next_attempt_at > app_clock() OR error_reason IS NOT NULL) FOR UPDATE SKIP LOCKED)"
)

#: With each message that the provider accepts, some of those that it could not take come forward. They are
#: few, because it may still accept only a part. What waits for longer than the longest step of BACKOFF was
#: put off by the provider itself, and is left to its time.
_HURRY = text(
    "UPDATE sms_messages SET next_attempt_at = app_clock(), nudged_at = NULL"
    " WHERE id IN (SELECT id FROM sms_messages WHERE org_id = :org_id AND status = 'queued'"
    " AND cause = :cause AND next_attempt_at > app_clock()"
    " AND next_attempt_at <= app_clock() + interval '60 s'"
    " ORDER BY next_attempt_at LIMIT 10 FOR UPDATE SKIP LOCKED)"
)
