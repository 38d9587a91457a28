"""A clinic's rules for scoring as a JSON file, and the words for what is wrong in it."""

from __future__ import annotations

import difflib
import json
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from models.leads.scoring import Rules, Weights

#: By pydantic's name of the error, what to say; `{…}` is filled in from the error's context.
_SAID = {
    "missing": "it is missing",
    "int_type": "it must be a whole number, and it is {given}",
    "int_parsing": "it must be a whole number, and it is {given}",
    "int_from_float": "it must be a whole number, and it is {given}",
    "finite_number": "it must be a whole number, and it is {given}",
    "greater_than_equal": "it must be {ge} or more, and it is {given}",
    "less_than_equal": "it must be {le} or less, and it is {given}",
    "string_type": "it must be a text, and it is {given}",
    "string_too_short": "it must have {min_length} characters or more",
    "string_too_long": "it must have {max_length} characters or fewer",
    "too_long": "it must have {max_length} entries or fewer",
    "enum": "it must be {expected}, and it is {given}",
    "literal_error": "it must be {expected}, and it is {given}",
    "dict_type": 'it must be an object, such as {{"name": …}}',
    "model_type": 'it must be an object, such as {{"name": …}}',
    "value_error": "{error}",
}


class Unusable(ValueError):
    """What is wrong with the rules, one line for each place."""


def read(text: str, *, hot: int) -> dict[str, Any]:
    """The rules that a text of JSON sets, and always `hot`. Raises Unusable.

    `hot` is the clinic's threshold for hot, which stays unless the text sets another.
    """
    try:
        given = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise Unusable(f"it is no JSON: line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise Unusable("it is nested too deeply") from None
    if not isinstance(given, dict):
        raise Unusable('the whole of it must be an object, such as {"weights": {"booked": 60}}')
    try:
        rules = Rules.model_validate({"hot": hot, **given})
    except ValidationError as error:
        raise Unusable("\n".join(f"  {_line(each)}" for each in error.errors())) from None
    return rules.model_dump(mode="json", exclude_unset=True)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Refuses a name that stands in it twice: the first would be ignored silently."""
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Unusable(f"{twice} stands in one object twice")
    return dict(pairs)


def _line(error: ErrorDetails) -> str:
    place = [str(part) for part in error["loc"] if part != "[key]"]
    where = ".".join(place) or "the rules"
    kind, given = error["type"], json.dumps(error["input"], ensure_ascii=False, default=str)[:60]
    if kind == "extra_forbidden":
        names = Weights.model_fields if place[0] == "weights" else Rules.model_fields
        near = difflib.get_close_matches(place[-1], names, n=1)
        also = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        return f"{where}: there is no such rule; {also}"
    said = _SAID.get(kind, "it cannot be {given}")
    return f"{where}: {said.format(given=given, **error.get('ctx', {}))}"
