"""Twilio's words for us: what each of its error codes means, and each of its states.

One table for everybody: the worker that sends, the receipts, the agent on the telephone, and staff.
Codes change, and their texts are never read: they quote telephone numbers, and mean nothing to a program.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.messaging.states import SmsStatus


class Action(StrEnum):
    """What follows from a code."""

    RETRY = "retry"  # certainly not sent: again in seconds
    RETRY_LATER = "retry_later"  # certainly not sent: again in minutes, later each time
    UNKNOWN = "unknown"  # it may have been sent
    NUMBER = "number"  # this number can receive no SMS, whoever sends it
    NOT_ALLOWED = "not_allowed"  # the account may send, but not to this number: one alert
    REFUSED = "refused"  # not this message
    CONFIGURATION = "configuration"  # nothing that this sender sends: it stops, with one alert
    LIMIT = "limit"  # likewise, for it has sent all that it may for now
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

_SPECIAL = "that number is a special one and cannot receive text messages"
_OWN = "that number is the clinic's own"
_FULL_TODAY = "the clinic has sent all the text messages that it may send today"
_NETWORK_FULL = "that mobile network takes no more text messages from the clinic for now"
_TRIAL = "the clinic's text messages go only to a few numbers so far"

_NUMBER, _CONFIGURATION, _REFUSED = Action.NUMBER, Action.CONFIGURATION, Action.REFUSED
_NOT_ALLOWED, _LIMIT, _RETRY_LATER = Action.NOT_ALLOWED, Action.LIMIT, Action.RETRY_LATER

#: What stops a sender: nothing of what it sends goes out until somebody mends it, or the day is over.
STOPPING = frozenset({_CONFIGURATION, _LIMIT})

_INACTIVE = Meaning(_CONFIGURATION, "the clinic's Twilio account is not active: suspended, closed or unpaid")
_CREDENTIALS = Meaning(_CONFIGURATION, "Twilio does not accept the clinic's credentials")
_NO_SENDER = Meaning(_CONFIGURATION, "the number that the clinic sends from is not valid")
_NO_SMS = Meaning(_CONFIGURATION, "the number that the clinic sends from cannot send SMS")
_PAPERS = Meaning(_CONFIGURATION, "the number that the clinic sends from lacks an address or documents")
_CHANNEL = Meaning(
    _CONFIGURATION, "the clinic's sender belongs to another channel than SMS, or is not set up"
)
_TOLL_FREE = Meaning(_CONFIGURATION, "the clinic's toll-free number is not verified")
_BRAND = Meaning(
    _CONFIGURATION, "the clinic's registration as a sender was rejected or suspended (A2P 10DLC)"
)
_DAY = Meaning(_LIMIT, "the clinic's account has sent all that it may within a day", _FULL_TODAY)
_FRAUD = Meaning(
    _RETRY_LATER, "Twilio suspects fraud and has paused SMS to this number's range", _NETWORK_FULL
)
_OURS = Meaning(_REFUSED, "Twilio did not accept a part of the request")
_INTERNAL = Meaning(_REFUSED, "Twilio lost it by a fault of its own", _CARRIER)

_CODES: dict[int, Meaning] = {
    # The account.
    10001: _INACTIVE,
    10002: Meaning(_CONFIGURATION, "a trial account may not do this"),
    20003: _CREDENTIALS,
    20005: _INACTIVE,
    20006: Meaning(_CONFIGURATION, "the clinic's Twilio key may not send SMS"),
    20008: Meaning(_CONFIGURATION, "the clinic's Twilio credentials are those for tests"),
    20010: Meaning(_CONFIGURATION, "sending is disabled for the clinic's Twilio account"),
    20403: _INACTIVE,
    20404: Meaning(_CONFIGURATION, "Twilio does not know the clinic's account"),
    21470: Meaning(_CONFIGURATION, "Twilio does not know the clinic's account"),
    21471: Meaning(_CONFIGURATION, "Twilio does not know the clinic's account"),
    21472: _INACTIVE,
    21476: _INACTIVE,
    21478: _INACTIVE,
    21479: _INACTIVE,
    30002: Meaning(_CONFIGURATION, "the clinic's Twilio account is suspended"),
    30037: Meaning(_CONFIGURATION, "sending is disabled for the clinic's Twilio account"),
    90010: _INACTIVE,
    # What it may send in a day.
    30454: _DAY,
    63038: _DAY,
    60728: Meaning(_LIMIT, "the clinic's account has sent all that it may within an hour"),
    # The number, name or service that it sends from.
    21210: _NO_SENDER,
    21212: _NO_SENDER,
    21213: Meaning(_CONFIGURATION, "the clinic has no number to send from"),
    21264: _NO_SENDER,
    21267: Meaning(_CONFIGURATION, "a trial account may not send under a name"),
    21401: _NO_SMS,
    21407: _NO_SMS,
    21601: _NO_SMS,
    21603: Meaning(_CONFIGURATION, "the clinic has no number to send from"),
    21606: _NO_SMS,
    21607: Meaning(_CONFIGURATION, "a trial account may send from its trial number only"),
    21609: Meaning(_CONFIGURATION, "Twilio does not accept the address for receipts: see PUBLIC_BASE_URL"),
    21613: _PAPERS,
    21615: _PAPERS,
    21616: Meaning(_CONFIGURATION, "the number that the clinic sends from stands for several of its numbers"),
    21631: _PAPERS,
    21649: _PAPERS,
    21650: _PAPERS,
    21657: Meaning(_CONFIGURATION, "the name that the clinic sends under is not valid"),
    21659: Meaning(_CONFIGURATION, "the number that the clinic sends from is not the account's"),
    21660: Meaning(_CONFIGURATION, "the number that the clinic sends from is another account's"),
    21661: _NO_SMS,
    21910: _CHANNEL,
    30015: _CHANNEL,
    30016: _CHANNEL,
    30032: _TOLL_FREE,
    30033: _BRAND,
    30034: Meaning(_CONFIGURATION, "the number that the clinic sends from is not registered (A2P 10DLC)"),
    30035: Meaning(
        _CONFIGURATION, "the number that the clinic sends from is still being registered (A2P 10DLC)"
    ),
    30041: Meaning(_CONFIGURATION, "the clinic's sender is not registered for the United Kingdom"),
    30042: Meaning(_CONFIGURATION, "the name that the clinic sends under is blocked"),
    30124: Meaning(_CONFIGURATION, "the clinic's messaging service is not valid or has no sender"),
    30125: _BRAND,
    30126: _BRAND,
    30127: Meaning(_CONFIGURATION, "the clinic's messaging service is not valid or has no sender"),
    63001: _CHANNEL,
    63002: _CHANNEL,
    63007: _CHANNEL,
    63008: _CHANNEL,
    63020: _CHANNEL,
    63035: _CHANNEL,
    63051: _CHANNEL,
    # The account and this recipient, or this recipient's country or network. The sender works for others.
    21219: Meaning(_NOT_ALLOWED, "a trial account sends to verified numbers only", _TRIAL),
    21408: Meaning(_NOT_ALLOWED, "the account may not send SMS to this number's country", _ABROAD),
    21608: Meaning(
        _NOT_ALLOWED,
        "an account on trial, or without an approved profile, sends to verified numbers only",
        _TRIAL,
    ),
    21612: Meaning(_REFUSED, "the number cannot be reached from the clinic's number", _ABROAD),
    30018: Meaning(_NOT_ALLOWED, "this number's network asks for a registered sender", _ABROAD),
    30024: Meaning(_NOT_ALLOWED, "this number's network does not know the clinic's sender yet", _ABROAD),
    30040: Meaning(_NOT_ALLOWED, "this number's network asks for a registered sender", _ABROAD),
    30043: Meaning(_NOT_ALLOWED, "this number's network takes no SMS from abroad on that way", _ABROAD),
    572002: Meaning(_NOT_ALLOWED, "a trial account sends to this number from another of its numbers", _TRIAL),
    572005: Meaning(_NOT_ALLOWED, "a trial account sends to verified numbers only", _TRIAL),
    # The number.
    21211: Meaning(_NUMBER, "the number is not valid", _NO_SUCH),
    21214: Meaning(_NUMBER, "the number cannot be reached", _NO_MOBILE),
    21217: Meaning(_NUMBER, "the number is not valid", _NO_SUCH),
    21265: Meaning(_NUMBER, "the number is a short code", _NO_MOBILE),
    21266: Meaning(_NUMBER, "the number is the one that the clinic sends from", _OWN),
    21268: Meaning(_NUMBER, "the number is a premium or information service", _SPECIAL),
    21614: Meaning(_NUMBER, "the number is not a mobile number", _NO_MOBILE),
    21635: Meaning(_NUMBER, "the number is a landline", _LANDLINE),
    30005: Meaning(_NUMBER, "the number is not in use", _OUT_OF_USE),
    30006: Meaning(_NUMBER, "the number is a landline, or its network takes no SMS", _LANDLINE),
    30038: Meaning(_NUMBER, "the number is one of Twilio's, which receive no codes", _SPECIAL),
    63003: Meaning(_NUMBER, "the number cannot be reached", _NO_MOBILE),
    63024: Meaning(_NUMBER, "the number is not valid", _NO_SUCH),
    63036: Meaning(_NUMBER, "the number cannot be reached", _NO_MOBILE),
    # Opted out.
    21610: Meaning(Action.OPT_OUT, "the recipient has opted out of SMS from this sender"),
    30004: Meaning(Action.OPT_OUT, "the recipient or the mobile network has blocked SMS from this sender"),
    30630: Meaning(Action.OPT_OUT, "the recipient has opted out of SMS from this sender"),
    63014: Meaning(Action.OPT_OUT, "the recipient has blocked the clinic"),
    63033: Meaning(Action.OPT_OUT, "the recipient has opted out of messages from the clinic"),
    # What we wrote.
    21602: Meaning(_REFUSED, "the SMS had no text"),
    21604: Meaning(_REFUSED, "the SMS had no number to go to"),
    21605: Meaning(_REFUSED, "the SMS was too long"),
    21617: Meaning(_REFUSED, "the SMS was too long"),
    21618: Meaning(_REFUSED, "Twilio does not send this text"),
    21619: Meaning(_REFUSED, "the SMS had no text"),
    21624: _OURS,
    21626: _OURS,
    21658: Meaning(_REFUSED, "a part of the request was too long"),
    30007: Meaning(_REFUSED, "the mobile network took the SMS for spam", _CARRIER),
    30010: Meaning(_REFUSED, "the SMS would have cost more than the account allows", _CARRIER),
    30012: _OURS,
    30013: _OURS,
    30014: _OURS,
    30019: Meaning(_REFUSED, "the SMS was too long for the mobile network", _CARRIER),
    30036: Meaning(_REFUSED, "it could not be delivered before it was too old", _CARRIER),
    30039: Meaning(_REFUSED, "Twilio took the SMS for one of a machine to a machine", _CARRIER),
    30044: Meaning(_REFUSED, "the SMS was too long for a trial account", _CARRIER),
    30410: Meaning(_REFUSED, "the mobile network did not answer in time", _CARRIER),
    30615: Meaning(_REFUSED, "Twilio's rules for consent held it back", _CARRIER),
    30620: Meaning(_REFUSED, "Twilio's rules for consent held it back", _CARRIER),
    63013: Meaning(_REFUSED, "it is against the rules of the channel", _CARRIER),
    63026: Meaning(_REFUSED, "the channel took it for spam", _CARRIER),
    # In transit: a message that was accepted and failed so is not sent again by itself.
    30003: Meaning(_REFUSED, "the phone was switched off or had no signal", _SWITCHED_OFF),
    30008: Meaning(_REFUSED, "the mobile network did not deliver it and did not say why", _CARRIER),
    30017: Meaning(_REFUSED, "the mobile network was overloaded", _CARRIER),
    30020: _INTERNAL,
    30021: _INTERNAL,
    30500: _INTERNAL,
    63009: _INTERNAL,
    63010: _INTERNAL,
    63012: _INTERNAL,
    # Not now.
    20429: Meaning(Action.RETRY, "Twilio asked to slow down"),
    63017: Meaning(Action.RETRY, "Twilio asked to slow down"),
    21611: Meaning(_RETRY_LATER, "too many SMS wait at Twilio for the clinic's number"),
    21730: Meaning(_RETRY_LATER, "Twilio is under maintenance"),
    30001: Meaning(_RETRY_LATER, "too many SMS waited at Twilio for the clinic's number"),
    30022: Meaning(_RETRY_LATER, "the clinic's number has sent too much at once (A2P 10DLC)"),
    30023: Meaning(
        _RETRY_LATER, "the clinic has sent all that it may to this network today (A2P 10DLC)", _NETWORK_FULL
    ),
    30027: Meaning(
        _RETRY_LATER, "the clinic has sent all that it may to this network today (A2P 10DLC)", _NETWORK_FULL
    ),
    30450: _FRAUD,
    30453: _FRAUD,
    30485: _FRAUD,
    30610: Meaning(_RETRY_LATER, "Twilio keeps quiet hours for this number"),
    63018: Meaning(_RETRY_LATER, "the clinic's sender has sent too much at once"),
}

#: Codes that have one meaning, with more of them each year. What _CODES says of one of them comes first.
_FAMILIES: tuple[tuple[range, Meaning], ...] = (
    (range(500, 600), Meaning(Action.UNKNOWN, "Twilio had a trouble of its own")),
    (range(20500, 20600), Meaning(Action.UNKNOWN, "Twilio had a trouble of its own")),
    (range(20100, 20200), _CREDENTIALS),
    (
        range(21700, 21800),
        Meaning(_CONFIGURATION, "the clinic's messaging service is not valid or has no sender"),
    ),
    (
        range(21900, 21902),
        Meaning(_CONFIGURATION, "the clinic's sender lacks what India asks for (DLT)"),
    ),
    (range(30430, 30481), _TOLL_FREE),
    (range(30530, 30600), _BRAND),
    (range(30700, 31000), _BRAND),
    (range(572000, 573000), Meaning(_CONFIGURATION, "the clinic's Twilio account is on trial")),
)


def meaning(code: str | int | None) -> Meaning:
    """What a code means, of a refused request or of a message that was not delivered."""
    try:
        number = int(code or 0)
    except ValueError:
        number = 0
    if found := _CODES.get(number):
        return found
    for family, means in _FAMILIES:
        if number in family:
            return means
    which = "for a reason that Holdline does not know" if number else "without a reason"
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


#: Of a phone, a network and Twilio itself; a person may know when they are back.
_MAY_PASS = ("30003", "30008", "30017", "30020", "30021", "30500", "63009", "63010", "63012")


def may_pass(code: str | None) -> bool:
    """Whether a message that was accepted, and failed with this code, may well arrive if it is sent anew."""
    return meaning(code).action is _RETRY_LATER or code in _MAY_PASS
