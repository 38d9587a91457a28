"""send_otp_code: send the code of a hold to the hold's number."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from models.base import phones
from models.booking import codes
from models.booking.codes import Cap, CodeRequest
from models.booking.holds import AppointmentHold, HoldStatus
from models.messaging import messages, opt_outs
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsStatus
from webapp.agents import examples
from webapp.agents.desk import Desk
from webapp.agents.hold_replies import (
    booked_before,
    hold_is_over,
    phone_mismatch,
    same_phone,
    unknown_hold,
)
from webapp.agents.replies import Code, Reply, Watched, not_booked
from webapp.agents.schemas import NOT_FOR_MODELS, WORDS, Answer, Arguments, Said
from webapp.agents.sms_replies import (
    ANOTHER_NUMBER,
    HANDED_OVER,
    LOST,
    OPTED_OUT,
    SENDER_STOPPED,
    Trouble,
    stop_of_sender,
    trouble_of,
)
from webapp.agents.tool import Example, Tool


class SendOtpArguments(Arguments):
    holdId = Said(
        metadata={
            WORDS: "which reservation is meant",
            "description": "this call's hold if left out in a call",
        }
    )
    patientPhone = Said(
        metadata={
            WORDS: "the patient's telephone number",
            NOT_FOR_MODELS: True,
            "description": "if given, it must be the hold's number",
        }
    )


class SendOtpAnswer(Answer):
    codeSent = fields.Boolean(metadata={"description": "true once the provider has accepted the SMS"})
    status = fields.String(metadata={"description": "of the SMS: sent, queued, failed …"})


def run(desk: Desk, arguments: dict[str, Any]) -> Reply | Watched:
    hold = desk.hold(arguments.get("holdId"))
    if hold is None:
        return unknown_hold(desk, arguments.get("holdId"))
    if not same_phone(desk, arguments.get("patientPhone"), hold.patient_phone):
        return phone_mismatch()
    ending = phones.last_digits(hold.patient_phone)
    if hold.is_bookable(desk.now) and (trouble := _foreseen(desk, hold)):
        return _cannot(trouble, ending)  # it would not arrive, so no code is used up
    lost = _last_lost(desk, hold)
    requested = codes.request(desk.session, desk.clinic, hold.id, desk.asker)
    if requested.message_id is None:
        return _refused(desk, hold, requested)
    stopped = stop_of_sender(desk)
    return Watched(
        desk.org_id,
        requested.message_id,
        lambda message: _tell(message, ending, stopped=stopped, lost=lost),
    )


def _foreseen(desk: Desk, hold: AppointmentHold) -> Trouble | None:
    """Known trouble that keeps every code from this number; None if there is none."""
    if opt_outs.stands(desk.session, desk.org_id, hold.patient_phone):
        return OPTED_OUT
    hopeless = codes.find_hopeless(desk.session, hold)
    return trouble_of(hopeless) if hopeless else None


def _last_lost(desk: Desk, hold: AppointmentHold) -> Trouble | None:
    """Why the last code of this hold did not arrive; None if it may have, or if there was none."""
    last = messages.last_code_of_hold(desk.session, desk.org_id, hold.id)
    return trouble_of(last) if last and last.status in LOST else None


_NEXT = "If it does not come either, ask for another mobile number, and reserve again with it."
_USE_THE_NEWEST = "Ask for the digits of the newest text message."
_TOO_MANY = {
    Cap.HOLD: f"no more codes can be sent for this reservation. {_USE_THE_NEWEST} {ANOTHER_NUMBER}",
    Cap.CALL: f"no more codes can be sent in this call. {_USE_THE_NEWEST} The clinic can book this by hand.",
    Cap.PHONE: f"no more codes can be sent to that number for some hours. {ANOTHER_NUMBER}",
    Cap.CALLER: (
        "no more codes can be sent to other numbers from this telephone for now. Give the number that you are"
        " calling from, or call again in an hour. The clinic can book this by hand."
    ),
    Cap.UNNAMED: (
        "no more codes can be sent for now to callers whose number is withheld. Call again from the patient's"
        " own mobile with its number shown. The clinic can book this by hand."
    ),
    Cap.CLINIC: (
        "the clinic's codes are used up for the moment. Call again in an hour, best from the patient's own"
        " mobile. The clinic can book this by hand."
    ),
    Cap.SEGMENTS: (
        "the clinic has sent as many text messages as it may for now. Call again in an hour, or let the"
        " clinic book this by hand."
    ),
}


def _refused(desk: Desk, hold: AppointmentHold, requested: CodeRequest) -> Reply:
    if requested.cap is not None:
        return not_booked(Code.TOO_MANY_CODES, "Too many codes", _TOO_MANY[requested.cap])
    if requested.hold_status is HoldStatus.CONFIRMED:
        return booked_before(desk, hold)
    if requested.hold_status is not None:
        return hold_is_over(requested.hold_status)
    return unknown_hold(desk, str(hold.id))


def _tell(message: SmsMessage, ending: str, *, stopped: Trouble | None, lost: Trouble | None) -> Reply:
    trouble = trouble_of(message) or (stopped if message.status is SmsStatus.QUEUED else None)
    if trouble is not None:
        return _cannot(trouble, ending, status=message.status.value)
    facts: dict[str, Any] = {"codeSent": False, "status": message.status.value}
    if message.status in HANDED_OVER:
        say = f"A code has been sent by text message to the number ending in {ending}. Ask for its digits."
        facts["codeSent"] = True
    elif message.status is SmsStatus.UNKNOWN:
        say = (
            f"A code may or may not arrive at the number ending in {ending}. If none has come in a minute,"
            " ask: shall I send it again?"
        )
    else:
        say = f"A code is on its way to the number ending in {ending}. Ask for its digits in a moment."
    if lost and lost not in (SENDER_STOPPED, OPTED_OUT):  # those two are over, or no code would be sent
        say = f"The last code did not arrive: {lost.why}. {say} {_NEXT}"
    return Reply(say, facts)


def _cannot(trouble: Trouble, ending: str, **facts: str) -> Reply:
    return not_booked(
        trouble.code,
        "The code could not be sent",
        f"no code reaches the number ending in {ending}: {trouble.why}. {trouble.way_out}",
        codeSent=False,
        **facts,
    )


def _is_kept(desk: Desk, arguments: dict[str, Any], reply: Reply) -> bool:
    """A repeat sends no second code, unless the first is known by now to be lost."""
    hold = desk.hold(arguments.get("holdId"))
    return reply.success and not (hold and _last_lost(desk, hold))


_PHASE = """\
Send OTP code via SMS
Call send_otp_code, and say that a code of {digits} digits is coming by text message."""

_EXAMPLE = Example(
    {"holdId": examples.HOLD},
    Reply(
        "A code has been sent by text message to the number ending in 23. Ask for its digits.",
        {"codeSent": True, "status": "sent"},
    ),
    not_booked(
        Code.TOO_MANY_CODES,
        "Too many codes",
        "no more codes can be sent to that number for some hours. Ask for another mobile number, and reserve"
        " again with it. If there is none, the clinic can book this by hand.",
    ),
)

TOOL = Tool(
    name="send_otp_code",
    path="booking/send-otp",
    summary="Text a one-time code to the patient",
    use="Text the code to the patient, or text it again. Also says whether the reservation still stands.",
    phase=_PHASE,
    arguments=SendOtpArguments,
    answer=SendOtpAnswer,
    example=_EXAMPLE,
    run=run,
    is_kept=_is_kept,
)
