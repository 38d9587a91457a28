"""What the desk does by hand: book, move, and note whether the patient came.

It is the same path as the telephone's: the same locks, the same constraint, and a confirmation born with the
appointment. Only what a person at the desk may judge is not asked again: the grid, the notice, the limit of a
day.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import String, Uuid, bindparam, or_, select, text
from sqlalchemy.orm import Session

from models.base import clock, once
from models.booking import appointments, availability, holds
from models.booking.appointments import Appointment, AppointmentStatus
from models.booking.availability import Option
from models.booking.blocks import Block
from models.booking.bookables import Bookable
from models.booking.holds import AppointmentHold
from models.booking.occupancies import Occupancy

#: How many days ahead the desk may book: enough for anybody, and too little for a year that was mistyped.
HORIZON_DAYS = 3660


@dataclass(frozen=True, slots=True)
class InTheWay:
    """What takes up a time: an appointment or hold with the patient's name, or a block with its reason."""

    kind: str
    who: str
    resource_ids: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """`is_texted`: the confirmation goes out; not for a patient who is sitting there already."""

    appointment_id: uuid.UUID
    message_id: uuid.UUID
    resource_id: str
    is_texted: bool = True


@dataclass(frozen=True, slots=True)
class NotDone:
    """`code` is that of the database, or outside_hours: nobody who can do it works then; or too_far."""

    code: str
    in_the_way: tuple[InTheWay, ...] = ()


_BOOK = text(
    "SELECT success, appointment_id, error, code, message_id, resource_id FROM book_by_hand("
    ":org, :calendar, :service, :slot, CAST(:options AS jsonb), :name, :phone, :booker, :overrule, :once)"
).bindparams(bindparam("overrule", type_=String), bindparam("once", type_=Uuid))


def book(
    session: Session,
    bookable: Bookable,
    starts_at: datetime,
    *,
    patient_name: str,
    patient_phone: str,
    booker: str,
    outside_hours: bool = False,
    overrule: str | None = None,
    form: uuid.UUID | None = None,
) -> Done | NotDone:
    """Book a time for a patient, whose number is in E.164. `booker` answers for it. Two calls with the same
    `form` that ask for the same book once.

    Outside the hours of whoever can do it only if `outside_hours` is said. `overrule` is a reason why it
    may lie beside what is booked already. Waits for claims of the same people, rooms and devices, at most the
    lock timeout (LockNotAvailable after it).
    """
    if _is_too_far(session, starts_at):
        return NotDone("too_far")
    options = _options(bookable, starts_at, outside_hours=outside_hours)
    if not options:
        return NotDone("outside_hours")
    asked = (bookable.service_id, *bookable.leaders, starts_at, patient_name, patient_phone)
    # Before the resources, as for a claim: both make the contact of the number if there is none.
    holds.lock_phone(session, bookable.org_id, patient_phone)
    row = session.execute(
        _BOOK,
        {
            "org": bookable.org_id,
            "calendar": bookable.calendar_id,
            "service": bookable.service_id,
            "slot": starts_at,
            "options": json.dumps(options),
            "name": patient_name,
            "phone": patient_phone,
            "booker": booker,
            "overrule": overrule,
            "once": once.row_id(bookable.org_id, form, *asked),
        },
    ).one()
    if not row.success:
        return _not_done(session, row.code, bookable, options, starts_at)
    appointments.link(session, bookable.org_id, row.appointment_id, row.message_id)
    return Done(row.appointment_id, row.message_id, row.resource_id, starts_at > clock.now(session))


def move(
    session: Session,
    appointment: Appointment,
    bookable: Bookable,
    starts_at: datetime,
    *,
    outside_hours: bool = False,
) -> Done | NotDone:
    """Move an appointment to another time or person, as `book` would book it. `bookable` says with whom."""
    if _is_too_far(session, starts_at):
        return NotDone("too_far")
    options = _options(bookable, starts_at, outside_hours=outside_hours)
    if not options:
        return NotDone("outside_hours")
    change = appointments.move_to(session, appointment, starts_at, options)
    if not change.success or change.message_id is None:
        return _not_done(session, change.code or "", bookable, options, starts_at, but=appointment.id)
    return Done(appointment.id, change.message_id, appointment.resource_id)


def _is_too_far(session: Session, starts_at: datetime) -> bool:
    return starts_at > clock.now(session) + timedelta(days=HORIZON_DAYS)


def _options(bookable: Bookable, starts_at: datetime, *, outside_hours: bool) -> tuple[Option, ...]:
    """Who and what may be taken at a time: those who work then, or all who can do it."""
    day = starts_at.astimezone(bookable.zone).date()
    to_the_minute = replace(bookable, step_minutes=1)
    found = [slot for slot in availability.slots_of_day(to_the_minute, day) if slot.starts_at == starts_at]
    if found:
        return found[0].options
    if not outside_hours:
        return ()
    return tuple(((leader,), *(ids for _, ids in bookable.needs)) for leader in bookable.leaders)


def _not_done(
    session: Session,
    code: str,
    bookable: Bookable,
    options: tuple[Option, ...],
    starts_at: datetime,
    *,
    but: uuid.UUID | None = None,
) -> NotDone:
    """Why it was refused; with what takes up the time of those who were wanted, in order, if that is why."""
    if code != "slot_taken":
        return NotDone(code)
    wanted = {each for option in options for need in option for each in need}
    begin = starts_at - timedelta(minutes=bookable.minutes_before)
    end = starts_at + timedelta(minutes=bookable.minutes + bookable.minutes_after)
    query = (
        select(Occupancy, Appointment.patient_name, AppointmentHold.patient_name, Block.reason)
        .outerjoin(Appointment, Appointment.id == Occupancy.appointment_id)
        .outerjoin(AppointmentHold, AppointmentHold.id == Occupancy.hold_id)
        .outerjoin(Block, Block.id == Occupancy.block_id)
        .where(
            Occupancy.meets(bookable.org_id, wanted, begin, end),
            or_(Occupancy.hold_id.is_(None), AppointmentHold.live_now()),
        )
        .order_by(Occupancy.starts_at, Occupancy.resource_id)
    )
    found: dict[tuple[uuid.UUID | None, ...], InTheWay] = {}
    for row, booked, held, reason in session.execute(query):
        if but is not None and row.appointment_id == but:
            continue
        owner = (row.appointment_id, row.hold_id, row.block_id)
        before = found.get(owner)
        found[owner] = InTheWay(
            "appointment" if row.appointment_id else "hold" if row.hold_id else "block",
            booked or held or reason or "",
            (*(before.resource_ids if before else ()), row.resource_id),
            row.starts_at,
            row.ends_at,
        )
    return NotDone(code, tuple(found.values()))


#: What the desk may note of an appointment that was not cancelled; confirmed takes a note back.
NOTES = (
    AppointmentStatus.CONFIRMED,
    AppointmentStatus.ARRIVED,
    AppointmentStatus.COMPLETED,
    AppointmentStatus.NO_SHOW,
)

#: How long before an appointment begins a patient may be noted as here. The other notes wait until then.
EARLIEST_ARRIVAL = timedelta(hours=12)


def may_note(status: AppointmentStatus, starts_at: datetime, now: datetime) -> bool:
    """Whether that may be noted at `now` of an appointment that begins at `starts_at`."""
    if status is AppointmentStatus.CONFIRMED:
        return True
    early = EARLIEST_ARRIVAL if status is AppointmentStatus.ARRIVED else timedelta()
    return starts_at <= now + early


class Noted(StrEnum):
    DONE = "done"
    CANCELLED = "cancelled"
    TOO_EARLY = "too early"


def note(
    session: Session, org_id: uuid.UUID, appointment_id: uuid.UUID, status: AppointmentStatus
) -> Noted | None:
    """Note whether the patient came, or say why not; None if there is no such appointment.

    Raises ValueError for a status that is no note.
    """
    if status not in NOTES:
        raise ValueError(f"{status} is no note of the desk")
    found = session.scalar(
        select(Appointment)
        .where(Appointment.org_id == org_id, Appointment.id == appointment_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is None:
        return None
    if found.status not in NOTES:
        return Noted.CANCELLED
    if not may_note(status, found.scheduled_at, clock.now(session)):
        return Noted.TOO_EARLY
    found.status = status
    session.flush()
    return Noted.DONE
