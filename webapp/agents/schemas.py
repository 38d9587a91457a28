"""What all tools take and give. Each tool's own is in its file; the OpenAPI document is made from both."""

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


#: A variable of a template that the platform did not fill in.
_UNFILLED = re.compile(r"\s*\{\{[^{}]*\}\}\s*")


#: In the metadata of an argument: how it is asked for, as in "I still need the day".
WORDS = "words"
#: Likewise: whether it is only for people and programs, and no model is offered it.
NOT_FOR_MODELS = "not_for_models"


class Anything(fields.Raw):
    """A code as the patient said it: digits, a number or words."""


class Arguments(Schema):
    """What a model adds beyond the known names is ignored; an empty value counts as none."""

    class Meta:
        unknown = EXCLUDE

    tenantId = Said(metadata={"description": "the organisation; may agree with the credential, never choose"})

    @pre_load
    def _blank_is_missing(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        # A template's variable that has no value comes as an empty string, or as its braces.
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
    slotId = fields.String(required=True)
    calendarId = fields.String(required=True)
    label = fields.String(required=True, metadata={"description": "Monday 7 December, 10:00 in the morning"})
