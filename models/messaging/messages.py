"""The table of every SMS of every kind, and what other rooms ask of its rows.

The states and their legal moves are in states.py. outbox.py claims and sweeps the rows; outcomes.py records
what became of an attempt; receipts.py and reconciling.py handle what the provider says later.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Numeric,
    UniqueConstraint,
    and_,
    false,
    func,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import clock
from models.base.tables import Base, CreatedAt, EnumText, Id, one_of
from models.messaging import handling
from models.messaging.meanings import Meaning
from models.messaging.states import Cause, SmsKind, SmsStatus


def _about(kind: SmsKind, names: str) -> CheckConstraint:
    """What a message of this kind must name, and what it must not."""
    return CheckConstraint(f"kind <> '{kind.value}' OR ({names})", name=f"about_{kind.value}")


class SmsMessage(Base):
    __tablename__ = "sms_messages"
    __table_args__ = (
        one_of("kind", SmsKind),
        one_of("status", SmsStatus),
        one_of("cause", Cause),
        one_of("error_meaning", Meaning),
        UniqueConstraint("id", "appointment_id"),
        ForeignKeyConstraint(["org_id", "appointment_id"], ["appointments.org_id", "appointments.id"]),
        ForeignKeyConstraint(["org_id", "hold_id"], ["appointment_holds.org_id", "appointment_holds.id"]),
        _about(SmsKind.OTP, "hold_id IS NOT NULL AND appointment_id IS NULL"),
        _about(SmsKind.CONFIRMATION, "appointment_id IS NOT NULL"),
        _about(SmsKind.CANCELLATION, "appointment_id IS NOT NULL"),
        _about(SmsKind.HOT_LEAD_ALERT, "appointment_id IS NULL"),
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
        # Every column of the query, in its order: without statistics the planner takes the index that looks
        # narrowest.
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
    #: The text as it was sent. Never set for a code, whose text is made again for each attempt.
    body: Mapped[str | None]
    #: The account of the last attempt: only that account knows what became of it.
    account_sid: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(server_default="0")
    #: Until then the attempt is known to occupy a process.
    lease_until: Mapped[datetime | None]
    unknown_since: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    nudged_at: Mapped[datetime | None]
    #: The message's own moment in the clinic's pace, once it has been given a moment.
    moment_at: Mapped[datetime | None] = mapped_column("slot_at")
    #: When the provider is to be asked what became of the message.
    check_at: Mapped[datetime | None]
    #: Why the message is in its state.
    cause: Mapped[Cause] = mapped_column(EnumText(Cause), server_default="created")
    #: After this the message is not worth sending: mostly the end of the hold, or the appointment's start.
    expires_at: Mapped[datetime | None]
    #: The provider's own id of the message.
    provider_id: Mapped[str | None]
    #: Why it was not sent or not delivered: the provider's code, what that means, and a sentence for staff.
    error_code: Mapped[str | None]
    error_meaning: Mapped[Meaning | None] = mapped_column(EnumText(Meaning))
    error_reason: Mapped[str | None]
    segments: Mapped[int | None]
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 5))
    price_unit: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


def is_known() -> ColumnElement[bool]:
    """In a query: whether this release knows the kind. A newer release has workers for the others."""
    return SmsMessage.kind.in_(tuple(SmsKind))


@dataclass(frozen=True, slots=True)
class Due:
    """What a nudge carries: a row that is due, at once or after a wait."""

    org_id: uuid.UUID
    message_id: uuid.UUID
    kind: SmsKind
    wait: timedelta = timedelta()

    @property
    def urgent(self) -> bool:
        """Whether it goes through the queue of messages for which a caller waits on the telephone."""
        return handling.of(self.kind).urgent


def get_or_none(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> SmsMessage | None:
    return session.scalar(select(SmsMessage).where(SmsMessage.id == message_id, SmsMessage.org_id == org_id))


def lock(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> tuple[SmsMessage | None, datetime]:
    """The row as it is now, locked until the end of the transaction; and the database's time."""
    row = session.scalar(
        select(SmsMessage)
        .where(SmsMessage.id == message_id, SmsMessage.org_id == org_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return row, clock.now(session)


def last_code_of_hold(session: Session, org_id: uuid.UUID, hold_id: uuid.UUID) -> SmsMessage | None:
    """The newest code for this hold, whatever became of it."""
    return next(iter(codes_of_hold(session, org_id, hold_id)), None)


def codes_of_hold(session: Session, org_id: uuid.UUID, hold_id: uuid.UUID) -> Sequence[SmsMessage]:
    """The codes for this hold, whatever became of them, newest first; the limits keep them to a handful."""
    # The kind is filtered here: in SQL, a planner without statistics would read all the codes of a clinic.
    rows = session.scalars(
        select(SmsMessage)
        .where(SmsMessage.org_id == org_id, SmsMessage.hold_id == hold_id)
        .order_by(SmsMessage.created_at.desc())
    )
    return [row for row in rows if row.kind is SmsKind.OTP]


def waiting_code_of_hold(session: Session, org_id: uuid.UUID, hold_id: uuid.UUID) -> SmsMessage | None:
    """A code for this hold that is still on its way to the provider."""
    on_its_way = (SmsStatus.QUEUED, SmsStatus.SENDING)
    found = (code for code in codes_of_hold(session, org_id, hold_id) if code.status in on_its_way)
    return next(found, None)


@dataclass(frozen=True, slots=True)
class CodesSent:
    """How many codes went out in 24 hours: for one hold, and in one call."""

    for_hold: int
    in_call: int


def count_codes(
    session: Session, *, org_id: uuid.UUID, hold_id: uuid.UUID, call_sid: str | None
) -> CodesSent:
    """Reads the clinic's codes of the last 24 hours, and nothing else."""
    # The time is a subquery, because no index can begin at a volatile function. The kind is a literal, as a
    # plan for any kind cannot use the index of codes.
    since = select(func.app_clock() - timedelta(hours=24)).scalar_subquery()
    row = session.execute(
        select(
            func.count().filter(SmsMessage.hold_id == hold_id),
            # Codes that were asked for outside a call do not belong to one call.
            func.count().filter(SmsMessage.call_sid == call_sid if call_sid else false()),
        ).where(and_(SmsMessage.org_id == org_id, text("kind = 'otp'"), SmsMessage.created_at > since))
    ).one()
    return CodesSent(*row)


def time_told_before(session: Session, message: SmsMessage) -> datetime | None:
    """The time of the appointment as its patient last heard it before this confirmation: by the last
    confirmation that was attempted, or in the telephone call. None for the appointment's first confirmation.

    A confirmation expires when the appointment begins, so `expires_at` is the time that it tells.
    """
    # The query names the number, and kind and order are dealt with here: otherwise a planner without
    # statistics reads all of a clinic.
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


def find_owner(session: Session, message_id: uuid.UUID) -> uuid.UUID | None:
    """The organisation of a message of any clinic: the token of the receipt has proved that it is ours."""
    return session.scalar(select(SmsMessage.org_id).where(SmsMessage.id == message_id))
