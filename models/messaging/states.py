"""The life of a message: its kinds, its states, the legal moves between them, and why it moved."""

from __future__ import annotations

from enum import StrEnum


class SmsKind(StrEnum):
    OTP = "otp"
    CONFIRMATION = "confirmation"  # of an appointment as it was booked, or as it was moved
    HOT_LEAD_ALERT = "hot_lead_alert"
    CANCELLATION = "cancellation"


class SmsStatus(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"  # claimed by a worker, until lease_until
    SENT = "sent"  # accepted by the provider
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    UNCONFIRMED = "unconfirmed"  # sent, and the provider could not say in three days what became of it
    FAILED = "failed"  # refused by the provider or by us, for good
    UNKNOWN = "unknown"  # the provider's answer was lost; never resent blindly
    EXPIRED = "expired"  # too old to be of use before it could be sent


_OUTCOMES = frozenset({SmsStatus.SENT, SmsStatus.DELIVERED, SmsStatus.UNDELIVERED, SmsStatus.FAILED})

#: The states that each state may become. The database refuses all others (migrations/sql/sms_life_v2.sql).
#: A receipt may come at any time, even for an attempt that we had given up: so nearly every message can
#: still turn out to be sent or delivered, and a delivered message stays delivered.
MOVES: dict[SmsStatus, frozenset[SmsStatus]] = {
    SmsStatus.QUEUED: _OUTCOMES | {SmsStatus.SENDING, SmsStatus.EXPIRED},
    SmsStatus.SENDING: _OUTCOMES | {SmsStatus.QUEUED, SmsStatus.UNKNOWN, SmsStatus.EXPIRED},
    SmsStatus.UNKNOWN: _OUTCOMES | {SmsStatus.QUEUED, SmsStatus.EXPIRED},
    SmsStatus.SENT: _OUTCOMES - {SmsStatus.SENT} | {SmsStatus.UNCONFIRMED},
    SmsStatus.UNCONFIRMED: _OUTCOMES - {SmsStatus.SENT},
    SmsStatus.UNDELIVERED: frozenset({SmsStatus.DELIVERED}),
    # If the provider had the message, only DELIVERED: see can_become.
    SmsStatus.FAILED: _OUTCOMES - {SmsStatus.FAILED} | {SmsStatus.QUEUED},
    SmsStatus.EXPIRED: _OUTCOMES | {SmsStatus.QUEUED},
    SmsStatus.DELIVERED: frozenset(),
}


class Cause(StrEnum):
    """What moved a message; kept with every move in sms_events."""

    CREATED = "created"
    CLAIMED = "claimed by a worker"
    ACCEPTED = "accepted by the provider"
    UNAVAILABLE = "the provider could not take it"
    REFUSED = "refused by the provider"
    ANSWER_LOST = "its answer was lost"
    WORKER_STOPPED = "the worker stopped while sending it"
    RECEIPT = "a receipt"
    FOUND = "the provider has it"
    NOT_FOUND = "the provider does not have it"
    TOO_LATE = "it could not be sent in time"
    OPTED_OUT = "the patient has opted out"
    CANNOT_PREPARE = "there is nothing to send or nobody to send it"
    SUPERSEDED = "a later message says something else"
    ERASED = "the patient was erased"
    NO_RECEIPT = "no receipt in three days"
    OPERATOR = "an operator asked for it"
    #: For a message that the provider accepted and could not deliver.
    SENT_ANEW = "it was sent anew as another message"
    #: For an event only: it moves no message.
    SENT_TWICE = "the provider accepted it twice"
    #: Messages with these two causes wait for room, and then go by themselves (models/messaging/limits.py).
    NUMBER_HAD_MANY = "its number has been sent many texts, so it waits"
    CLINIC_HAD_MANY = "the texts of the day are used up, so it waits"
    #: For an alert that never goes out, because another alert tells of its leads.
    TOGETHER = "another alert tells of it, too"
    #: For the confirmation of an appointment that was brought in from the clinic's former diary.
    IMPORTED = "it was imported, and its patient knows of it"


def can_become(before: SmsStatus, after: SmsStatus, *, accepted: bool) -> bool:
    """Whether this message may move; `accepted`: the provider is known to have had it.

    A failed message that was not accepted may still turn out to have been sent by an earlier attempt.
    """
    if before is SmsStatus.FAILED and accepted:
        return after is SmsStatus.DELIVERED
    return after in MOVES[before]
