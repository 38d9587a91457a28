"""send_confirmation_sms: what became of the SMS that was queued with the booking. It never sends another."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from models.booking.appointments import AppointmentStatus
from models.messaging import messages
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsStatus
from models.notices import registry
from webapp.agents import examples
from webapp.agents.desk import Desk
from webapp.agents.hold_replies import appointment_cancelled, same_phone
from webapp.agents.replies import Code, Reply, Watched, not_booked, refusal
from webapp.agents.schemas import NOT_FOR_MODELS, WORDS, Answer, Arguments, Said
from webapp.agents.sms_replies import HANDED_OVER, LOST, trouble_of
from webapp.agents.tool import Example, Tool


class SendConfirmationArguments(Arguments):
    appointmentId = Said(
        metadata={
            WORDS: "which appointment is meant",
            "description": "this call's appointment if left out in a call",
        }
    )
    patientPhone = Said(
        metadata={
            WORDS: "the patient's telephone number",
            NOT_FOR_MODELS: True,
            "description": "if given, it must be the appointment's number",
        }
    )
    contactId = Said(metadata={"description": "if given, it must be the appointment's contact"})


class SendConfirmationAnswer(Answer):
    messageSent = fields.Boolean(metadata={"description": "true once the provider has accepted the SMS"})
    messageId = fields.String(metadata={"description": "the provider's id, SM…"})
    status = fields.String(metadata={"description": "of the SMS: sent, delivered, queued, failed …"})
    content = fields.String(metadata={"description": "the words of the SMS"})


def run(desk: Desk, arguments: dict[str, Any]) -> Reply | Watched:
    appointment = desk.appointment(arguments.get("appointmentId"))
    contact = arguments.get("contactId")
    if appointment is None or (contact and contact.lower() != str(appointment.contact_id)):
        if arguments.get("appointmentId") is None and desk.call_id is None:
            return not_booked(
                Code.MISSING_ARGUMENT, "Missing: appointmentId", "I still need which appointment is meant."
            )
        return not_booked(
            Code.UNKNOWN_APPOINTMENT,
            "Unknown appointment",
            "there is no such appointment. It exists once the code has been verified.",
        )
    if not same_phone(desk, arguments.get("patientPhone"), appointment.patient_phone):
        return refusal(
            Code.PHONE_MISMATCH,
            "Not the number of this appointment",
            "The appointment is booked. Its text message goes only to the number that it was reserved with;"
            " another number is a matter for the clinic.",
        )
    if appointment.status is AppointmentStatus.CANCELLED:
        return appointment_cancelled()
    message = messages.get_or_none(desk.session, desk.org_id, appointment.confirmation_message_id)
    content = message and registry.as_shown(desk.session, message)
    return Watched(desk.org_id, appointment.confirmation_message_id, lambda row: _tell(row, content or ""))


def _tell(message: SmsMessage, content: str) -> Reply:
    facts: dict[str, Any] = {"messageSent": False, "status": message.status.value, "content": content}
    if message.status in HANDED_OVER:
        facts |= {"messageSent": True, "messageId": message.provider_id}
        return Reply(
            "The confirmation has been sent by text message.",
            facts,
            line=f"messageSent=true messageId={message.provider_id}",
        )
    line = f"messageSent=false status={message.status.value}"
    trouble = trouble_of(message)
    if trouble and message.status in LOST:
        return refusal(
            trouble.code,
            "The confirmation could not be sent",
            f"The appointment is booked, but no text message reaches the patient: {trouble.why}."
            " Please tell the patient the day and time once more.",
            **facts,
        )
    if trouble:
        say = (
            f"The appointment is booked. Its confirmation follows later: {trouble.why}."
            " Please tell the patient the day and time once more."
        )
    elif message.status is SmsStatus.UNKNOWN:
        say = (
            "The appointment is booked. Its confirmation may or may not have gone out; that is being looked"
            " into. Please tell the patient the day and time once more."
        )
    else:
        say = "The appointment is booked, and its confirmation is on its way; it may take a moment."
    return Reply(say, facts, line=line)


_PHASE = """\
Send confirmation SMS
CANNOT SKIP: "You MUST call send_confirmation_sms() after OTP verification". Then say day and time once \
more, and what the tool answered about the text message."""

_EXAMPLE = Example(
    {"appointmentId": examples.APPOINTMENT},
    Reply(
        "The confirmation has been sent by text message.",
        {
            "messageSent": True,
            "status": "sent",
            "content": "Confirmed: Mon 7 Dec 2026 at 9:00 am, Bright Smile Dental."
            " To change it, call +44 20 7946 0958. Ref K3XQ7A",
            "messageId": "SMba88af57a83458595b73d6844f3db4cf",
        },
        line="messageSent=true messageId=SMba88af57a83458595b73d6844f3db4cf",
    ),
    not_booked(
        Code.UNKNOWN_APPOINTMENT,
        "Unknown appointment",
        "there is no such appointment. It exists once the code has been verified.",
    ),
)

TOOL = Tool(
    name="send_confirmation_sms",
    path="booking/send-confirmation",
    summary="Whether the confirmation has gone out",
    use="Always after verify_otp: whether the confirmation has gone out.",
    phase=_PHASE,
    arguments=SendConfirmationArguments,
    answer=SendConfirmationAnswer,
    example=_EXAMPLE,
    run=run,
    says_not_booked=False,
    is_kept=lambda *_: False,  # it changes nothing, and a receipt may have come since
)
