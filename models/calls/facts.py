"""The facts that the platform's language model is asked to find in a call, and which of them count.

Each fact is a value and a quote: the caller's own words that show it. A fact counts only if the caller said
the quote, so that neither a model's guess nor the agent's praise becomes part of a score.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

#: The name of our structured output, which tells it from a clinic's own outputs in a report.
NAME = "Holdline call facts"

#: The values of each fact, with the meanings that the model is told. The fact `treatment` is free text.
_VALUES: dict[str, tuple[str, dict[str, str]]] = {
    "purpose": (
        "What the caller really wanted, judged at the end of the call.",
        {
            "appointment": "a new appointment or a treatment, for themselves or for somebody they care for",
            "enquiry": "as a possible patient, to know about a treatment, its price, or whether it is"
            " offered",
            "reschedule": "to move an appointment that exists",
            "cancel": "to cancel an appointment, also one booked earlier in this call",
            "patient_matter": "an existing patient's own affairs: the time or place of their appointment,"
            " results, papers, prescriptions, invoices, insurance claims, a message for a doctor",
            "information": "opening hours, address, parking, or other facts, with no treatment in mind for"
            " themselves or their family",
            "complaint": "to complain about the clinic, a bill or a treatment",
            "wrong_number": "somebody else: another business, another person, or help that no clinic gives",
            "sales": "to sell, to survey, to recruit, to deliver or to do other business; also a recording",
            "job": "work or a placement at the clinic",
            "other": "anything else, such as silence, a prank or a test",
        },
    ),
    "decision": (
        (
            "How decided the caller was about an appointment or treatment at the end of the call. Left out"
            " where the call was about something else."
        ),
        {
            "goes_ahead": "took a time that was offered, or said without reservation that they go ahead; also"
            " where the booking could not be finished (the line, the code, no access to the diary), and where"
            " they ask to be rung back in order to book",
            "wants": "asks for an appointment or the treatment and still wants it, but took no time and"
            " settled nothing",
            "undecided": "is interested and will think about it, compare, ask somebody, or ring again",
            "declined": "said no to what was offered and left it at that, or took the wish back",
        },
    ),
    "urgency": (
        "How soon the caller wants to be seen. Left out where nothing was said of it.",
        {
            "now": "in pain, bleeding or injured; an emergency, or afraid of one; or must be seen today",
            "soon": "within about two weeks: names a near day, asks for the first free time, or says soon",
            "later": "in no hurry, at some time, in a month or more",
        },
    ),
    "treatment_kind": (
        "What kind of treatment the caller wants or asks about.",
        {
            "major": "costs a lot or goes on for long: implants, braces and aligners, veneers, surgery, hair"
            " transplants, fertility treatment, laser eye surgery, a course of injections or laser sessions,"
            " hearing aids, a course of therapy",
            "routine": "a check-up, a cleaning, an eye test, a vaccination, a screening, a review of a"
            " prescription",
            "ordinary": "any other treatment or consultation, such as a filling, a painful back, a rash",
        },
    ),
    "price": (
        "How the caller took the price, by their last word on it. Left out where no price was spoken of.",
        {
            "asked": "asked what it costs, and neither accepted nor refused",
            "accepted": "was content with the price, or found a way to pay it",
            "too_dear": "found it too much to go ahead",
        },
    ),
    "decided_by": (
        "Who decides. Left out where nothing was said of it.",
        {
            "caller": "the caller alone, or together with somebody who agreed during the call",
            "someone_else": "a partner, parent, employer, insurer or doctor has to agree first",
        },
    ),
    "patient": (
        "Whether the caller, or the person they ring for, has been a patient of this clinic.",
        {"new": "never before", "known": "before, or has an appointment already"},
    ),
    "call_back": (
        "Whether the caller asked the clinic to ring them.",
        {
            "asked": "asked to be rung back, or for a person of the clinic to ring",
            "refused": "wants no more calls or messages",
        },
    ),
}


def _fact(meaning: str, value: Mapping[str, Any]) -> dict[str, Any]:
    quote = {
        "type": "string",
        "description": "The caller's own words that show it, copied word for word from one of the caller's"
        " turns, as few as show it; a bare “yes please” will do. Never the assistant's words.",
    }
    return {"type": "object", "description": meaning, "properties": {"value": value, "quote": quote}}


def _one_of(meanings: Mapping[str, str]) -> dict[str, Any]:
    said = "; ".join(f"“{value}”: {meaning}" for value, meaning in meanings.items())
    return {"type": "string", "enum": [*meanings], "description": f"{said}."}


#: The JSON schema that the model is asked to fill in. No fact is required, because a model invents what it
#: must say.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Facts about the caller of a clinic's telephone. A fact that the caller's words do not"
    " show is left out.",
    "properties": {
        **{name: _fact(meaning, _one_of(values)) for name, (meaning, values) in _VALUES.items()},
        "treatment": _fact(
            "What the caller wants done, or asks about, for themselves or their family.",
            {"type": "string", "description": "In a few plain words, such as “dental implants”."},
        ),
    },
}

_LONGEST_TEXT = 500
#: Scripts without spaces between words, in which each sign counts as a word: Thai, Burmese, Khmer, kana,
#: Chinese.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+")


def words(text: str) -> list[str]:
    """The words of a text in lower case, without apostrophes and signs."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return _WORD.findall(plain.replace("'", "").replace("’", ""))  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Fact:
    value: str
    #: The words of the caller that the model gave as proof.
    quote: str


#: The facts of a call by the names in SCHEMA, as the model gave them; `borne_out` checks them.
CallFacts = Mapping[str, Fact]


def parse_facts(found: object) -> CallFacts | None:
    """The usable facts in untrusted JSON; None if it is no answer to SCHEMA. Never raises.

    An empty object is an answer: the model found no facts in the call.
    """
    if not isinstance(found, Mapping):
        return None
    facts = {
        name: fact
        for name in SCHEMA["properties"]
        if (fact := _parse_fact(name, found.get(name))) is not None
    }
    return facts if facts or not found else None


def _parse_fact(name: str, found: object) -> Fact | None:
    if not isinstance(found, Mapping):
        return None
    value, quote = _text(found.get("value")), _text(found.get("quote"))
    if name in _VALUES:
        value = value.lower().replace(" ", "_").replace("-", "_")
        if value not in _VALUES[name][1]:
            return None
    return Fact(value, quote) if value else None


def _text(value: object) -> str:
    return value[:_LONGEST_TEXT].strip() if isinstance(value, str) else ""


#: A quote of only these words shows nothing.
_EMPTY = frozenset(words("i a the it to and you is that of for in on so my me um uh well"))
_DENIALS = frozenset(
    words("not dont cant cannot wont never didnt doesnt wouldnt couldnt shouldnt isnt arent wasnt aint")
)
#: Quotes of these lengths, in words, may differ from what was heard. Shorter and longer ones must be word for
#: word: models do not correct forty words.
_MENDED = range(5, 40)


def borne_out(facts: CallFacts, caller: Sequence[str]) -> dict[str, Fact]:
    """The facts whose quotes are the caller's words.

    `caller` is the caller's turns in order. The words of a quote must stand in their order in one turn, or
    across two successive turns. Since models correct what speech recognition heard, a quote of 5 to 39 words
    needs only four in five of its words, in a stretch of about the same length and with the same denials.
    """
    turns = [words(text) for text in caller]
    stretches = [*turns, *(one + two for one, two in pairwise(turns))]
    different = [*map(list, dict.fromkeys(map(tuple, turns)))]

    def said(quote: list[str]) -> bool:
        if not quote or _EMPTY.issuperset(quote):
            return False
        if any(_stands_in(stretch, quote) for stretch in stretches):
            return True
        # The signs of a script without spaces are too short to be allowed to differ.
        spaced = sum(len(word) > 1 for word in quote) > len(quote) / 2
        return spaced and len(quote) in _MENDED and any(_mended_from(turn, quote) for turn in different)

    return {name: fact for name, fact in facts.items() if said(words(fact.quote))}


def _stands_in(said: list[str], quote: list[str]) -> bool:
    """Whether the quote was said word for word, and not right after a “don't” that it leaves out."""
    for start in range(len(said) - len(quote) + 1):
        if said[start : start + len(quote)] == quote:
            denied = start > 0 and said[start - 1] in _DENIALS
            if not denied or not _DENIALS.isdisjoint(quote):
                return True
    return False


def _mended_from(said: list[str], quote: list[str]) -> bool:
    wanted, length = {*quote}, len(quote)
    if len(wanted & {*said}) < 0.8 * len(wanted):
        return False
    wide = length + length // 4
    for start in range(max(1, len(said) - length + 1)):
        window = said[start : start + wide]
        if len(wanted & {*window}) >= 0.8 * len(wanted):
            same = SequenceMatcher(None, quote, window, autojunk=False).get_matching_blocks()
            around = {*said[max(0, start - 2) : start + wide]}
            as_long = sum(block.size for block in same) >= 0.8 * length
            if as_long and _DENIALS & around == _DENIALS & wanted:
                return True
    return False
