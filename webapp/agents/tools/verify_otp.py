"""verify_otp: with the code that the patient reads back, the hold becomes an appointment with its SMS."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime
from typing import Any

from marshmallow import fields

import settings
from models.base import times
from models.base.spoken import digits_said
from models.booking import appointments, rules, services
from models.booking.appointments import AppointmentStatus, Confirmation
from models.booking.holds import AppointmentHold, HoldStatus
from models.calls import redaction
from models.clinics import calendars
from models.messaging import messages
from models.messaging.messages import Due
from models.messaging.states import SmsKind, SmsStatus
from webapp.agents import examples
from webapp.agents.desk import Desk, as_uuid
from webapp.agents.hold_replies import appointment_cancelled, booked_before, hold_is_over, unknown_hold
from webapp.agents.replies import Code, Reply, not_booked
from webapp.agents.schemas import WORDS, Answer, Anything, Arguments, Said
from webapp.agents.sms_replies import LOST, stop_of_sender, trouble_of
from webapp.agents.tool import Example, Tool


class VerifyOtpArguments(Arguments):
    holdId = Said(
        metadata={
            WORDS: "which reservation is meant",
            "description": "this call's hold if left out in a call",
        }
    )
    providedOTP = Anything(
        required=True,
        metadata={
            WORDS: "the code from the text message",
            "description": "as it was said: 1234, '1 2 3 4', 'double three four five'",
        },
    )
    contactId = Said(metadata={"description": "if given, it must be the hold's contact"})
    serviceType = Said(120, metadata={"example": "check-up"})


class VerifyOtpAnswer(Answer):
    appointmentId = fields.UUID()
    scheduledAt = fields.String(metadata={"description": "UTC"})
    label = fields.String()


log = logging.getLogger(__name__)


def run(desk: Desk, arguments: dict[str, Any]) -> Reply:
    given = arguments.get("holdId")
    if given is None and desk.call_id is None:
        return unknown_hold(desk, given)
    hold = desk.hold(given)
    length = (hold and hold.code_length) or desk.clinic.code_length
    said = arguments["providedOTP"]
    digits = digits_said(said)
    if digits is not None and isinstance(said, int | float):
        digits = digits.zfill(length)  # a number has lost its leading zeros
    if digits is None or len(digits) != length:
        return _past_reading(desk, hold) or not_booked(
            Code.CODE_UNREADABLE,
            "Not a code",
            f"I did not catch a code of {length} digits. Please ask for the digits one by one.",
        )
    contact_id = as_uuid(arguments.get("contactId"))
    if hold is None or (arguments.get("contactId") and contact_id is None):
        return _not_accepted()
    return _try(desk, hold, arguments, digits, contact_id)


def _try(
    desk: Desk, hold: AppointmentHold, arguments: dict[str, Any], digits: str, contact_id: uuid.UUID | None
) -> Reply:
    try:
        attempt = rules.confirm(
            desk.session,
            desk.clinic,
            hold,
            digits,
            asker=desk.asker,
            contact_id=contact_id,
            service_type=_service(desk, hold, arguments.get("serviceType"), digits),
        )
    except settings.UnknownKey:
        return _not_accepted()  # the SECRET_KEY was changed without keeping the former one
    if attempt.confirmation is None:
        return not_booked(
            Code.TOO_MANY_CODES,
            "Too many wrong codes",
            "too many wrong codes were said for that number, and none is tried for some hours. Call again"
            " from the patient's own mobile, or let the clinic book this by hand.",
        )
    if attempt.confirmation.success:
        return _booked(desk, hold, attempt.confirmation)
    return _refused(desk, hold, attempt.confirmation, right=attempt.is_right)


def _service(desk: Desk, hold: AppointmentHold, said: str | None, digits: str) -> str | None:
    """The service: in the clinic's own words, else as it was said, without the code and numbers in it.

    If none is said, it is the one that is held, where that was chosen and is not merely the calendar's own.
    """
    if said is None:
        calendar = calendars.get_or_none(desk.session, desk.org_id, hold.calendar_id)
        if hold.service_id is None or (calendar and calendar.service_id == hold.service_id):
            return None
        chosen = services.get_or_none(desk.session, desk.org_id, hold.service_id)
        return chosen.name if chosen else None
    names = services.names_of_clinic(desk.session, desk.org_id)
    own = next((name for name in names if name.casefold() == said.casefold()), None)
    return own or redaction.redact(redaction.without_codes([said], [digits])[0])


def _booked(desk: Desk, hold: AppointmentHold, confirmation: Confirmation) -> Reply:
    if confirmation.message_id:
        desk.nudge_afterwards(Due(desk.org_id, confirmation.message_id, SmsKind.CONFIRMATION))
    return _stands(desk, hold.calendar_id, confirmation.appointment_id, hold.starts_at)


def _stands(
    desk: Desk, calendar_id: str, appointment_id: object, starts_at: datetime, *, already: bool = False
) -> Reply:
    calendar = calendars.get_or_none(desk.session, desk.org_id, calendar_id)
    label = times.spoken(starts_at, calendar.zone, desk.now) if calendar else ""
    follows = "It was booked before, and stands." if already else "A confirmation by text message follows."
    return Reply(
        f"Booked: {label}. {follows}",
        {"appointmentId": str(appointment_id), "scheduledAt": times.instant(starts_at), "label": label},
        line=f"appointmentId={appointment_id}",
    )


def _refused(desk: Desk, hold: AppointmentHold, confirmation: Confirmation, *, right: bool) -> Reply:
    if confirmation.code == "code_not_sent":
        return not_booked(
            Code.CODE_NOT_SENT, "No code was sent", "no code has been sent yet. Send the code first."
        )
    if confirmation.code == "hold_confirmed" and right:
        return _confirmed_before(desk, confirmation)
    log.info("code for hold %s not accepted: %s", hold.id, confirmation.code)
    if confirmation.code == "hold_displaced":  # no code was sent for it, so none can be guessed
        return hold_is_over(HoldStatus.DISPLACED)
    if confirmation.code == "hold_locked":  # by this code or an earlier one, even if this one is right
        return hold_is_over(HoldStatus.LOCKED)
    told = confirmation.code in ("wrong_code", "hold_confirmed") and _past_reading(desk, hold)
    return told or _not_accepted()


def _confirmed_before(desk: Desk, confirmation: Confirmation) -> Reply:
    """The answer to the right code of a confirmed hold, however often it is given: a success if the
    appointment stands, perhaps at another time by now, and a refusal if it was cancelled since.
    """
    appointment = confirmation.appointment_id and appointments.get_or_none(
        desk.session, desk.org_id, confirmation.appointment_id
    )
    if not appointment or appointment.status is AppointmentStatus.CANCELLED:
        return appointment_cancelled()
    return _stands(desk, appointment.calendar_id, appointment.id, appointment.scheduled_at, already=True)


def _past_reading(desk: Desk, hold: AppointmentHold | None) -> Reply | None:
    """The refusal if it is of no use to read the code again: the slot was given back (locked or displaced),
    this call has booked it, or no code can have reached the patient. Else None.
    """
    if hold and hold.status in (HoldStatus.LOCKED, HoldStatus.DISPLACED):
        return hold_is_over(hold.status)
    if hold and hold.status is HoldStatus.CONFIRMED and desk.call_id == hold.call_sid is not None:
        return booked_before(desk, hold)  # by this call, so the answer gives nothing away
    if not (hold and hold.is_bookable(desk.now)):
        return None
    sent = messages.codes_of_hold(desk.session, desk.org_id, hold.id)
    if sent and sent[0].status in (SmsStatus.FAILED, SmsStatus.UNDELIVERED):
        trouble, what = trouble_of(sent[0]), "the text message with the code was not delivered"
    elif sent and sent[0].status is SmsStatus.QUEUED and all(code.status in _NOT_THERE for code in sent):
        trouble, what = trouble_of(sent[0]) or stop_of_sender(desk), "no code has reached the patient yet"
    else:
        return None
    if trouble is None:
        return None
    return not_booked(
        trouble.code,
        "The code was not delivered",
        f"{what}: {trouble.why}. {trouble.way_out}",
        status=sent[0].status.value,
    )


#: The states of a code that has not reached a telephone.
_NOT_THERE = (SmsStatus.QUEUED, *LOST)


def _not_accepted() -> Reply:
    """The same answer to a wrong code, to an expired hold, and to one that is unknown or another caller's.

    A guesser learns nothing, not even how many tries are left, until the last one has given the slot back.
    An honest patient reads the code once more or has it sent again: send_otp_code says whether the hold
    still stands.
    """
    return not_booked(
        Code.WRONG_CODE,
        "Wrong code",
        "I could not accept that code. Please read it to me once more, digit by digit."
        " If it fails again, I can send the code anew.",
    )


_PHASE = """\
Verify OTP (patient reads back digits)
Ask for the digits and call verify_otp with them as they were said, and with what the appointment is for as \
serviceType. Never guess a code, and never say one. \
If the code is refused, ask for it once more. If it is refused again, call send_otp_code again: its answer \
tells whether the reservation still stands. If it does, ask for the digits of the newest text message; if \
not, go back to PHASE 1. Go back to PHASE 1 at once if the answer says that the time was given back."""

_EXAMPLE = Example(
    {"holdId": examples.HOLD, "providedOTP": "1 2 3 4", "serviceType": "check-up"},
    Reply(
        "Booked: Monday 7 December, 9:00 in the morning. A confirmation by text message follows.",
        {
            "appointmentId": examples.APPOINTMENT,
            "scheduledAt": "2026-12-07T09:00:00Z",
            "label": "Monday 7 December, 9:00 in the morning",
        },
        line=f"appointmentId={examples.APPOINTMENT}",
    ),
    not_booked(
        Code.WRONG_CODE,
        "Wrong code",
        "I could not accept that code. Please read it to me once more, digit by digit.",
    ),
)

TOOL = Tool(
    name="verify_otp",
    path="booking/verify-otp",
    summary="Book, with the code that the patient read back",
    use="Book the reserved time with the code that the patient read back.",
    phase=_PHASE,
    arguments=VerifyOtpArguments,
    answer=VerifyOtpAnswer,
    example=_EXAMPLE,
    run=run,
    is_kept=lambda *_: True,  # a wrong code has cost a try, and stays wrong
)
