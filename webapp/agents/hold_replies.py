"""Refusals that several tools share: for a hold that is unknown or over, and for a wrong number."""

from __future__ import annotations

from models.base import phones
from models.booking import appointments
from models.booking.appointments import AppointmentStatus
from models.booking.holds import AppointmentHold, HoldStatus
from webapp.agents.desk import Desk
from webapp.agents.replies import Code, Reply, not_booked, refusal

_OVER = {
    HoldStatus.EXPIRED: (
        Code.HOLD_EXPIRED,
        "its time is over, and it was given back. Shall we choose a time again?",
    ),
    HoldStatus.RELEASED: (
        Code.HOLD_RELEASED,
        "that reservation was given back. Shall we choose a time again?",
    ),
    HoldStatus.LOCKED: (
        Code.HOLD_LOCKED,
        "there were too many wrong codes and the time was given back. Shall we choose a time again?",
    ),
    HoldStatus.DISPLACED: (
        Code.HOLD_DISPLACED,
        "no code was asked for in time, and that time was given to others. Shall we choose a time again?",
    ),
}


def hold_is_over(status: HoldStatus) -> Reply:
    """The refusal for a hold that is over. Not for a confirmed hold, which is a booking."""
    code, why = _OVER[status]
    return not_booked(code, f"Hold already {status.value}", why)


def appointment_cancelled() -> Reply:
    return not_booked(
        Code.APPOINTMENT_CANCELLED,
        "The appointment was cancelled",
        "that appointment was booked, and has been cancelled since. Shall we choose a time again?",
    )


def booked_before(desk: Desk, hold: AppointmentHold) -> Reply:
    """The answer for a confirmed hold: it needs no code, since its appointment stands or was cancelled."""
    appointment = appointments.of_hold(desk.session, desk.org_id, hold.id)
    if appointment is None or appointment.status is AppointmentStatus.CANCELLED:
        return appointment_cancelled()
    return refusal(
        Code.HOLD_CONFIRMED,
        "Hold already confirmed",
        "No code is needed: that appointment is already booked, and it stands.",
        appointmentId=str(appointment.id),
    )


def unknown_hold(desk: Desk, given: str | None) -> Reply:
    if given is None and desk.call_id is None:
        return not_booked(
            Code.MISSING_ARGUMENT, "Missing: holdId", "I still need which reservation is meant."
        )
    return not_booked(
        Code.UNKNOWN_HOLD, "Unknown hold", "I have no such reservation. Shall we choose a time first?"
    )


def same_phone(desk: Desk, given: str | None, fixed: str) -> bool:
    """Whether the given number is `fixed`, which is in E.164; true if none was given."""
    if given is None or phones.says_nothing(given):
        return True
    if phones.means_the_callers(given):
        given = desk.caller_number or ""
    try:
        return desk.read_number(given) == fixed
    except phones.ImpossibleNumber:
        return False


def phone_mismatch() -> Reply:
    return not_booked(
        Code.PHONE_MISMATCH,
        "Not the number of this reservation",
        "text messages go only to the number that the reservation was made with."
        " Leave patientPhone out to use that one; for another number, reserve again with it.",
    )
