"""A small language for what people say, so that a clinic's vocabulary is data and no program.

A phrase is words in order. `(a|b c)` is one of several, `[a]` may be missing, `...` is up to four words
of which none changes the subject, `<time>` stands for one of the lists in MACROS, `^` and `$` are the
beginning and the end of a clause. It is matched against a clause that models/lead_words.py has cleaned:
lower case, no contractions, one space, and SVC, TODAY, SOON, TIME, KIN, FRIEND, NAME in place of the
services, times and people that were named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

#: Lists that many phrases share.
MACROS: dict[str, str] = {
    "time": "(TODAY|SOON|TIME|MONTH)",
    "svc": "SVC",
    "i": "(i|we|KIN|he|she)",
    "me": "(me|us|her|him|them|KIN|FRIEND|NAME|both)",
    "one": "(you|someone|somebody|anyone|anybody|they|NAME|the dentist|the doctor|the vet)",
    "book": "(book|schedule|reserve|arrange|make|set up|organise|organize|sort out|fix up|get on)",
    "booking": "(booking|scheduling|arranging|making|setting up|getting)",
    "appt": (
        "(appointment|appointments|slot|consultation|consult|assessment|evaluation|spot|session|scan"
        "|opening|visit)"
    ),
    "am": "(am|are|is|was|were|have been|has been)",
    "want": (
        "(want|wants|wanted|need|needs|needed|would like|would love|would quite like|like|wish|wishes"
        "|<am> (hoping|looking|trying|calling|ringing|phoning|wanting|ready|keen|here"
        "|desperate|dying|after|wondering)"
        "|looking|calling|ringing|phoning|called|rang|hoping|trying|have to|has to|got to|ready|decided)"
    ),
    "wants": (
        "(want|wants|wanted|need|needs|needed|would like|would love|would quite like|require"
        "|requires|wish for|have to have)"
    ),
    "good": (
        "(good|great|fine|perfect|ideal|lovely|brilliant|okay|wonderful|fab|fabulous|super|excellent|best"
        "|spot on|amazing|awesome|better|alright|all right|grand|doable|fantastic|sorted)"
    ),
    "done": (
        "(done|sorted|fixed|booked|started|treated|looked at|checked|seen|removed|out|gone|over with|going"
        "|straightened|replaced|repaired|taken out|moving|seen to|cut out|whitened|restored|rolling)"
    ),
    "treat": (
        "(dentist|doctor|vet|gp|physio|specialist|surgeon|optician|hygienist|nurse|orthodontist"
        "|dermatologist|practitioner|therapist|injector)"
    ),
    "work": "(works|work|suits|suit|does it|fits|will work|will do|would work|would suit|would do)",
    "call": "(call|ring|phone|contact|buzz|get back to|reach)",
    "money": "(deposit|fee|card|card details|card number|payment|money|price|cost|balance)",
}

#: Words that `...` does not step over: they turn "I want ... an appointment" into something else.
_TURNS = (
    "know|knows|ask|asking|about|cancel|cancelling|change|move|reschedule|rearrange"
    "|confirm|find|information|info"
    "|copy|copies|record|records|invoice|receipt|result|results|refund|letter|complain|complaint|tell|price"
    "|prices|question|not|never|no|without|but|if|because|stop|email|leaflet|brochure"
    "|remove|delete|understand"
    "|said|says|told|think|hear|heard|talk|website|aftercare|report|proof|statement|cancelled|moved|changed"
)
_GAP = rf"(?:(?!(?:{_TURNS}) )\S+ ){{0,4}}?"
_TOKEN = re.compile(r"\s*(\.\.\.|[()\[\]|^$]|[\w']+)")
_MACRO = re.compile(r"<(\w+)>")
#: Longer than any phrase needs to be, and short enough that matching stays quick.
LONGEST = 600
DEEPEST = 8
#: Words that are in nearly every clause make poor keys to find a phrase by.
_COMMON = frozenset(
    {
        "a",
        "an",
        "the",
        "i",
        "we",
        "he",
        "she",
        "it",
        "you",
        "they",
        "to",
        "of",
        "in",
        "on",
        "at",
        "is",
        "are",
        "am",
        "was",
        "be",
        "do",
        "does",
        "have",
        "has",
        "for",
        "and",
        "or",
        "my",
        "me",
        "us",
        "that",
        "this",
        "can",
        "could",
        "would",
        "will",
        "not",
        "with",
        "your",
        "what",
        "no",
        "so",
        "if",
        "get",
        "got",
        "go",
        "out",
        "up",
        "KIN",
        "NAME",
        "TIME",
        "SVC",
    }
)


class BadPhraseError(ValueError):
    """A phrase that cannot be read; the text says where."""


class _Part(NamedTuple):
    regex: str
    #: At least one of these words is in every text that matches; None if nothing must be.
    keys: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Phrase:
    """One phrase, ready to be looked for."""

    code: str
    regex: re.Pattern[str]
    keys: frozenset[str]
    #: How many of its own words negate, which is part of its meaning: "not interested".
    negations: int


class Found(NamedTuple):
    phrase: Phrase
    start: int
    end: int


class PhraseBook:
    """All phrases, found by a word that they must contain, so that a clause is tried against few."""

    def __init__(self, phrases: Mapping[str, Iterable[str]]) -> None:
        self._by_word: dict[str, list[Phrase]] = {}
        for code, texts in phrases.items():
            for text in texts:
                phrase = read_phrase(code, text)
                for key in phrase.keys:
                    self._by_word.setdefault(key, []).append(phrase)

    def search(self, text: str) -> list[Found]:
        """What is said in a clause, in the order in which it begins. `text` ends with a space."""
        tried: set[int] = set()
        found: list[Found] = []
        for word in dict.fromkeys(text.split()):
            for phrase in self._by_word.get(word, ()):
                if id(phrase) not in tried:
                    tried.add(id(phrase))
                    if match := phrase.regex.search(text):
                        found.append(Found(phrase, match.start(), match.end()))
        return sorted(found, key=lambda each: (each.start, each.end, each.phrase.code))


def read_phrase(code: str, text: str) -> Phrase:
    """Raises BadPhraseError with the phrase in it."""
    if not text.strip() or len(text) > LONGEST:
        raise BadPhraseError(f"a phrase has 1 to {LONGEST} characters: {text[:60]!r}")
    expanded = text
    for _ in range(3):  # macros name macros, at most so deep
        expanded = _MACRO.sub(_expand, expanded)
    tokens = _tokens(expanded, text)
    part, rest = _sequence(tokens, 0, text)
    if rest != len(tokens):
        raise BadPhraseError(f"a bracket or bar too many in {text!r}")
    if not part.keys:
        raise BadPhraseError(f"a phrase needs a word that is always in it: {text!r}")
    if expanded.count("...") > 4:
        raise BadPhraseError(f"too many gaps in {text!r}")
    return Phrase(
        code,
        re.compile(r"(?:^|(?<= ))" + part.regex),
        part.keys,
        len(re.findall(r"\bnot\b|\bno\b|\bnever\b", text)),
    )


def _expand(match: re.Match[str]) -> str:
    try:
        return MACROS[match[1]]
    except KeyError:
        raise BadPhraseError(f"there is no list <{match[1]}>") from None


def _tokens(expanded: str, text: str) -> list[str]:
    tokens, at = [], 0
    expanded = expanded.rstrip()
    while at < len(expanded):
        match = _TOKEN.match(expanded, at)
        if match is None:
            raise BadPhraseError(f"{expanded[at]!r} means nothing in {text!r}")
        tokens.append(match[1])
        at = match.end()
    return tokens


def _sequence(tokens: list[str], at: int, text: str, depth: int = 0) -> tuple[_Part, int]:
    regex, best = "", None
    if depth > DEEPEST:
        raise BadPhraseError(f"too many brackets in {text!r}")
    while at < len(tokens) and tokens[at] not in {")", "]", "|"}:
        part, at = _element(tokens, at, text, depth)
        regex += part.regex
        if part.keys and (best is None or _cost(part.keys) < _cost(best)):
            best = part.keys
    return _Part(regex, best), at


def _element(tokens: list[str], at: int, text: str, depth: int) -> tuple[_Part, int]:
    token = tokens[at]
    if token in {"(", "["}:
        return _group(tokens, at, text, depth)
    plain = {"...": _GAP, "^": "^", "$": "$"}.get(token)
    if plain is not None:
        return _Part(plain, None), at + 1
    return _Part(re.escape(token) + " ", frozenset({token})), at + 1


def _group(tokens: list[str], at: int, text: str, depth: int) -> tuple[_Part, int]:
    closing = ")" if tokens[at] == "(" else "]"
    options: list[_Part] = []
    while True:
        option, at = _sequence(tokens, at + 1, text, depth + 1)
        options.append(option)
        if at >= len(tokens) or tokens[at] != "|":
            break
    if at >= len(tokens) or tokens[at] != closing:
        raise BadPhraseError(f"a bracket is not closed in {text!r}")
    regex = "(?:" + "|".join(option.regex for option in options) + ")"
    if closing == "]":
        return _Part(regex + "?", None), at + 1
    keys: set[str] = set()
    for option in options:
        if not option.keys:
            return _Part(regex, None), at + 1
        keys |= option.keys
    return _Part(regex, frozenset(keys)), at + 1


def _cost(keys: frozenset[str]) -> int:
    return sum(20 if key in _COMMON else 1 for key in keys)
