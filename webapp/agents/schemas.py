"""What each tool takes and gives. The OpenAPI document is made from these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load


class Said(fields.String):
    """Text from a language model: numbers are taken for their digits; control characters are dropped."""

    def __init__(self, limit: int = 200, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limit = limit

    def _deserialize(
        self, value: object, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not abs(value) < 1e18:
                raise ValidationError("too large a number")
            value = f"{value:.0f}"
        text = _visible(super()._deserialize(value, attr, data, **kwargs) or "")
        if len(text) > self.limit:
            raise ValidationError(f"longer than {self.limit} characters")
        return text


def _visible(text: str) -> str:
    """The text without what nobody sees: control characters, marks of direction, spaces of no width."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


#: A variable of Vapi's that it did not fill in.
_UNFILLED = re.compile(r"\s*\{\{[^{}]*\}\}\s*")


class Anything(fields.Raw):
    """A code as the patient said it: digits, a number or words."""


class Arguments(Schema):
    """What a model adds beyond the known names is ignored; an empty value counts as none."""

    class Meta:
        unknown = EXCLUDE

    tenantId = Said(metadata={"description": "the organisation; may agree with the credential, never choose"})

    @pre_load
    def _blank_is_missing(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        # Vapi renders a variable that has no value as an empty string, or leaves its braces where they are.
        return {
            name: value
            for name, value in data.items()
            if value is not None
            and not (isinstance(value, str) and (not _visible(value) or _UNFILLED.fullmatch(value)))
        }


_DATE = "2026-12-07, or as it was said: today, tomorrow, a weekday, 7 December, Monday the 7th"


class CheckAvailabilityArguments(Arguments):
    date = Said(required=True, metadata={"description": _DATE, "example": "2026-12-07"})
    calendarId = Said(metadata={"description": "the clinic's first calendar if left out", "example": "cal-1"})


class ReserveArguments(Arguments):
    slotId = Said(
        required=True,
        metadata={"description": "from calendar/check: the start in UTC", "example": "2026-12-07T10:00:00Z"},
    )
    calendarId = Said(metadata={"example": "cal-1"})
    patientName = Said(120, required=True, metadata={"example": "John"})
    patientPhone = Said(
        metadata={"description": "the caller's own number if left out in a call", "example": "+442079460123"},
    )


class SendOtpArguments(Arguments):
    holdId = Said(metadata={"description": "this call's hold if left out in a call"})
    patientPhone = Said(metadata={"description": "if given, it must be the hold's number"})


class VerifyOtpArguments(Arguments):
    holdId = Said(metadata={"description": "this call's hold if left out in a call"})
    providedOTP = Anything(
        required=True, metadata={"description": "as it was said: 1234, '1 2 3 4', 'double three four five'"}
    )
    contactId = Said(metadata={"description": "if given, it must be the hold's contact"})
    serviceType = Said(120, metadata={"example": "check-up"})


class SendConfirmationArguments(Arguments):
    appointmentId = Said(metadata={"description": "this call's appointment if left out in a call"})
    patientPhone = Said(metadata={"description": "if given, it must be the appointment's number"})
    contactId = Said(metadata={"description": "if given, it must be the appointment's contact"})


class Answer(Schema):
    success = fields.Boolean(required=True)
    say = fields.String(required=True, metadata={"description": "what the agent can say, on one line"})
    error = fields.String(metadata={"description": "only in a refusal"})
    code = fields.String(metadata={"description": "the refusal's stable machine code"})


class OfferedSlot(Schema):
    slotId = fields.String(required=True)
    calendarId = fields.String(required=True)
    label = fields.String(required=True, metadata={"description": "Monday 7 December, 10:00 in the morning"})


class CheckAvailabilityAnswer(Answer):
    date = fields.Date()
    today = fields.Date(metadata={"description": "in the clinic's zone"})
    timeZone = fields.String()
    calendarId = fields.String()
    services = fields.List(fields.String())
    slots = fields.List(fields.Nested(OfferedSlot))
    nextOpenings = fields.List(
        fields.Nested(OfferedSlot), metadata={"description": "when the day itself has none"}
    )


class ReserveAnswer(Answer):
    holdId = fields.UUID()
    contactId = fields.UUID()
    calendarId = fields.String()
    slotId = fields.String()
    expiresAt = fields.String(metadata={"description": "UTC; missing where the call has booked this time"})
    appointmentId = fields.UUID(metadata={"description": "only where the call has booked this time"})
    label = fields.String()
    nearest = fields.List(fields.Nested(OfferedSlot), metadata={"description": "in a refusal: free instead"})


class SendOtpAnswer(Answer):
    codeSent = fields.Boolean(metadata={"description": "true once the provider has accepted the SMS"})
    status = fields.String(metadata={"description": "of the SMS: sent, queued, failed …"})


class VerifyOtpAnswer(Answer):
    appointmentId = fields.UUID()
    scheduledAt = fields.String(metadata={"description": "UTC"})
    label = fields.String()


class SendConfirmationAnswer(Answer):
    messageSent = fields.Boolean(metadata={"description": "true once the provider has accepted the SMS"})
    messageId = fields.String(metadata={"description": "Twilio's id, SM…"})
    status = fields.String(metadata={"description": "of the SMS: sent, delivered, queued, failed …"})
    content = fields.String(metadata={"description": "the words of the SMS"})
