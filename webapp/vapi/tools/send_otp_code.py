"""send_otp_code: text the code of a hold to the hold's own number."""

from __future__ import annotations

from typing import Any

from models import appointments, opt_outs, otp, phone, sms_senders
from models.holds import AppointmentHold, HoldStatus
from models.otp import CodeRefusal, CodeRequest
from models.sms import SmsMessage, SmsStatus
from webapp.vapi.desk import Desk, Tool
from webapp.vapi.hold_replies import (
    appointment_cancelled,
    hold_is_over,
    of_the_calls_own,
    phone_mismatch,
    same_phone,
    unknown_hold,
)
from webapp.vapi.replies import Code, Reply, Watched, not_booked
from webapp.vapi.schemas import SendOtpAnswer, SendOtpArguments
from webapp.vapi.sms_replies import HANDED_OVER, OPTED_OUT, SENDER_STOPPED, Trouble, trouble_of


def run(desk: Desk, arguments: dict[str, Any]) -> Reply | Watched:
    hold = desk.hold(arguments.get("holdId"))
    if hold is None:
        return unknown_hold(desk, arguments.get("holdId"))
    if not same_phone(desk, arguments.get("patientPhone"), hold.patient_phone):
        return phone_mismatch()
    ending = phone.last_digits(hold.patient_phone)
    if _is_live(desk, hold) and opt_outs.stands(desk.session, desk.org_id, hold.patient_phone):
        return _cannot(OPTED_OUT, ending)  # it would be refused: no code is spent on it
    requested = otp.request(desk.session, desk.clinic, hold.id)
    if requested.message_id is None:
        return _refused(desk, requested, hold, arguments.get("holdId"))
    sender = sms_senders.get_or_none(desk.session, desk.org_id)
    stopped = sender is not None and sender.stopped_at is not None
    return Watched(
        desk.org_id, requested.message_id, lambda message: _tell(message, ending, sender_stopped=stopped)
    )


def _refused(desk: Desk, requested: CodeRequest, hold: AppointmentHold, given: str | None) -> Reply:
    if requested.refusal is CodeRefusal.TOO_MANY_CODES:
        return not_booked(
            Code.TOO_MANY_CODES,
            "Too many codes",
            "no more codes can be sent right now. The clinic can book this by hand.",
        )
    if requested.hold_status is HoldStatus.CONFIRMED and appointments.is_cancelled(desk.session, hold.id):
        return appointment_cancelled()
    if requested.hold_status is not None:
        return hold_is_over(requested.hold_status)
    return unknown_hold(desk, given)


def _is_live(desk: Desk, hold: AppointmentHold) -> bool:
    return hold.status is HoldStatus.HELD and min(hold.expires_at, hold.starts_at) > desk.now


def _tell(message: SmsMessage, ending: str, *, sender_stopped: bool) -> Reply:
    trouble = trouble_of(message)
    if trouble is None and sender_stopped and message.status is SmsStatus.QUEUED:
        trouble = SENDER_STOPPED
    if trouble is not None:
        return _cannot(trouble, ending, status=message.status.value)
    facts: dict[str, Any] = {"codeSent": False, "status": message.status.value}
    if message.status in HANDED_OVER:
        say = f"A code has been sent by text message to the number ending in {ending}. Ask for its digits."
        return Reply(say, facts | {"codeSent": True})
    if message.status is SmsStatus.UNKNOWN:
        say = (
            f"A code may or may not arrive at the number ending in {ending}. If none has come in a minute,"
            " ask: shall I send it again?"
        )
        return Reply(say, facts)
    say = f"A code is on its way to the number ending in {ending}. Ask for its digits in a moment."
    return Reply(say, facts)


def _cannot(trouble: Trouble, ending: str, **facts: str) -> Reply:
    return not_booked(
        trouble.code,
        "The code could not be sent",
        f"no code reaches the number ending in {ending}: {trouble.why}. {trouble.way_out}",
        codeSent=False,
        **facts,
    )


TOOL = Tool(
    name="send_otp_code",
    path="booking/send-otp",
    summary="Text a one-time code to the patient",
    arguments=SendOtpArguments,
    answer=SendOtpAnswer,
    run=run,
    still_true=of_the_calls_own,
)
