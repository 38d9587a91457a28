"""A tool's answer, before it is put into the form of the request."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from models.messaging import messages
from models.messaging.messages import SmsMessage


class Code(StrEnum):
    """The machine codes of refusals. They are an interface, and do not change."""

    MISSING_ARGUMENT = "missing_argument"
    INVALID_ARGUMENT = "invalid_argument"
    UNKNOWN_TENANT = "unknown_tenant"
    UNKNOWN_CALENDAR = "unknown_calendar"
    UNKNOWN_SERVICE = "unknown_service"
    UNKNOWN_PERSON = "unknown_person"
    NOBODY_DOES_IT = "nobody_does_it"
    NOT_BY_PHONE = "not_by_phone"
    INVALID_DATE = "invalid_date"
    DAY_IN_THE_PAST = "day_in_the_past"
    DAY_CLOSED = "day_closed"
    DAY_TOO_FAR = "day_too_far"
    INVALID_SLOT = "invalid_slot"
    SLOT_IN_THE_PAST = "slot_in_the_past"
    SLOT_TOO_SOON = "slot_too_soon"
    SLOT_NOT_OFFERED = "slot_not_offered"
    SLOT_TAKEN = "slot_taken"
    DAY_IS_FULL = "day_is_full"
    IMPOSSIBLE_PHONE = "impossible_phone"
    PHONE_MISMATCH = "phone_mismatch"
    UNKNOWN_HOLD = "unknown_hold"
    HOLD_EXPIRED = "hold_expired"
    HOLD_RELEASED = "hold_released"
    HOLD_CONFIRMED = "hold_confirmed"
    HOLD_LOCKED = "hold_locked"
    HOLD_DISPLACED = "hold_displaced"
    CODE_NOT_SENT = "code_not_sent"
    CODE_UNREADABLE = "code_unreadable"
    WRONG_CODE = "wrong_code"
    COUNTRY_NOT_ALLOWED = "country_not_allowed"
    NOT_A_MOBILE = "not_a_mobile"
    TOO_MANY_HOLDS = "too_many_holds"
    TOO_MANY_UNPROVED_HOLDS = "too_many_unproved_holds"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_CODES = "too_many_codes"
    SMS_FAILED = "sms_failed"
    CANNOT_RECEIVE_SMS = "cannot_receive_sms"
    OPTED_OUT = "opted_out"
    APPOINTMENT_CANCELLED = "appointment_cancelled"
    UNKNOWN_APPOINTMENT = "unknown_appointment"
    UNREADABLE = "unreadable_request"
    TOO_LARGE = "request_too_large"
    UNAUTHORIZED = "unauthorized"
    REPLAYED = "replayed_request"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    OUTCOME_UNKNOWN = "outcome_unknown"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `say` is spoken to the caller, `facts` are the named values of the bare form.

    A refusal has a code and an error. `line` replaces the facts in the line of text that an agent gets.
    """

    say: str
    facts: dict[str, Any] = field(default_factory=dict)
    code: Code | None = None
    error: str | None = None
    line: str | None = None

    @property
    def success(self) -> bool:
        return self.error is None

    def bare(self) -> dict[str, Any]:
        """The answer in the bare form, that of the quick reference."""
        answer: dict[str, Any] = {"success": self.success, **self.facts}
        if self.error is not None:
            answer["error"] = self.error
        if self.code is not None:
            answer["code"] = self.code.value
        return answer | {"say": self.say}

    def spoken(self) -> str:
        """One line of text, for an agent: what to say, then the facts."""
        line = self.line
        if line is None:
            plain = {name: value for name, value in self.facts.items() if isinstance(value, str | bool | int)}
            line = " ".join(f"{name}={_plain(value)}" for name, value in plain.items())
        if self.code is not None:
            line = f"code={self.code.value} {line}".strip()
        return f"{self.say} [{line}]" if line else self.say

    def as_json(self) -> dict[str, Any]:
        """The form that is stored with the tool call, and that `from_json` reads."""
        return {
            "say": self.say,
            "facts": self.facts,
            "code": self.code and self.code.value,
            "error": self.error,
            "line": self.line,
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Reply:
        return cls(**{**kept, "code": Code(kept["code"]) if kept["code"] else None})


def refusal(code: Code, error: str, say: str, **facts: Any) -> Reply:
    return Reply(say, facts, code, error)


def not_booked(code: Code, error: str, why: str, **facts: Any) -> Reply:
    """A refusal of a booking. It begins with NOT BOOKED, so that no agent can take it for a booking."""
    return refusal(code, error, f"NOT BOOKED: {why}", **facts)


@dataclass(frozen=True, slots=True)
class Watched:
    """A reply that depends on an SMS: `tell` makes it from the row, once that has moved on or time is up."""

    org_id: uuid.UUID
    message_id: uuid.UUID
    tell: Callable[[SmsMessage], Reply]

    def as_it_stands(self, session: Session) -> Reply:
        message = messages.get_or_none(session, self.org_id, self.message_id)
        if message is None:
            raise LookupError(f"sms {self.message_id} is not there")
        return self.tell(message)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
