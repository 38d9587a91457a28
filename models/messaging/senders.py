"""A clinic's sender: its pace, and whether it can send at all.

A clinic's broken account must not hold up other clinics, and a configuration error must raise one alert and
not fail a thousand messages: messages stay queued until the sender works again.
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
    #: The messages sent so far have used up the pace until then.
    full_until: Mapped[datetime | None]
    #: The provider's last answer was slow, or never came.
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
    #: The provider accepts each message first and refuses it later, so the next message is accepted, too.
    stopped_late: Mapped[bool] = mapped_column(server_default=text("false"))
    #: Messages with which the sender was tried since it stopped.
    tries: Mapped[int] = mapped_column(server_default="0")


def get_or_none(session: Session, org_id: uuid.UUID) -> SmsSender | None:
    return session.scalar(select(SmsSender).where(SmsSender.org_id == org_id))


def lock(session: Session, org_id: uuid.UUID) -> SmsSender:
    """The clinic's sender, locked for this transaction: its messages are claimed one after the other."""
    session.execute(insert(SmsSender).values(org_id=org_id).on_conflict_do_nothing())
    return session.scalars(
        select(SmsSender)
        .where(SmsSender.org_id == org_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def paused_until(sender: SmsSender, now: datetime) -> datetime | None:
    """When this locked sender may be tried again; None if it may be tried now."""
    return sender.retry_at if sender.retry_at and sender.retry_at > now else None


def next_try(org_id: uuid.UUID) -> ScalarSelect[datetime | None]:
    """A subquery for the time when the clinic's sender may be tried again."""
    return select(SmsSender.retry_at).where(SmsSender.org_id == org_id).scalar_subquery()


def try_again(sender: SmsSender, now: datetime) -> None:
    """After a pause let one message go ahead while the others wait for its outcome: a broken account costs
    one attempt, not one attempt of each message.
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
    """The next free moment in the clinic's pace, at least `wait` from now. No other message gets it."""
    first = func.app_clock() + wait
    step = timedelta(seconds=1) / per_second
    upsert = insert(SmsSender).values(org_id=org_id, next_at=first + step)
    # greatest() ignores nulls.
    free = func.greatest(SmsSender.next_at, SmsSender.full_until, first)
    moment = upsert.on_conflict_do_update(index_elements=["org_id"], set_={"next_at": free + step}).returning(
        SmsSender.next_at - step
    )
    return cast("datetime", session.execute(moment).scalar_one())


def use_pace(session: Session, org_id: uuid.UUID, *, per_second: int) -> bool:
    """Use up a part of the clinic's pace for a message that goes now. False if the pace is used up.

    Moments alone would not keep the pace: messages that missed their moment would all go at once.
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
    """Note whether the provider was slow. While it is, the clinic's messages go one at a time."""
    session.execute(
        update(SmsSender).where(SmsSender.org_id == org_id, SmsSender.slow != slow).values(slow=slow)
    )


def record_answer(session: Session, org_id: uuid.UUID) -> None:
    """The provider answered, even if it refused this message: it is no longer silent."""
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
    receipts of earlier messages still arrive. A stop that came by receipt ends only when a message is
    delivered. A delivery does not prove that the provider answers requests now, so it ends no silence.
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
        # A stopped sender may have to wait for longer than this pause.
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
    """Let the sender and all its waiting messages go at once: the account works, or a person put it right."""
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

#: With each message that the provider accepts, some of those that it could not take come forward: only a few,
#: because it may still accept only some. A message that waits for longer than the longest step of BACKOFF was
#: put off by the provider itself, and keeps its time.
_HURRY = text(
    "UPDATE sms_messages SET next_attempt_at = app_clock(), nudged_at = NULL"
    " WHERE id IN (SELECT id FROM sms_messages WHERE org_id = :org_id AND status = 'queued'"
    " AND cause = :cause AND next_attempt_at > app_clock()"
    " AND next_attempt_at <= app_clock() + interval '60 s'"
    " ORDER BY next_attempt_at LIMIT 10 FOR UPDATE SKIP LOCKED)"
)
