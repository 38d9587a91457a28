"""Twilio's words for us: what each of its error codes means, and each of its states.

One table for everybody: the worker that sends, the receipts, the agent on the telephone, and staff.
Codes change, and their texts are never read: they quote telephone numbers, and mean nothing to a program.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.sms_states import SmsStatus


class Action(StrEnum):
    """What follows from a code."""

    RETRY = "retry"  # certainly not sent: again in seconds
    RETRY_LATER = "retry_later"  # certainly not sent: again in minutes
    UNKNOWN = "unknown"  # it may have been sent
    NUMBER = "number"  # this number can receive no SMS, whoever sends it
    NOT_ALLOWED = "not_allowed"  # the account may send, but not to this number: one alert
    REFUSED = "refused"  # not this message
    CONFIGURATION = "configuration"  # nothing that this sender sends: it stops, with one alert
    OPT_OUT = "opt_out"  # the recipient wants no more


@dataclass(frozen=True, slots=True)
class Meaning:
    """`reason` is for staff. `spoken` is for the agent to say, where it helps whoever is on the line."""

    action: Action
    reason: str
    spoken: str | None = None
    #: False for a code that this table does not know: somebody should look.
    known: bool = True


_LANDLINE = "that number is a landline and cannot receive text messages"
_NO_MOBILE = "that number cannot receive text messages"
_NO_SUCH = "that number does not seem to exist"
_OUT_OF_USE = "that number does not seem to be in use"
_ABROAD = "text messages cannot be sent to that number from here"
_SWITCHED_OFF = "the phone with that number is switched off or has no signal"
_CARRIER = "the mobile network did not deliver the text message"

_NUMBER, _CONFIGURATION, _REFUSED = Action.NUMBER, Action.CONFIGURATION, Action.REFUSED

_CODES: dict[int, Meaning] = {
    # The account and its sender.
    20003: Meaning(_CONFIGURATION, "Twilio does not accept the clinic's credentials"),
    20005: Meaning(_CONFIGURATION, "the clinic's Twilio account is not active"),
    20404: Meaning(_CONFIGURATION, "Twilio does not know the clinic's account"),
    21212: Meaning(_CONFIGURATION, "the number that the clinic sends from is not valid"),
    21603: Meaning(_CONFIGURATION, "the clinic has no number to send from"),
    21606: Meaning(_CONFIGURATION, "the number that the clinic sends from cannot send SMS"),
    21609: Meaning(_CONFIGURATION, "Twilio does not accept the address for receipts: see PUBLIC_BASE_URL"),
    21659: Meaning(_CONFIGURATION, "the number that the clinic sends from is not the account's"),
    21660: Meaning(_CONFIGURATION, "the number that the clinic sends from is another account's"),
    30002: Meaning(_CONFIGURATION, "the clinic's Twilio account is suspended"),
    30034: Meaning(_CONFIGURATION, "the number that the clinic sends from is not registered (A2P 10DLC)"),
    # The account and this recipient. The sender works for all others.
    21408: Meaning(Action.NOT_ALLOWED, "the account may not send SMS to this number's country", _ABROAD),
    21608: Meaning(Action.NOT_ALLOWED, "a trial account sends to verified numbers only", _ABROAD),
    21612: Meaning(_REFUSED, "the number cannot be reached from the clinic's number", _ABROAD),
    # The number.
    21211: Meaning(_NUMBER, "the number is not valid", _NO_SUCH),
    21214: Meaning(_NUMBER, "the number cannot be reached", _NO_MOBILE),
    21217: Meaning(_NUMBER, "the number is not valid", _NO_SUCH),
    21265: Meaning(_NUMBER, "the number is a short code", _NO_MOBILE),
    21614: Meaning(_NUMBER, "the number is not a mobile number", _NO_MOBILE),
    21635: Meaning(_NUMBER, "the number is a landline", _LANDLINE),
    30005: Meaning(_NUMBER, "the number is not in use", _OUT_OF_USE),
    30006: Meaning(_NUMBER, "the number is a landline, or its network takes no SMS", _LANDLINE),
    # Opted out.
    21610: Meaning(Action.OPT_OUT, "the recipient has opted out of SMS from this sender"),
    30004: Meaning(Action.OPT_OUT, "the recipient or the mobile network has blocked SMS from this sender"),
    # What we wrote.
    21602: Meaning(_REFUSED, "the SMS had no text"),
    21604: Meaning(_REFUSED, "the SMS had no number to go to"),
    21617: Meaning(_REFUSED, "the SMS was too long"),
    21658: Meaning(_REFUSED, "a part of the request was too long"),
    30007: Meaning(_REFUSED, "the mobile network took the SMS for spam", _CARRIER),
    30036: Meaning(_REFUSED, "it could not be delivered before it was too old", _CARRIER),
    30410: Meaning(_REFUSED, "the mobile network did not answer in time", _CARRIER),
    # In transit: a message that was accepted and failed so is not sent again by itself.
    30003: Meaning(_REFUSED, "the phone was switched off or had no signal", _SWITCHED_OFF),
    30008: Meaning(_REFUSED, "the mobile network did not deliver it and did not say why", _CARRIER),
    # Not now.
    20429: Meaning(Action.RETRY, "Twilio asked to slow down"),
    21611: Meaning(Action.RETRY_LATER, "too many SMS wait at Twilio for the clinic's number"),
    30001: Meaning(Action.RETRY_LATER, "too many SMS waited at Twilio for the clinic's number"),
    30022: Meaning(Action.RETRY_LATER, "the clinic's number has sent too much at once (A2P 10DLC)"),
    30023: Meaning(Action.RETRY_LATER, "the clinic's number has sent all that it may today (A2P 10DLC)"),
    30450: Meaning(Action.RETRY_LATER, "Twilio suspects fraud and has paused SMS to this number's range"),
    30610: Meaning(Action.RETRY_LATER, "Twilio keeps quiet hours for this number"),
}


def meaning(code: str | int | None) -> Meaning:
    """What a code means, of a refused request or of a message that was not delivered."""
    try:
        number = int(code or 0)
    except ValueError:
        number = 0
    if found := _CODES.get(number):
        return found
    if number // 100 == 217:
        return Meaning(_CONFIGURATION, "the clinic's messaging service is not valid or has no sender")
    if 500 <= number <= 599 or 20500 <= number <= 20599:
        return Meaning(Action.UNKNOWN, f"Twilio had a trouble of its own ({number})")
    which = f"for a reason that Holdline does not know ({number})" if number else "without a reason"
    return Meaning(_REFUSED, f"Twilio refused it {which}", known=False)


def reason_of(code: str | None) -> str | None:
    """For staff: why a message that has this code did not arrive. None without a code."""
    return meaning(code).reason if code else None


#: Twilio's states as ours. Any of them at all proves that the message was accepted.
STATUS = {
    "accepted": SmsStatus.SENT,
    "scheduled": SmsStatus.SENT,
    "queued": SmsStatus.SENT,
    "sending": SmsStatus.SENT,
    "sent": SmsStatus.SENT,
    "delivered": SmsStatus.DELIVERED,
    "partially_delivered": SmsStatus.DELIVERED,
    "read": SmsStatus.DELIVERED,
    "undelivered": SmsStatus.UNDELIVERED,
    "failed": SmsStatus.FAILED,
    "canceled": SmsStatus.FAILED,
}


#: Of a phone and a network; a person may know when they are back.
_MAY_PASS = ("30003", "30008")


def may_pass(code: str | None) -> bool:
    """Whether a message that was accepted, and failed with this code, may well arrive if it is sent anew."""
    return meaning(code).action is Action.RETRY_LATER or code in _MAY_PASS


def is_late(code: str | None) -> bool:
    """Whether a code comes only after a message was accepted: then the next one is accepted, too."""
    return bool(code) and str(code).startswith("30")
