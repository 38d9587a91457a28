"""The facts that Vapi is asked to take from a call that is over, and which of them can be believed.

They come from a language model through somebody else's service: any of them may be missing, of another
type, or about what the agent said. So each is read leniently and believed only where the caller's words
or our own rows do not speak against it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

Intent = Literal["book", "ask", "price", "reschedule", "cancel", "complaint", "wrong_number", "spam", "other"]
Urgency = Literal["now", "soon", "later", "none"]
Budget = Literal["none", "asked", "accepted", "refused"]

#: What the facts are called in Vapi's reports, among a clinic's own structured outputs.
NAME = "Holdline call facts"

#: What Vapi is asked for (webapp/vapi/assistant.py), as a JSON schema. Nothing is required: a model that
#: must say something makes it up.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "service": {
            "type": "string",
            "description": "The treatment that the caller wants, for themselves or their family,"
            " in the caller's own words.",
        },
        "intent": {
            "type": "string",
            "enum": list(get_args(Intent)),
            "description": "What the caller wanted by the end of the call. “book” only for a new appointment"
            " that they still want; “wrong_number” and “spam” go before all else.",
        },
        "urgency": {
            "type": "string",
            "enum": list(get_args(Urgency)),
            "description": "“now” in pain or an emergency, “soon” within days, “later” in no hurry.",
        },
        "budget": {
            "type": "string",
            "enum": list(get_args(Budget)),
            "description": "“asked” what it costs, “accepted” the price, or “refused” it as too dear.",
        },
        "decision_maker": {
            "type": "boolean",
            "description": "False if somebody else has to agree first; left out if nothing was said of it.",
        },
        "rejection": {
            "type": "boolean",
            "description": "The caller said no to what was offered, and left it at that.",
        },
        "complaint": {
            "type": "boolean",
            "description": "The caller complains about the clinic or a treatment.",
        },
        "wrong_number": {"type": "boolean", "description": "The caller meant to ring somebody else."},
        "booked": {"type": "boolean", "description": "The agent said that an appointment is booked."},
        "reasons": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Up to five things that the caller said, word for word, on which these answers"
            " rest. Never the agent's words, and no names, numbers or codes.",
        },
    },
    "required": [],
}

#: All that is read, also as a plan of a clinic's own may spell it.
FACTS = frozenset(SCHEMA["properties"]) | {"decisionMaker", "wrongNumber"}

_T = TypeVar("_T", bound=str)
MOST_REASONS = 20
LONGEST_TEXT = 500
_WORD = re.compile(r"[^\W_]+")
_TRUE = frozenset({"true", "yes", "y", "1"})
_FALSE = frozenset({"false", "no", "n", "0"})


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What the plan found out; None is what it does not say."""

    service: str | None = None
    intent: Intent | None = None
    urgency: Urgency | None = None
    budget: Budget | None = None
    decision_maker: bool | None = None
    rejection: bool | None = None
    complaint: bool | None = None
    wrong_number: bool | None = None
    booked: bool | None = None
    reasons: tuple[str, ...] = ()


def parse_facts(found: object) -> CallFacts | None:
    """Facts from untrusted JSON: what is usable of it; None if nothing is. Never raises."""
    if not isinstance(found, Mapping):
        return None
    facts = CallFacts(
        service=_text(found.get("service")),
        intent=_one_of(found.get("intent"), get_args(Intent)),
        urgency=_one_of(found.get("urgency"), get_args(Urgency)),
        budget=_one_of(found.get("budget"), get_args(Budget)),
        decision_maker=_yes_or_no(_first(found, "decision_maker", "decisionMaker")),
        rejection=_yes_or_no(found.get("rejection")),
        complaint=_yes_or_no(found.get("complaint")),
        wrong_number=_yes_or_no(_first(found, "wrong_number", "wrongNumber")),
        booked=_yes_or_no(found.get("booked")),
        reasons=_texts(found.get("reasons")),
    )
    return None if facts == CallFacts() else facts


def _first(found: Mapping[object, object], *names: str) -> object:
    return next((found[name] for name in names if name in found), None)


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return value[:LONGEST_TEXT].strip() or None


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Sequence):
        return ()
    return tuple(text for each in value[:MOST_REASONS] if (text := _text(each)))


def _one_of(value: object, allowed: tuple[_T, ...]) -> _T | None:
    if not isinstance(value, str):
        return None
    cleaned = value[:LONGEST_TEXT].strip().lower().replace(" ", "_").replace("-", "_")
    return next((each for each in allowed if each == cleaned), None)


def _yes_or_no(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        low = value[:10].strip().lower()
        return True if low in _TRUE else False if low in _FALSE else None
    return None


class Said:
    """The words of one speaker, to look quotes up in."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [f" {' '.join(_words(text))} " for text in texts]
        self._sets = [frozenset(text.split()) for text in self._texts]

    def has(self, quote: str) -> bool:
        """Whether this was said, give or take a word: word for word, or most of its words in one turn."""
        words = _words(quote)
        if not words:
            return False
        whole = f" {' '.join(words)} "
        if any(whole in text for text in self._texts):
            return True
        wanted = set(words)
        if len(wanted) < 3:
            return False
        return any(len(wanted & said) >= 0.8 * len(wanted) for said in self._sets)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("'", "").replace("’", ""))  # noqa: RUF001
