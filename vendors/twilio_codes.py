"""What Twilio's error codes and states mean: https://www.twilio.com/docs/api/errors, as one table.

Both adapters of Twilio read it: tasks/providers/twilio.py when a request is refused, and
webapp/twilio/receipts.py when a message was not delivered. The text that Twilio writes beside an error code
is never read: it changes, quotes telephone numbers, and means nothing to a program.
"""

from __future__ import annotations

from models.messaging.meanings import Failure, Meaning
from models.messaging.states import SmsStatus

#: What an error code means, and the sentence about it that the staff read.
_Entry = tuple[Meaning, str]

_INACTIVE = (
    Meaning.MISCONFIGURED,
    "the clinic's Twilio account is not active: suspended, closed or unpaid",
)
_CREDENTIALS = (Meaning.MISCONFIGURED, "Twilio does not accept the clinic's credentials")
_NO_SENDER = (Meaning.MISCONFIGURED, "the number that the clinic sends from is not valid")
_NO_SMS = (Meaning.MISCONFIGURED, "the number that the clinic sends from cannot send SMS")
_PAPERS = (Meaning.MISCONFIGURED, "the number that the clinic sends from lacks an address or documents")
_CHANNEL = (
    Meaning.MISCONFIGURED,
    "the clinic's sender belongs to another channel than SMS, or is not set up",
)
_TOLL_FREE = (Meaning.MISCONFIGURED, "the clinic's toll-free number is not verified")
_BRAND = (
    Meaning.MISCONFIGURED,
    "the clinic's registration as a sender was rejected or suspended (A2P 10DLC)",
)
_SERVICE = (Meaning.MISCONFIGURED, "the clinic's messaging service is not valid or has no sender")
_DAY = (Meaning.DAY_FULL, "the clinic's account has sent all that it may within a day")
_FRAUD = (Meaning.NETWORK_FULL, "Twilio suspects fraud and has paused SMS to this number's range")
_OURS = (Meaning.REFUSED, "Twilio did not accept a part of the request")
_INTERNAL = (Meaning.NETWORK_TROUBLE, "Twilio lost it by a fault of its own")
_TROUBLE = (Meaning.MAYBE_SENT, "Twilio had a trouble of its own")

_CODES: dict[int, _Entry] = {
    # The account.
    10001: _INACTIVE,
    10002: (Meaning.MISCONFIGURED, "a trial account may not do this"),
    20003: _CREDENTIALS,
    20005: _INACTIVE,
    20006: (Meaning.MISCONFIGURED, "the clinic's Twilio key may not send SMS"),
    20008: (Meaning.MISCONFIGURED, "the clinic's Twilio credentials are those for tests"),
    20010: (Meaning.MISCONFIGURED, "sending is disabled for the clinic's Twilio account"),
    20403: _INACTIVE,
    20404: (Meaning.MISCONFIGURED, "Twilio does not know the clinic's account"),
    21470: (Meaning.MISCONFIGURED, "Twilio does not know the clinic's account"),
    21471: (Meaning.MISCONFIGURED, "Twilio does not know the clinic's account"),
    21472: _INACTIVE,
    21476: _INACTIVE,
    21478: _INACTIVE,
    21479: _INACTIVE,
    30002: (Meaning.MISCONFIGURED, "the clinic's Twilio account is suspended"),
    30037: (Meaning.MISCONFIGURED, "sending is disabled for the clinic's Twilio account"),
    90010: _INACTIVE,
    # What the account may send in a day or an hour.
    30454: _DAY,
    63038: _DAY,
    60728: (Meaning.HOUR_FULL, "the clinic's account has sent all that it may within an hour"),
    # The number, name or service that the clinic sends from.
    21210: _NO_SENDER,
    21212: _NO_SENDER,
    21213: (Meaning.MISCONFIGURED, "the clinic has no number to send from"),
    21264: _NO_SENDER,
    21267: (Meaning.MISCONFIGURED, "a trial account may not send under a name"),
    21401: _NO_SMS,
    21407: _NO_SMS,
    21601: _NO_SMS,
    21603: (Meaning.MISCONFIGURED, "the clinic has no number to send from"),
    21606: _NO_SMS,
    21607: (Meaning.MISCONFIGURED, "a trial account may send from its trial number only"),
    21609: (Meaning.MISCONFIGURED, "Twilio does not accept the address for receipts: see PUBLIC_BASE_URL"),
    21613: _PAPERS,
    21615: _PAPERS,
    21616: (Meaning.MISCONFIGURED, "the number that the clinic sends from stands for several of its numbers"),
    21631: _PAPERS,
    21649: _PAPERS,
    21650: _PAPERS,
    21657: (Meaning.MISCONFIGURED, "the name that the clinic sends under is not valid"),
    21659: (Meaning.MISCONFIGURED, "the number that the clinic sends from is not the account's"),
    21660: (Meaning.MISCONFIGURED, "the number that the clinic sends from is another account's"),
    21661: _NO_SMS,
    21910: _CHANNEL,
    30015: _CHANNEL,
    30016: _CHANNEL,
    30032: _TOLL_FREE,
    30033: _BRAND,
    30034: (Meaning.MISCONFIGURED, "the number that the clinic sends from is not registered (A2P 10DLC)"),
    30035: (
        Meaning.MISCONFIGURED,
        "the number that the clinic sends from is still being registered (A2P 10DLC)",
    ),
    30041: (Meaning.MISCONFIGURED, "the clinic's sender is not registered for the United Kingdom"),
    30042: (Meaning.MISCONFIGURED, "the name that the clinic sends under is blocked"),
    30124: _SERVICE,
    30125: _BRAND,
    30126: _BRAND,
    30127: _SERVICE,
    63001: _CHANNEL,
    63002: _CHANNEL,
    63007: _CHANNEL,
    63008: _CHANNEL,
    63020: _CHANNEL,
    63035: _CHANNEL,
    63051: _CHANNEL,
    # The account and this recipient, or this recipient's country or network. The sender works for others.
    21219: (Meaning.VERIFIED_ONLY, "a trial account sends to verified numbers only"),
    21408: (Meaning.ABROAD, "the account may not send SMS to this number's country"),
    21608: (
        Meaning.VERIFIED_ONLY,
        "an account on trial, or without an approved profile, sends to verified numbers only",
    ),
    21612: (Meaning.OUT_OF_REACH, "the number cannot be reached from the clinic's number"),
    30018: (Meaning.ABROAD, "this number's network asks for a registered sender"),
    30024: (Meaning.ABROAD, "this number's network does not know the clinic's sender yet"),
    30040: (Meaning.ABROAD, "this number's network asks for a registered sender"),
    30043: (Meaning.ABROAD, "this number's network takes no SMS from abroad on that way"),
    572002: (Meaning.VERIFIED_ONLY, "a trial account sends to this number from another of its numbers"),
    572005: (Meaning.VERIFIED_ONLY, "a trial account sends to verified numbers only"),
    # The number.
    21211: (Meaning.NO_SUCH_NUMBER, "the number is not valid"),
    21214: (Meaning.NO_SMS, "the number cannot be reached"),
    21217: (Meaning.NO_SUCH_NUMBER, "the number is not valid"),
    21265: (Meaning.NO_SMS, "the number is a short code"),
    21266: (Meaning.OWN_NUMBER, "the number is the one that the clinic sends from"),
    21268: (Meaning.SPECIAL_NUMBER, "the number is a premium or information service"),
    21614: (Meaning.NO_SMS, "the number is not a mobile number"),
    21635: (Meaning.LANDLINE, "the number is a landline"),
    30005: (Meaning.OUT_OF_USE, "the number is not in use"),
    30006: (Meaning.LANDLINE, "the number is a landline, or its network takes no SMS"),
    30038: (Meaning.SPECIAL_NUMBER, "the number is one of Twilio's, which receive no codes"),
    63003: (Meaning.NO_SMS, "the number cannot be reached"),
    63024: (Meaning.NO_SUCH_NUMBER, "the number is not valid"),
    63036: (Meaning.NO_SMS, "the number cannot be reached"),
    # Opted out.
    21610: (Meaning.OPTED_OUT, "the recipient has opted out of SMS from this sender"),
    30004: (Meaning.OPTED_OUT, "the recipient or the mobile network has blocked SMS from this sender"),
    30630: (Meaning.OPTED_OUT, "the recipient has opted out of SMS from this sender"),
    63014: (Meaning.OPTED_OUT, "the recipient has blocked the clinic"),
    63033: (Meaning.OPTED_OUT, "the recipient has opted out of messages from the clinic"),
    # Our text or request.
    21602: (Meaning.REFUSED, "the SMS had no text"),
    21604: (Meaning.REFUSED, "the SMS had no number to go to"),
    21605: (Meaning.REFUSED, "the SMS was too long"),
    21617: (Meaning.REFUSED, "the SMS was too long"),
    21618: (Meaning.REFUSED, "Twilio does not send this text"),
    21619: (Meaning.REFUSED, "the SMS had no text"),
    21624: _OURS,
    21626: _OURS,
    21658: (Meaning.REFUSED, "a part of the request was too long"),
    30007: (Meaning.NOT_DELIVERED, "the mobile network took the SMS for spam"),
    30010: (Meaning.NOT_DELIVERED, "the SMS would have cost more than the account allows"),
    30012: _OURS,
    30013: _OURS,
    30014: _OURS,
    30019: (Meaning.NOT_DELIVERED, "the SMS was too long for the mobile network"),
    30036: (Meaning.NOT_DELIVERED, "it could not be delivered before it was too old"),
    30039: (Meaning.NOT_DELIVERED, "Twilio took the SMS for one of a machine to a machine"),
    30044: (Meaning.NOT_DELIVERED, "the SMS was too long for a trial account"),
    30410: (Meaning.NOT_DELIVERED, "the mobile network did not answer in time"),
    30615: (Meaning.NOT_DELIVERED, "Twilio's rules for consent held it back"),
    30620: (Meaning.NOT_DELIVERED, "Twilio's rules for consent held it back"),
    63013: (Meaning.NOT_DELIVERED, "it is against the rules of the channel"),
    63026: (Meaning.NOT_DELIVERED, "the channel took it for spam"),
    # In transit: a message that was accepted and failed in this way is not sent again by itself.
    30003: (Meaning.SWITCHED_OFF, "the phone was switched off or had no signal"),
    30008: (Meaning.NETWORK_TROUBLE, "the mobile network did not deliver it and did not say why"),
    30017: (Meaning.NETWORK_TROUBLE, "the mobile network was overloaded"),
    30020: _INTERNAL,
    30021: _INTERNAL,
    30500: _INTERNAL,
    63009: _INTERNAL,
    63010: _INTERNAL,
    63012: _INTERNAL,
    # Not now.
    20429: (Meaning.SLOW_DOWN, "Twilio asked to slow down"),
    63017: (Meaning.SLOW_DOWN, "Twilio asked to slow down"),
    21611: (Meaning.NOT_NOW, "too many SMS wait at Twilio for the clinic's number"),
    21730: (Meaning.NOT_NOW, "Twilio is under maintenance"),
    30001: (Meaning.NOT_NOW, "too many SMS waited at Twilio for the clinic's number"),
    30022: (Meaning.NOT_NOW, "the clinic's number has sent too much at once (A2P 10DLC)"),
    30023: (Meaning.NETWORK_FULL, "the clinic has sent all that it may to this network today (A2P 10DLC)"),
    30027: (Meaning.NETWORK_FULL, "the clinic has sent all that it may to this network today (A2P 10DLC)"),
    30450: _FRAUD,
    30453: _FRAUD,
    30485: _FRAUD,
    30610: (Meaning.NOT_NOW, "Twilio keeps quiet hours for this number"),
    63018: (Meaning.NOT_NOW, "the clinic's sender has sent too much at once"),
}

#: Ranges of error codes with one meaning, which gain codes each year. _CODES comes first.
_FAMILIES: tuple[tuple[range, _Entry], ...] = (
    (range(500, 600), _TROUBLE),
    (range(20500, 20600), _TROUBLE),
    (range(20100, 20200), _CREDENTIALS),
    (range(21700, 21800), _SERVICE),
    (range(21900, 21902), (Meaning.MISCONFIGURED, "the clinic's sender lacks what India asks for (DLT)")),
    (range(30430, 30481), _TOLL_FREE),
    (range(30530, 30600), _BRAND),
    (range(30700, 31000), _BRAND),
    (range(572000, 573000), (Meaning.MISCONFIGURED, "the clinic's Twilio account is on trial")),
)


def failure(code: str | int | None) -> Failure:
    """What the error code of a refused request or an undelivered message means."""
    written = str(code) if code else None
    number = int(written) if written and written.isascii() and written.isdecimal() else 0
    found = _CODES.get(number)
    for family, entry in _FAMILIES:
        if found is None and number in family:
            found = entry
    if found is None:
        which = "for a reason that Holdline does not know" if number else "without a reason"
        found = (Meaning.UNEXPLAINED, f"Twilio refused it {which}")
    meaning, reason = found
    return Failure(reason, written, meaning)


#: Our states for Twilio's. Any of Twilio's states proves that the message was accepted.
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
