"""Calls for the scoring: what is said in them, and facts that quote it."""

from __future__ import annotations

from models.calls.facts import SCHEMA, Fact
from models.leads.scoring import Evidence, Score, Speaker, Turn, score

#: The values that each fact may have.
VALUES: dict[str, list[str]] = {
    name: fact["properties"]["value"].get("enum", ["implants"]) for name, fact in SCHEMA["properties"].items()
}

CHATTY = (
    "I've been putting this off for years but enough is enough, I want my smile sorted before the wedding.",
    "We could see you on Monday.",
    "Monday's grand, what time should I be there?",
)


def said(*texts: str) -> tuple[Turn, ...]:
    """Turns in which the agent begins, and the two take turns."""
    speakers = (Speaker.AGENT, Speaker.CALLER)
    return tuple(Turn(speakers[number % 2], text) for number, text in enumerate(texts))


def facts(**values: str) -> dict[str, Fact]:
    """Facts whose quotes are what `a_call` says."""
    return {name: Fact(value, f"words of {name}") for name, value in values.items()}


ALL_WORDS = said("Hello.", " ".join(f"words of {name}." for name in VALUES))


def a_call(**values: str) -> Score:
    """The score of a call in which the caller said what shows these facts."""
    return score(Evidence(ALL_WORDS, facts=facts(**values)))
