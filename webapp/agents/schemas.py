"""Arguments and answers that all tools share. Each tool adds its own; the OpenAPI document shows both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load


class Said(fields.String):
    """Text from a language model. A number is read as its digits; invisible characters are dropped."""

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
    """The text without invisible characters: control characters, direction marks, zero-width spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


#: A template variable that the platform did not fill in.
_UNFILLED = re.compile(r"\s*\{\{[^{}]*\}\}\s*")


#: In the metadata of an argument: the words that ask for it, as in "I still need the day".
WORDS = "words"
#: In the same place: the argument is for people and programs only, and is not offered to a model.
NOT_FOR_MODELS = "not_for_models"


class Anything(fields.Raw):
    """A code as the patient said it: digits, a number or words."""


class Arguments(Schema):
    """Unknown arguments, which a model may add, are ignored; an empty value counts as missing."""

    class Meta:
        unknown = EXCLUDE

    tenantId = Said(metadata={"description": "the organisation; may agree with the credential, never choose"})

    @pre_load
    def _blank_is_missing(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        # A template variable without a value comes as an empty string, or as its braces.
        return {
            name: value
            for name, value in data.items()
            if value is not None
            and not (isinstance(value, str) and (not _visible(value) or _UNFILLED.fullmatch(value)))
        }


class Answer(Schema):
    success = fields.Boolean(required=True)
    say = fields.String(required=True, metadata={"description": "what the agent can say, on one line"})
    error = fields.String(metadata={"description": "only in a refusal"})
    code = fields.String(metadata={"description": "the refusal's stable machine code"})


class OfferedSlot(Schema):
    slotId = fields.String(
        required=True,
        metadata={
            "description": "the start in UTC; behind a / the service, and the person if one was asked for"
        },
    )
    calendarId = fields.String(required=True)
    label = fields.String(required=True, metadata={"description": "Monday 7 December, 10:00 in the morning"})
