"""What a caller may hold and book, by whichever front door the request comes.

A front door reads what was said and puts the outcome into words. What is allowed is decided here, so that no
door can book past it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

import settings
from models.base import phones
from models.booking import appointments, availability, codes, holds
from models.booking.appointments import Appointment, Confirmation
from models.booking.availability import Closed, Slot
from models.booking.bookables import Bookable
from models.booking.codes import Asker
from models.booking.holds import AppointmentHold, Claim, HoldStatus
from models.booking.unproved_holds import Asked
from models.clinics.organizations import Organization


class Refusal(StrEnum):
    """Why a caller gets no hold, where the clinic's hours are not the reason (that is Closed)."""

    COUNTRY_NOT_ALLOWED = "country_not_allowed"
    NOT_A_MOBILE = "not_a_mobile"
    TOO_MANY_HOLDS_OF_NUMBER = "too_many_holds_of_number"
    TOO_MANY_HOLDS_OF_CALLER = "too_many_holds"
    TOO_MANY_UNPROVED_HOLDS = "too_many_unproved_holds"
    SLOT_TAKEN = "slot_taken"
    SLOT_IN_THE_PAST = "slot_in_the_past"
    INVALID_SLOT = "invalid_slot"
    UNKNOWN_CALENDAR = "unknown_calendar"
    NOBODY_DOES_IT = "nobody_does_it"
    DAY_IS_FULL = "day_is_full"
    NOT_BY_PHONE = "not_by_phone"


@dataclass(frozen=True, slots=True)
class Wish:
    """One slot for one patient. `patient_phone` is in E.164; `call_id` is None outside a call."""

    clinic: Organization
    bookable: Bookable
    starts_at: datetime
    patient_name: str
    patient_phone: str
    asker: Asker
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    hold_id: uuid.UUID | None
    contact_id: uuid.UUID | None
    expires_at: datetime
    resource_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """`error` is the database's own short text, if the database refused."""

    why: Refusal | Closed
    error: str = ""


def reserve(
    session: Session, wish: Wish, now: datetime, *, call_holds_a_slot: bool = True
) -> Held | Appointment | Refused:
    """Hold a slot, or return why not; returns the appointment if this call has already booked that slot.

    A call that asks for its own slot again is given its own hold, and a call that asks for another slot moves
    its hold. `call_holds_a_slot`: false only if the code that calls this function knows that the call holds
    none, which saves a query. Waits for the locks of the number and of the resources, at most the lock
    timeout (LockNotAvailable after it).
    """
    refusal = _refuses_number(session, wish)
    if refusal is None and not wish.bookable.by_phone:
        refusal = Refusal.NOT_BY_PHONE
    if refusal:
        return Refused(refusal)
    slot, closed = availability.slot_at(wish.bookable, wish.starts_at, now)
    if slot is None:
        return Refused(closed or Closed.OFF_THE_GRID)
    before = []
    if wish.call_id and call_holds_a_slot:
        before = holds.find_held_of_call(session, wish.clinic.id, wish.call_id)
    for hold in before:
        if _is_what_is_wished(hold, wish) and hold.is_live(now):
            hold.patient_name = wish.patient_name  # so that a misheard name can be corrected
            return Held(hold.id, hold.contact_id, hold.expires_at, hold.resource_id)
    claim = _claim(session, wish, slot, before, now)
    if claim.success and claim.expires_at is not None:
        return Held(claim.hold_id, claim.contact_id, claim.expires_at, claim.resource_id)
    why = Refusal(claim.code) if claim.code in set(Refusal) else Refusal.SLOT_TAKEN
    if why not in _FOR_OTHERS and (booked := _booked_before(session, wish)):
        return booked
    return Refused(why, claim.error or "")


#: Refusals that protect the slots of other callers.
_FOR_OTHERS = (Refusal.TOO_MANY_HOLDS_OF_CALLER, Refusal.TOO_MANY_UNPROVED_HOLDS)


def can_be_texted(clinic: Organization, number: str) -> bool:
    """Whether an E.164 number may receive the clinic's codes.

    Numbers reserved for films and examples are accepted in sandbox clinics and in development.
    """
    try:
        phones.check_mobile(
            number,
            landlines=clinic.landlines_allowed or clinic.sandbox,
            fiction=clinic.sandbox or settings.get().development,
        )
    except phones.NotAMobile:
        return False
    return True


def _refuses_number(session: Session, wish: Wish) -> Refusal | None:
    """The limits that protect a clinic's diary and its bill for messages from callers who mean harm."""
    clinic, number = wish.clinic, wish.patient_phone
    # The numbers of a sandbox clinic need no country; but a list of countries that was set applies there too.
    if clinic.allowed_countries or not clinic.sandbox:
        try:
            phones.check_country(number, clinic.countries)
        except phones.CountryNotAllowed:
            return Refusal.COUNTRY_NOT_ALLOWED
    if not can_be_texted(clinic, number):
        return Refusal.NOT_A_MOBILE
    holds.lock_phone(session, clinic.id, number)
    # The holds of this call do not count, because they give way to the new slot.
    own = wish.asker.proves(number)
    held = holds.count_of_phone(session, clinic.id, number, but_for_call=wish.call_id, own=own)
    return Refusal.TOO_MANY_HOLDS_OF_NUMBER if held >= clinic.holds_per_phone else None


def _is_what_is_wished(hold: AppointmentHold, wish: Wish) -> bool:
    held = (hold.calendar_id, hold.starts_at, hold.patient_phone)
    if held != (wish.bookable.calendar_id, wish.starts_at, wish.patient_phone):
        return False
    return hold.service_id in (None, wish.bookable.service_id) and wish.bookable.person in (
        None,
        hold.resource_id,
    )


def _claim(session: Session, wish: Wish, slot: Slot, before: list[AppointmentHold], now: datetime) -> Claim:
    asker = wish.asker
    return holds.claim_instead(
        session,
        before,
        org_id=wish.clinic.id,
        calendar_id=wish.bookable.calendar_id,
        starts_at=wish.starts_at,
        call_sid=wish.call_id,
        patient_name=wish.patient_name,
        patient_phone=wish.patient_phone,
        hold_minutes=wish.bookable.hold_minutes,
        asked=Asked(
            wish.clinic,
            asker.credential,
            asker.number,
            asker.proves(wish.patient_phone),
            availability.day_of(wish.bookable, wish.starts_at, now),
            wish.bookable.service_id,
            slot.options,
        ),
    )


def _booked_before(session: Session, wish: Wish) -> Appointment | None:
    """The appointment that this call has booked in that slot: "taken" would send the patient elsewhere."""
    if not wish.call_id:
        return None
    return appointments.find_in_call(
        session,
        wish.clinic.id,
        wish.call_id,
        calendar_id=wish.bookable.calendar_id,
        starts_at=wish.starts_at,
        patient_phone=wish.patient_phone,
    )


# --- the code that was read back ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """`confirmation` is None if too many wrong codes were said for the number: then no code is tried, even a
    right one. `is_right`: whether it is the code of the hold, in whatever state the hold is now.
    """

    confirmation: Confirmation | None
    is_right: bool


def confirm(
    session: Session,
    clinic: Organization,
    hold: AppointmentHold,
    digits: str,
    *,
    asker: Asker,
    contact_id: uuid.UUID | None = None,
    service_type: str | None = None,
) -> Attempt:
    """Book the slot of a hold if these are the digits of its code; a wrong code counts for hold and number.

    The answer may not be told before the transaction has committed. Waits for the lock of the number's codes,
    at most the lock timeout (LockNotAvailable after it). Raises settings.UnknownKey if the SECRET_KEY that
    made the code is gone.
    """
    digest = codes.digest(hold.id, digits, key_id=hold.code_key)
    if not codes.may_try(session, clinic, hold.patient_phone, asker):
        session.refresh(hold)  # another request may have changed it during the wait
        if hold.status is HoldStatus.HELD:
            return Attempt(None, is_right=False)
    confirmation = appointments.confirm(
        session,
        org_id=clinic.id,
        hold_id=hold.id,
        contact_id=contact_id,
        code_digest=digest,
        service_type=service_type,
        max_tries=clinic.code_tries,
    )
    if not confirmation.success and confirmation.tries_left is not None:  # a try was counted
        codes.count_wrong(session, clinic, hold.patient_phone, asker)
    return Attempt(confirmation, is_right=hold.code_digest == digest)


# --- which hold or appointment is meant ---------------------------------------------------------


def may_name(call_id: str | None, made_in: str | None) -> bool:
    """Whether a call may name a hold or an appointment; one that was made in a call belongs to that call.

    Without a call id on either side the id of the hold or appointment is enough, since it cannot be guessed.
    """
    return made_in is None or call_id is None or made_in == call_id


def find_hold(
    session: Session, org_id: uuid.UUID, *, call_id: str | None, hold_id: uuid.UUID | None
) -> AppointmentHold | None:
    """The hold that a caller means: the named one if this call may name it, else the call's newest."""
    if hold_id is None:
        return holds.latest_of_call(session, org_id, call_id) if call_id else None
    hold = holds.get_or_none(session, org_id, hold_id)
    return hold if hold and may_name(call_id, hold.call_sid) else None


def find_appointment(
    session: Session, org_id: uuid.UUID, *, call_id: str | None, appointment_id: uuid.UUID | None
) -> Appointment | None:
    """The appointment that a caller means: the named one if this call may name it, else the call's newest."""
    if appointment_id is None:
        return appointments.latest_of_call(session, org_id, call_id) if call_id else None
    appointment = appointments.get_or_none(session, org_id, appointment_id)
    return appointment if appointment and may_name(call_id, appointment.call_sid) else None
