"""Appointments, and the verbs confirm, move and cancel.

A hold whose code was read back becomes an appointment with a confirmation; a move sends another confirmation.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    Uuid,
    bindparam,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import clock
from models.base.tables import Base, CreatedAt, EnumText, Id, one_of
from models.booking import availability, bookables, links
from models.booking.availability import Closed, Option
from models.booking.bookables import Bookable
from models.clinics import calendars


class AppointmentStatus(StrEnum):
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    # Noted by the desk: the patient was seen, did not come, or is here.
    COMPLETED = "completed"
    NO_SHOW = "no_show"
    ARRIVED = "arrived"


#: An appointment to come, and a visit that is not over yet: also a patient who is here early is expected.
EXPECTED = (AppointmentStatus.CONFIRMED, AppointmentStatus.ARRIVED)


class BookedBy(StrEnum):
    PHONE = "phone"
    LINK = "link"
    DESK = "desk"
    IMPORT = "import"  # from the clinic's former diary


class Appointment(Base):
    __tablename__ = "appointments"
    __table_args__ = (
        one_of("status", AppointmentStatus),
        one_of("booked_by", BookedBy),
        CheckConstraint("ends_at > scheduled_at", name="length"),
        CheckConstraint("minutes_before >= 0 AND minutes_after >= 0", name="buffers"),
        # An appointment by phone had its code read back; one of the desk has somebody who answers for it.
        CheckConstraint("booked_by <> 'phone' OR hold_id IS NOT NULL", name="phone_has_its_hold"),
        CheckConstraint("booked_by NOT IN ('desk', 'import') OR booker IS NOT NULL", name="desk_has_a_name"),
        CheckConstraint(r"(seat > 0) = (overruled IS NOT NULL) AND overruled ~ '\S'", name="overruled"),
        ForeignKeyConstraint(["org_id", "calendar_id"], ["calendars.org_id", "calendars.id"]),
        ForeignKeyConstraint(["org_id", "service_id"], ["services.org_id", "services.id"]),
        ForeignKeyConstraint(["org_id", "resource_id"], ["resources.org_id", "resources.id"]),
        ForeignKeyConstraint(["org_id", "contact_id"], ["contacts.org_id", "contacts.id"]),
        ForeignKeyConstraint(["org_id", "hold_id"], ["appointment_holds.org_id", "appointment_holds.id"]),
        UniqueConstraint("org_id", "id"),
        # P2: at commit and ever after an appointment has a confirmation, which is its own and not that of
        # another appointment.
        ForeignKeyConstraint(
            ["confirmation_message_id", "id"],
            ["sms_messages.id", "sms_messages.appointment_id"],
            name="fk_appointments_confirmation_message",
            deferrable=True,
            initially="DEFERRED",
            use_alter=True,
        ),
        Index("ix_appointments_org_id_scheduled_at", "org_id", "scheduled_at"),
        Index("uq_appointments_hold_id", "hold_id", unique=True),
        Index("ix_appointments_org_id_call_sid", "org_id", "call_sid"),
        Index("ix_appointments_org_id_patient_phone", "org_id", "patient_phone"),
        Index(
            "uq_appointments_org_id_imported_id",
            "org_id",
            "imported_id",
            unique=True,
            postgresql_where=text("imported_id IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID]
    calendar_id: Mapped[str]
    service_id: Mapped[str | None]
    resource_id: Mapped[str]
    other_resources: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    seat: Mapped[int] = mapped_column(server_default="0")
    scheduled_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    minutes_before: Mapped[int] = mapped_column(server_default="0")
    minutes_after: Mapped[int] = mapped_column(server_default="0")
    status: Mapped[AppointmentStatus] = mapped_column(EnumText(AppointmentStatus), server_default="confirmed")
    contact_id: Mapped[uuid.UUID]
    hold_id: Mapped[uuid.UUID | None]
    call_sid: Mapped[str | None]
    patient_name: Mapped[str]
    patient_phone: Mapped[str]
    #: What the caller said that it is for, in the clinic's words where these are among them.
    service_type: Mapped[str | None]
    #: Filled in where raw SQL leaves it out: by phone with a hold, else by the desk.
    booked_by: Mapped[BookedBy] = mapped_column(EnumText(BookedBy))
    #: Who at the desk, as the audit log names them.
    booker: Mapped[str | None]
    #: Why the desk put it beside another one, on a seat of its own; null on the first seat.
    overruled: Mapped[str | None]
    #: Of an imported one: a digest by which another import knows it (models/booking/imports/matching.py).
    imported_id: Mapped[str | None]
    confirmation_message_id: Mapped[uuid.UUID]
    # A trigger copies these three from the confirmation's row.
    confirmation_sms_sent: Mapped[bool] = mapped_column(server_default="false")
    confirmation_sms_id: Mapped[str | None]
    confirmation_sms_sent_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The answer of confirm_held_slot. `appointment_id` is also set when the hold was confirmed before."""

    success: bool
    appointment_id: uuid.UUID | None
    error: str | None
    code: str | None
    tries_left: int | None
    message_id: uuid.UUID | None


_CONFIRM = text(
    "SELECT success, appointment_id, error, code, tries_left, message_id "
    "FROM confirm_held_slot(:hold, :org, :contact, :digest, :service, :tries)"
).bindparams(bindparam("contact", type_=Uuid))


def confirm(
    session: Session,
    *,
    org_id: uuid.UUID,
    hold_id: uuid.UUID,
    contact_id: uuid.UUID | None,
    code_digest: str,
    service_type: str | None,
    max_tries: int,
) -> Confirmation:
    """Confirm a hold if the digest is that of its code, and give the message a link.

    A wrong digest costs a try. Neither answer may be told to the caller before the transaction has committed.
    """
    row = session.execute(
        _CONFIRM,
        {
            "hold": hold_id,
            "org": org_id,
            "contact": contact_id,
            "digest": code_digest,
            "service": service_type,
            "tries": max_tries,
        },
    ).one()
    if row.success:
        link(session, org_id, row.appointment_id, row.message_id)
    return Confirmation(**row._mapping)


def confirm_by(session: Session, org_id: uuid.UUID, appointment_id: uuid.UUID, message_id: uuid.UUID) -> None:
    """Make another message the confirmation of an appointment, with a link of its own."""
    session.execute(
        update(Appointment)
        .where(Appointment.id == appointment_id, Appointment.org_id == org_id)
        .values(confirmation_message_id=message_id)
        .execution_options(synchronize_session=False)
    )
    link(session, org_id, appointment_id, message_id)


def link(session: Session, org_id: uuid.UUID, appointment_id: uuid.UUID, message_id: uuid.UUID) -> None:
    """Give a confirmation its link, which expires as the appointment begins."""
    begins = select(Appointment.scheduled_at).where(
        Appointment.id == appointment_id, Appointment.org_id == org_id
    )
    links.create(
        session,
        org_id=org_id,
        appointment_id=appointment_id,
        message_id=message_id,
        expires_at=begins.scalar_subquery(),
    )


@dataclass(frozen=True, slots=True)
class Change:
    """The answer of cancel_appointment or move_appointment. `message_id` is the message about the change."""

    success: bool
    error: str | None
    code: str | None
    message_id: uuid.UUID | None = None


_CANCEL = text(
    "SELECT success, error, code, message_id FROM cancel_appointment(:appointment, :org, :message)"
).bindparams(bindparam("message", type_=Uuid))
_MOVE = text(
    "SELECT success, error, code, message_id"
    " FROM move_appointment(:appointment, :org, :slot, :message, :most_moves, CAST(:options AS jsonb))"
).bindparams(
    bindparam("slot", type_=DateTime(timezone=True)),
    bindparam("message", type_=Uuid),
    bindparam("most_moves", type_=Integer),
    bindparam("options", type_=Text),
)


def cancel(
    session: Session, *, org_id: uuid.UUID, appointment_id: uuid.UUID, message_id: uuid.UUID | None = None
) -> Change:
    """Cancel an appointment that has not begun; its slot is free again, and a message tells the patient.

    `message_id` is the confirmation whose link was used; it must be the newest one.
    """
    values = {"appointment": appointment_id, "org": org_id, "message": message_id}
    change = Change(**session.execute(_CANCEL, values).one()._mapping)
    _read_again(session, appointment_id)
    return change


def move(
    session: Session,
    *,
    org_id: uuid.UUID,
    appointment_id: uuid.UUID,
    starts_at: datetime,
    message_id: uuid.UUID | None = None,
    most_moves: int | None = None,
) -> Change:
    """Move an appointment to another start that is offered with the same person, or return why not and change
    nothing.

    `message_id` as for `cancel`. `most_moves` is how often the actor of this transaction may move it in 24
    hours; without it there is no limit. Waits for claims of the same resource, at most the lock timeout.
    """
    appointment = get_or_none(session, org_id, appointment_id)
    options = None
    if appointment:
        room = find_bookable(session, appointment)
        if room is None or not room.by_link:
            return Change(success=False, error="Not an offered time", code=Closed.OFF_THE_GRID.value)
        slot, closed = availability.slot_at(room, starts_at, clock.now(session))
        if slot is None:
            return Change(
                success=False, error="Not an offered time", code=(closed or Closed.OFF_THE_GRID).value
            )
        options = slot.options
    return _move(session, org_id, appointment_id, starts_at, options, message_id, most_moves)


def move_to(
    session: Session, appointment: Appointment, starts_at: datetime, options: tuple[Option, ...]
) -> Change:
    """Move an appointment to a time of one of `options`, whatever the hours are. Waits as `move` does."""
    return _move(session, appointment.org_id, appointment.id, starts_at, options, None, None)


def _move(
    session: Session,
    org_id: uuid.UUID,
    appointment_id: uuid.UUID,
    starts_at: datetime,
    options: tuple[Option, ...] | None,
    message_id: uuid.UUID | None,
    most_moves: int | None,
) -> Change:
    values = {
        "appointment": appointment_id,
        "org": org_id,
        "slot": starts_at,
        "message": message_id,
        "most_moves": most_moves,
        "options": options and json.dumps(options),
    }
    change = Change(**session.execute(_MOVE, values).one()._mapping)
    if change.success and change.message_id:
        link(session, org_id, appointment_id, change.message_id)
    _read_again(session, appointment_id)
    return change


def find_bookable(session: Session, appointment: Appointment) -> Bookable | None:
    """What an appointment can be moved within: its service with the same person, as long as it is now.

    With whoever can do it where that person no longer does. None if the service is offered no more, or if
    that person's calendar from elsewhere could not be read for too long.
    """
    calendar = calendars.get_or_none(session, appointment.org_id, appointment.calendar_id)
    if calendar is None:
        return None
    service = appointment.service_id
    person = appointment.resource_id
    found = bookables.find(session, calendar, service_id=service, person=person)
    if found is None and not bookables.find(
        session, calendar, service_id=service, person=person, at_desk=True
    ):
        found = bookables.find(session, calendar, service_id=service)
    return found and as_long_as(found, appointment)


def as_long_as(bookable: Bookable, appointment: Appointment) -> Bookable:
    """The same with the length and the buffers of an appointment, which moves as it was booked."""
    return replace(
        bookable,
        minutes=(appointment.ends_at - appointment.scheduled_at) // timedelta(minutes=1),
        minutes_before=appointment.minutes_before,
        minutes_after=appointment.minutes_after,
    )


def _read_again(session: Session, appointment_id: uuid.UUID) -> None:
    """Refresh an appointment in this session after an SQL function has changed it."""
    known = session.identity_map.get(session.identity_key(Appointment, appointment_id))
    if known is not None:
        session.refresh(known)


def get_or_none(session: Session, org_id: uuid.UUID, appointment_id: uuid.UUID) -> Appointment | None:
    return session.scalar(
        select(Appointment).where(Appointment.id == appointment_id, Appointment.org_id == org_id)
    )


def latest_of_call(session: Session, org_id: uuid.UUID, call_sid: str) -> Appointment | None:
    return session.scalar(
        select(Appointment)
        .where(Appointment.org_id == org_id, Appointment.call_sid == call_sid)
        .order_by(Appointment.created_at.desc())
        .limit(1)
    )


def find_in_call(
    session: Session,
    org_id: uuid.UUID,
    call_sid: str,
    *,
    calendar_id: str,
    starts_at: datetime,
    patient_phone: str,
) -> Appointment | None:
    """The appointment at this time for this number that was booked in this call, and stands."""
    return session.scalar(
        select(Appointment).where(
            Appointment.org_id == org_id,
            Appointment.call_sid == call_sid,
            Appointment.calendar_id == calendar_id,
            Appointment.scheduled_at == starts_at,
            Appointment.patient_phone == patient_phone,
            Appointment.status.in_(EXPECTED),
        )
    )


def of_hold(session: Session, org_id: uuid.UUID, hold_id: uuid.UUID) -> Appointment | None:
    """The appointment that a confirmed hold became."""
    return session.scalar(
        select(Appointment).where(Appointment.org_id == org_id, Appointment.hold_id == hold_id)
    )
