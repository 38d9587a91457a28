"""One example of every tool for the OpenAPI document: what is asked, what is answered, what a refusal is.

Both forms of an answer are made by the code that makes the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from webapp.agents.replies import Code, Reply, not_booked, refusal
from webapp.agents.vapi import envelope
from webapp.agents.vapi.envelope import Answer

_CALL = "7420f27a-30fd-4f49-a995-5549ae7cc00d"
_HOLD = "5977d63a-8a4e-4a2c-9d6b-3f1f0c9d2a11"
_CONTACT = "79c5c209-1c3e-4f6e-8d1b-90a7c2d4e5f6"
_APPOINTMENT = "c1d1f1a2-6f0e-4a55-b1c7-2f6a9a3b7d10"
_SLOT = {
    "slotId": "2026-12-07T09:00:00Z",
    "calendarId": "cal-1",
    "label": "Monday 7 December, 9:00 in the morning",
}
_LATER = {
    "slotId": "2026-12-07T09:30:00Z",
    "calendarId": "cal-1",
    "label": "Monday 7 December, 9:30 in the morning",
}


@dataclass(frozen=True, slots=True)
class Example:
    arguments: dict[str, Any]
    reply: Reply
    refused: Reply


EXAMPLES = {
    "check_availability": Example(
        {"date": "2026-12-07", "calendarId": "cal-1"},
        Reply(
            "Monday 7 December, 2026: 2 times are free: 9:00 and 9:30 in the morning."
            " Today is Monday 30 November, 2026.",
            {
                "date": "2026-12-07",
                "today": "2026-11-30",
                "timeZone": "Europe/London",
                "calendarId": "cal-1",
                "services": ["check-up", "cleaning"],
                "slots": [_SLOT, _LATER],
            },
            line="calendarId=cal-1; slotId by time: 9:00 in the morning = 2026-12-07T09:00:00Z,"
            " 9:30 in the morning = 2026-12-07T09:30:00Z",
        ),
        refusal(
            Code.DAY_IN_THE_PAST,
            "That day has passed",
            "Monday 23 November, 2026, has already passed. The next openings are Monday 7 December at 9:00"
            " in the morning.",
            nextOpenings=[_SLOT],
        ),
    ),
    "reserve_atomic": Example(
        {
            "slotId": "2026-12-07T09:00:00Z",
            "calendarId": "cal-1",
            "patientName": "John",
            "patientPhone": "+442079460123",
        },
        Reply(
            "Monday 7 December, 9:00 in the morning is held for 10 minutes, but not booked yet: a code by"
            " text message comes next, which the patient reads back.",
            {"holdId": _HOLD, "contactId": _CONTACT, **_SLOT, "expiresAt": "2026-11-30T10:10:00Z"},
            line=f"holdId={_HOLD} contactId={_CONTACT} expiresAt=2026-11-30T10:10:00Z",
        ),
        not_booked(
            Code.SLOT_TAKEN,
            "Slot already held",
            "that time has just gone. The nearest free times are Monday 7 December at 9:30 in the morning.",
            nearest=[_LATER],
        ),
    ),
    "send_otp_code": Example(
        {"holdId": _HOLD},
        Reply(
            "A code has been sent by text message to the number ending in 23. Ask for its digits.",
            {"codeSent": True, "status": "sent"},
        ),
        not_booked(
            Code.TOO_MANY_CODES,
            "Too many codes",
            "no more codes can be sent to that number today. Ask for another mobile number, and reserve again"
            " with it. If there is none, the clinic can book this by hand.",
        ),
    ),
    "verify_otp": Example(
        {"holdId": _HOLD, "providedOTP": "1 2 3 4", "serviceType": "check-up"},
        Reply(
            "Booked: Monday 7 December, 9:00 in the morning. A confirmation by text message follows.",
            {
                "appointmentId": _APPOINTMENT,
                "scheduledAt": "2026-12-07T09:00:00Z",
                "label": "Monday 7 December, 9:00 in the morning",
            },
            line=f"appointmentId={_APPOINTMENT}",
        ),
        not_booked(
            Code.WRONG_CODE,
            "Wrong code",
            "I could not accept that code. Please read it to me once more, digit by digit.",
        ),
    ),
    "send_confirmation_sms": Example(
        {"appointmentId": _APPOINTMENT},
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
    ),
}


def bare_request(tool: str) -> dict[str, Any]:
    return {"toolCall": {"arguments": EXAMPLES[tool].arguments}}


def vapi_request(tool: str) -> dict[str, Any]:
    call = {
        "id": "call_ab12",
        "type": "function",
        "function": {"name": tool, "arguments": EXAMPLES[tool].arguments},
    }
    return {
        "message": {
            "type": "tool-calls",
            "call": {"id": _CALL, "type": "inboundPhoneCall", "customer": {"number": "+442079460123"}},
            "toolCallList": [call],
        }
    }


def answers(tool: str) -> dict[str, dict[str, Any]]:
    """The examples of the 200 answer, as OpenAPI has them."""
    example = EXAMPLES[tool]
    spoken = envelope.results([Answer("call_ab12", tool, example.reply.spoken())])
    return {
        "bare": {"summary": "bare form", "value": example.reply.bare()},
        "vapi": {"summary": "Vapi's form", "value": spoken},
        "refusal": {"summary": "a refusal, bare form", "value": example.refused.bare()},
    }


#: What Vapi tells of a call, and what Twilio tells of an SMS.
EVENT = {
    "message": {
        "type": "status-update",
        "status": "ended",
        "call": {"id": _CALL, "type": "inboundPhoneCall"},
        "endedReason": "customer-ended-call",
    }
}
REPLY = {
    "AccountSid": "AC5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
    "MessageSid": "SMba88af57a83458595b73d6844f3db4cf",
    "From": "+447700900123",
    "Body": "STOP",
}
RECEIPT = {
    "AccountSid": "AC5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
    "MessageSid": "SMba88af57a83458595b73d6844f3db4cf",
    "MessageStatus": "delivered",
}
