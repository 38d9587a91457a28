"""What it means when a provider refuses a message or cannot deliver it, in words common to all providers.

Each provider has its own error codes. The provider's adapter translates them into a Meaning, and the row of
the message keeps the meaning beside the error code: the sender, the agent on the telephone and the staff read
the meaning and never the error code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What follows from a meaning."""

    RETRY = "retry"  # certainly not sent: try again in seconds
    RETRY_LATER = "retry_later"  # certainly not sent: try again in minutes, later each time
    UNKNOWN = "unknown"  # it may have been sent
    NUMBER = "number"  # this number can receive no SMS from any sender
    NOT_ALLOWED = "not_allowed"  # the account may send, but not to this number: one alert
    REFUSED = "refused"  # this message is not sent; others may be
    CONFIGURATION = "configuration"  # this sender can send nothing: it stops, with one alert
    LIMIT = "limit"  # this sender has sent all that it may for now: it stops, with one alert
    OPT_OUT = "opt_out"  # the recipient wants no more messages


class Meaning(StrEnum):
    """Kept in `sms_messages.error_meaning`; _FOLLOWS says what each meaning entails."""

    SLOW_DOWN = "slow_down"
    NOT_NOW = "not_now"
    NETWORK_FULL = "network_full"
    MAYBE_SENT = "maybe_sent"
    LANDLINE = "landline"
    NO_SMS = "no_sms"
    NO_SUCH_NUMBER = "no_such_number"
    OUT_OF_USE = "out_of_use"
    SPECIAL_NUMBER = "special_number"
    OWN_NUMBER = "own_number"
    ABROAD = "abroad"
    VERIFIED_ONLY = "verified_only"
    OUT_OF_REACH = "out_of_reach"
    OPTED_OUT = "opted_out"
    MISCONFIGURED = "misconfigured"
    HOUR_FULL = "hour_full"
    DAY_FULL = "day_full"
    REFUSED = "refused"
    NOT_DELIVERED = "not_delivered"
    SWITCHED_OFF = "switched_off"
    NETWORK_TROUBLE = "network_trouble"
    UNEXPLAINED = "unexplained"  # the provider's code is not known here: a person should look

    @property
    def action(self) -> Action:
        return _FOLLOWS[self].action

    @property
    def spoken(self) -> str | None:
        """A clause for the agent to say; None where it would not help the person on the line."""
        return _FOLLOWS[self].spoken

    @property
    def stops_sender(self) -> bool:
        """Whether the clinic sends nothing until a person mends the sender, or the limit's time is over."""
        return self.action in (Action.CONFIGURATION, Action.LIMIT)

    @property
    def may_pass(self) -> bool:
        """Whether a message that the provider accepted and could not deliver may well arrive if it is sent
        again: the telephone, the network or the provider was in trouble, and a person may know that the
        trouble is over.
        """
        return self.action is Action.RETRY_LATER or self in (Meaning.SWITCHED_OFF, Meaning.NETWORK_TROUBLE)

    @property
    def needs_somebody(self) -> bool:
        """Whether the first message in a day that fails in this way raises an alert."""
        return self.action is Action.NOT_ALLOWED or self is Meaning.UNEXPLAINED


@dataclass(frozen=True, slots=True)
class _Follows:
    action: Action
    spoken: str | None = None


_CARRIER = "the mobile network did not deliver the text message"
_ABROAD = "text messages cannot be sent to that number from here"

_FOLLOWS = {
    Meaning.SLOW_DOWN: _Follows(Action.RETRY),
    Meaning.NOT_NOW: _Follows(Action.RETRY_LATER),
    Meaning.NETWORK_FULL: _Follows(
        Action.RETRY_LATER, "that mobile network takes no more text messages from the clinic for now"
    ),
    Meaning.MAYBE_SENT: _Follows(Action.UNKNOWN),
    Meaning.LANDLINE: _Follows(Action.NUMBER, "that number is a landline and cannot receive text messages"),
    Meaning.NO_SMS: _Follows(Action.NUMBER, "that number cannot receive text messages"),
    Meaning.NO_SUCH_NUMBER: _Follows(Action.NUMBER, "that number does not seem to exist"),
    Meaning.OUT_OF_USE: _Follows(Action.NUMBER, "that number does not seem to be in use"),
    Meaning.SPECIAL_NUMBER: _Follows(
        Action.NUMBER, "that number is a special one and cannot receive text messages"
    ),
    Meaning.OWN_NUMBER: _Follows(Action.NUMBER, "that number is the clinic's own"),
    Meaning.ABROAD: _Follows(Action.NOT_ALLOWED, _ABROAD),
    Meaning.VERIFIED_ONLY: _Follows(
        Action.NOT_ALLOWED, "the clinic's text messages go only to a few numbers so far"
    ),
    Meaning.OUT_OF_REACH: _Follows(Action.REFUSED, _ABROAD),
    Meaning.OPTED_OUT: _Follows(Action.OPT_OUT),
    Meaning.MISCONFIGURED: _Follows(Action.CONFIGURATION),
    Meaning.HOUR_FULL: _Follows(Action.LIMIT),
    Meaning.DAY_FULL: _Follows(
        Action.LIMIT, "the clinic has sent all the text messages that it may send today"
    ),
    Meaning.REFUSED: _Follows(Action.REFUSED),
    Meaning.NOT_DELIVERED: _Follows(Action.REFUSED, _CARRIER),
    Meaning.SWITCHED_OFF: _Follows(
        Action.REFUSED, "the phone with that number is switched off or has no signal"
    ),
    Meaning.NETWORK_TROUBLE: _Follows(Action.REFUSED, _CARRIER),
    Meaning.UNEXPLAINED: _Follows(Action.REFUSED),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message was not sent or not delivered.

    `reason` is a sentence of ours for the staff; it names no patient. `code` is the provider's error code, if
    it gave any; `meaning` is None if only the reason is known.
    """

    reason: str
    code: str | None = None
    meaning: Meaning | None = None
