"""Holds: a slot kept for one caller for ten minutes, and the verbs claim, move, release and expire."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import locks
from models.base.tables import Base, CreatedAt, EnumText, Id, one_of
from models.booking.unproved_holds import Asked


class HoldStatus(StrEnum):
    HELD = "held"
    CONFIRMED = "confirmed"
    RELEASED = "released"  # given back: the caller chose another slot, the call ended, or a person did it
    EXPIRED = "expired"
    LOCKED = "locked"  # given back after too many wrong codes
    DISPLACED = "displaced"  # gave way to another hold before a code was asked for (docs/decisions/0023)


class AppointmentHold(Base):
    __tablename__ = "appointment_holds"
    __table_args__ = (
        one_of("status", HoldStatus),
        CheckConstraint("ends_at > starts_at", name="length"),
        # A negative one would leave part of the time to others.
        CheckConstraint("minutes_before >= 0 AND minutes_after >= 0", name="buffers"),
        CheckConstraint("code_tries >= 0", name="code_tries"),
        CheckConstraint("seat = 0", name="seat"),
        ForeignKeyConstraint(["org_id", "calendar_id"], ["calendars.org_id", "calendars.id"]),
        ForeignKeyConstraint(["org_id", "service_id"], ["services.org_id", "services.id"]),
        ForeignKeyConstraint(["org_id", "resource_id"], ["resources.org_id", "resources.id"]),
        ForeignKeyConstraint(["org_id", "contact_id"], ["contacts.org_id", "contacts.id"]),
        UniqueConstraint("org_id", "id"),  # for foreign keys that stay within one clinic
        Index("ix_appointment_holds_org_id_call_sid", "org_id", "call_sid", "created_at"),
        Index("ix_appointment_holds_org_id_patient_phone", "org_id", "patient_phone", "created_at"),
        Index("ix_appointment_holds_live", "org_id", "expires_at", postgresql_where=text("status = 'held'")),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID]
    calendar_id: Mapped[str]
    #: Filled in from the calendar where raw SQL leaves it out, as are the resources and ends_at. Null for one
    #: that was made before there were services.
    service_id: Mapped[str | None]
    #: The person that it is with, and the room and device that it needs besides.
    resource_id: Mapped[str]
    other_resources: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    seat: Mapped[int] = mapped_column(server_default="0")
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    #: The buffers: taken up as well, and told to nobody.
    minutes_before: Mapped[int] = mapped_column(server_default="0")
    minutes_after: Mapped[int] = mapped_column(server_default="0")
    status: Mapped[HoldStatus] = mapped_column(EnumText(HoldStatus), server_default="held")
    expires_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
    #: The platform's id of the call; null when the request came without a call id.
    call_sid: Mapped[str | None]
    contact_id: Mapped[uuid.UUID]
    patient_name: Mapped[str]
    #: Fixed at the claim: no later step can send a code or a confirmation to another number.
    patient_phone: Mapped[str]
    #: Keyed digest of the code that was asked for (models/booking/codes.py), in hex; null before that.
    code_digest: Mapped[str | None]
    #: The SECRET_KEY that the code was made with (settings.key_ids), since the current key may change.
    code_key: Mapped[str | None]
    #: How many digits the code has, since the clinic may change the number of digits.
    code_length: Mapped[int | None]
    code_tries: Mapped[int] = mapped_column(server_default="0")
    #: The credential of the request that made the hold; null where no credential was needed.
    credential_id: Mapped[uuid.UUID | None]
    #: Keyed digest of the number that the call comes from; null if it is withheld, or there is no call.
    caller: Mapped[str | None]
    #: Whether the call comes from the patient's number. Otherwise that number was only said.
    number_is_callers: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[CreatedAt]

    @property
    def resources(self) -> list[str]:
        """Everything that the hold takes up."""
        return [self.resource_id, *self.other_resources]

    def is_live(self, now: datetime) -> bool:
        """Whether the hold still keeps its slot: it is held and has not expired."""
        return self.status is HoldStatus.HELD and self.expires_at > now

    @classmethod
    def live_now(cls) -> ColumnElement[bool]:
        """`is_live` in a query, by the database's clock."""
        return func.hold_is_live(cls.status, cls.expires_at, func.app_clock(), type_=Boolean)

    def is_bookable(self, now: datetime) -> bool:
        """Whether its code can still confirm it: it is live and its slot has not begun."""
        return self.is_live(now) and self.starts_at > now


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer of claim_slot_atomic. In a refusal `expires_at` is that of the hold in the way."""

    success: bool
    hold_id: uuid.UUID | None
    error: str | None
    code: str | None
    expires_at: datetime | None
    contact_id: uuid.UUID | None
    #: The one whom it is with.
    resource_id: str | None


_CLAIM = text(
    "SELECT success, hold_id, error, code, expires_at, contact_id, resource_id "
    "FROM claim_slot_atomic(:org, :calendar, :slot, :call, :name, :phone, :minutes, CAST(:asked AS jsonb))"
).bindparams(
    bindparam("call", type_=String), bindparam("name", type_=String), bindparam("asked", type_=String)
)


_LOCK_RESOURCES = text("SELECT lock_resources(:org, CAST(:ids AS text[]))")

_OF_PHONE = text(
    "SELECT count(*) FILTER (WHERE hold_is_live(status, expires_at, app_clock())"
    "   AND (number_is_callers OR NOT :own) AND (:call IS NULL OR call_sid IS DISTINCT FROM :call))"
    " FROM appointment_holds WHERE org_id = :org AND patient_phone = :phone"
    " AND created_at > app_clock() - interval '24 hours'"
).bindparams(bindparam("call", type_=String))


def claim(
    session: Session,
    *,
    org_id: uuid.UUID,
    calendar_id: str,
    starts_at: datetime,
    call_sid: str | None,
    patient_name: str,
    patient_phone: str,
    hold_minutes: int,
    asked: Asked | None = None,
) -> Claim:
    """Hold one slot, or return why not. Exactly one of any number of simultaneous callers succeeds.

    Waits for other claims of the same resource, at most the lock timeout (LockNotAvailable after it). With
    `asked` the number must be locked (lock_phone); without it no limit on unproved holds applies.
    """
    row = session.execute(
        _CLAIM,
        {
            "org": org_id,
            "calendar": calendar_id,
            "slot": starts_at,
            "call": call_sid,
            "name": patient_name,
            "phone": patient_phone,
            "minutes": hold_minutes,
            "asked": asked and asked.as_json(),
        },
    ).one()
    return Claim(**row._mapping)


def claim_instead(
    session: Session,
    before: list[AppointmentHold],
    *,
    org_id: uuid.UUID,
    calendar_id: str,
    starts_at: datetime,
    call_sid: str | None,
    patient_name: str,
    patient_phone: str,
    hold_minutes: int,
    asked: Asked,
) -> Claim:
    """Claim a slot for a call in place of the slots it holds; if that is refused, the call keeps these.

    The old holds are released first, because the new slot may overlap them. So all locks are taken before
    that in the order of a claim, and two calls that swap their times cannot wait for each other.
    """
    if before:
        wanted = [each for option in asked.options or () for need in option for each in need]
        lock_resources(session, org_id, [*wanted, *(each for hold in before for each in hold.resources)])
    with session.begin_nested() if before else nullcontext() as savepoint:
        for hold in before:
            release(session, org_id=org_id, hold_id=hold.id)
        claimed = claim(
            session,
            org_id=org_id,
            calendar_id=calendar_id,
            starts_at=starts_at,
            call_sid=call_sid,
            patient_name=patient_name,
            patient_phone=patient_phone,
            hold_minutes=hold_minutes,
            asked=asked,
        )
        if savepoint is not None and not claimed.success:
            savepoint.rollback()
    return claimed


def release(session: Session, *, org_id: uuid.UUID, hold_id: uuid.UUID) -> bool:
    """Give a held slot back. False if the hold kept no slot."""
    return bool(
        session.scalar(
            text("SELECT success FROM release_hold(:hold, :org)"), {"hold": hold_id, "org": org_id}
        )
    )


def get_or_none(session: Session, org_id: uuid.UUID, hold_id: uuid.UUID) -> AppointmentHold | None:
    return session.scalar(
        select(AppointmentHold).where(AppointmentHold.id == hold_id, AppointmentHold.org_id == org_id)
    )


def latest_of_call(session: Session, org_id: uuid.UUID, call_sid: str) -> AppointmentHold | None:
    """The hold that this call made last, in any status."""
    return session.scalar(
        select(AppointmentHold)
        .where(AppointmentHold.org_id == org_id, AppointmentHold.call_sid == call_sid)
        .order_by(AppointmentHold.created_at.desc())
        .limit(1)
    )


def find_held_of_call(session: Session, org_id: uuid.UUID, call_sid: str) -> list[AppointmentHold]:
    """The holds of a call with status `held`, including expired ones that are not marked yet."""
    return list(
        session.scalars(
            select(AppointmentHold).where(
                AppointmentHold.org_id == org_id,
                AppointmentHold.call_sid == call_sid,
                AppointmentHold.status == HoldStatus.HELD,
            )
        )
    )


def count_of_phone(
    session: Session, org_id: uuid.UUID, phone: str, *, but_for_call: str | None = None, own: bool = False
) -> int:
    """How many live holds one number has, without those of the call `but_for_call`.

    `own`: count only the holds of calls from that number, so that callers who merely name a number do not use
    up its owner's limit.
    """
    values = {"org": org_id, "phone": phone, "call": but_for_call, "own": own}
    return int(session.execute(_OF_PHONE, values).scalar_one())


def lock_resources(session: Session, org_id: uuid.UUID, resource_ids: Iterable[str]) -> None:
    """Let no other transaction claim these resources until this one ends. The order is the same for all."""
    session.execute(_LOCK_RESOURCES, {"org": org_id, "ids": list(resource_ids)})


def lock_phone(session: Session, org_id: uuid.UUID, phone: str) -> None:
    """Let no other transaction count or add holds of this number until this transaction ends.

    Taken after the lock of the call (begin_tool_call) and before that of any resource (claim_slot_atomic):
    the order is the same everywhere, so that calls that move their holds cannot wait for each other.
    """
    locks.take(session, func.phone_lock_key(org_id, phone))


def release_of_call(session: Session, *, org_id: uuid.UUID, call_sid: str) -> int:
    """Release the slots that an ended call still holds; returns how many were released."""
    held = find_held_of_call(session, org_id, call_sid)
    if len(held) > 1:
        lock_resources(session, org_id, [each for hold in held for each in hold.resources])
    return sum(release(session, org_id=org_id, hold_id=hold.id) for hold in held)


#: A tool call may arrive after its call has ended. Its hold may stand for this long.
AFTER_ITS_CALL = timedelta(minutes=1)

_CALL_IS_OVER = text(
    "EXISTS (SELECT FROM calls c WHERE c.org_id = appointment_holds.org_id"
    " AND c.id = appointment_holds.call_sid AND c.status = 'ended')"
)


def expire(session: Session, *, limit: int = 500) -> int:
    """Mark at most `limit` expired holds, and release those of ended calls; returns how many.

    This only tidies up: a claim clears expired holds that are in its own way. Rows that another transaction
    has locked are left for the next time.
    """
    now = func.app_clock()
    over = AppointmentHold.expires_at <= now
    due = (
        select(AppointmentHold.id)
        .where(
            AppointmentHold.status == HoldStatus.HELD,
            or_(over, and_(AppointmentHold.created_at <= now - AFTER_ITS_CALL, _CALL_IS_OVER)),
        )
        .order_by(AppointmentHold.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    result = session.execute(
        update(AppointmentHold)
        .where(AppointmentHold.id.in_(due.scalar_subquery()))
        .values(status=case((over, HoldStatus.EXPIRED), else_=HoldStatus.RELEASED), released_at=now)
        .returning(AppointmentHold.id)
    )
    return len(result.all())
