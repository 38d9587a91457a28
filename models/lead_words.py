"""From what was heard on the phone to clauses that can be read: spelling, mis-hearings, names, times.

Speech recognition writes "a pointment for bo tox", people say "I'd", "gonna" and "Mrs Booker", and a
service has five names. All of that is settled here, once, so that the phrases can be plain.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from models.lead_lexicon import (
    ALIASES,
    CONTRACTIONS,
    DROPPED,
    FIXES,
    LONG_NAMES,
    NEGATED_AUXILIARY,
    PEOPLE,
    REAL_WORDS,
    REWRITES,
    TIMES,
)

#: A turn longer than this is no turn of a telephone call; the rest of it is not read.
LONGEST_TURN = 4_000
LONGEST_CLAUSE = 60  # words

_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "–": ",", "—": ","})  # noqa: RUF001
_TITLES = re.compile(r"\b(dr|mr|mrs|ms|prof|st)\.(?=\s)", re.IGNORECASE)
_HALVES_OF_DAY = re.compile(r"\b([ap])\s?\.?\s?m\b\.?(?=\W|$)", re.IGNORECASE)
_CLOCK = re.compile(r"(\d)[.:](\d\d)\b")
_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
_SENTENCE = re.compile(r"[^.?!;\n]+[.?!;\n]*")
_WORD = re.compile(r"[$£€]?\d+|[^\W\d_]+(?:'[^\W\d_]+)?|[,:()-]")
_NAMED = re.compile(
    r"\b(?:[Tt]his is|[Ii]t's|[Ii]t is|[Nn]ame's|[Nn]ame is|[Ii] am|[Ii]'m|[Dd]octor"
    r"|[Mm]iss|[Nn]urse|[Cc]alled)"
    r"\s+((?:[A-Z][a-z]+\b[ '-]?){1,3})"
)
_STREET = re.compile(r"\b[A-Z][a-z]+ (?:Road|Street|Avenue|Lane|Close|Drive|Way|Court|Park)\b")
_AFTER_TITLE = re.compile(
    r"\b(mr|mrs|ms|dr) (?!and |or |i |is |has |said |about |can |could |would |will |to "
    r"|for |at |in |on |told )(\w+) "
)
_AFTER_NAME_IS = re.compile(
    r"\bname is ((?:(?!and |i |we |from |the |calling |but |for |please |NAME )\w+ ){1,2})"
)
_NO_NAME = frozenset(
    {
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
        "I",
        "The",
        "A",
        "An",
        "Not",
        "In",
        "On",
    }
)
_SPLIT = re.compile(
    r" (?:,|:|-|\(|\)) | (?=(?:but|although|though|however|because|unless|except|whereas|otherwise) )"
    r"| (?=(?:and|so|then|or) (?:i|we|he|she|it|they|you|KIN|can|could|do|is|are|get|book"
    r"|put|have|want|would|will|that"
    r"|there|see|take|start|no|not|what|when|how|let|yes|my|said|maybe|then|if|now|pay"
    r"|need|grab|bring|come|go|who) )"
    # "if you have something on Friday I will take it": the second half is no condition.
    r"|(?<=\w)(?<! not)(?<! never)(?<! do)(?<! please) (?=(?:i will|i would|can you|could "
    r"you|can i|could i|let us|book me|put me) )"
)
_NEGATORS = frozenset(
    {"not", "never", "no", "nobody", "nothing", "without", "neither", "nor", "hardly", "none"}
)


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of one speaker, cleaned; `quote` is the sentence as it was transcribed."""

    text: str
    question: bool
    services: tuple[str, ...]
    quote: str
    #: Counts the sentences of a turn.
    sentence: int


@dataclass(frozen=True, slots=True)
class Services:
    """The names that a service goes by, and one expression that finds any of them."""

    names: Mapping[str, str]
    regex: re.Pattern[str]
    first_words: frozenset[str]

    def name(self, said: str) -> str:
        """The service that is meant by what the expression found, which may be a plural."""
        return self.names.get(said) or self.names[said.removesuffix("s")]


@lru_cache(maxsize=256)
def services_of(pairs: tuple[tuple[str, str], ...]) -> Services:
    """`pairs` are (what is said, which service that is); both are cleaned here."""
    names = {spelled(said).strip(): service for said, service in pairs}
    names.pop("", None)
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    body = "|".join(re.escape(name) for name in longest_first) or r"(?!)"
    first = {word for name in names for word in (name.split()[0], name.split()[0] + "s")}
    return Services(names, re.compile(rf"(?<= )(?:{body})s?(?= )"), frozenset(first))


def clauses(text: str, services: Services) -> list[Clause]:
    """The clauses of a turn, in order."""
    cleaned = _TITLES.sub(r"\1", unicodedata.normalize("NFKC", text[:LONGEST_TURN]).translate(_QUOTES))
    cleaned = _HYPHEN.sub(" ", _CLOCK.sub(r"\1 \2", _HALVES_OF_DAY.sub(r" \1m ", cleaned)))
    found: list[Clause] = []
    for number, match in enumerate(_SENTENCE.finditer(cleaned)):
        raw = match[0].strip()
        found += _clauses_of_sentence(raw, number, services)
    return found


def _clauses_of_sentence(raw: str, number: int, services: Services) -> list[Clause]:
    said: list[str] = []

    def found(match: re.Match[str]) -> str:
        said.append(services.name(match[0]))
        return f"SVC_{len(said) - 1}"

    text = spelled(_STREET.sub("NAME", _NAMED.sub(_hide_name, raw)))
    text = _AFTER_TITLE.sub("NAME ", _AFTER_NAME_IS.sub("name is NAME ", text)).replace("doctor NAME", "NAME")
    if not services.first_words.isdisjoint(text.split()):
        text = services.regex.sub(found, f" {text}")
    text = PEOPLE.apply(TIMES.apply(text.lstrip()))
    result = []
    for part in _SPLIT.split(text):
        words = [word for word in part.split() if word not in DROPPED][:LONGEST_CLAUSE]
        if not words and "please" in part:  # "Please." is yes
            words = ["yes"]
        if words:
            numbers = [int(word[4:]) for word in words if word.startswith("SVC_")]
            clean = " ".join("SVC" if word.startswith("SVC_") else word for word in words) + " "
            result.append(
                Clause(clean, _is_question(raw), tuple(said[each] for each in numbers), raw, number)
            )
    return result


#: "You'd better put me down for that, hadn't you?" asks for no answer.
_TAG = re.compile(r", ?\w+n't (?:i|you|we|it|he|she|they) ?\?$", re.IGNORECASE)


def _is_question(sentence: str) -> bool:
    return sentence.endswith("?") and not _TAG.search(sentence)


def spelled(text: str) -> str:
    """Lower case, whole words, mis-hearings and misspellings repaired, one space after each word."""
    words: list[str] = []
    for token in _WORD.findall(_HYPHEN.sub(" ", text)):
        if token == "NAME":  # noqa: S105 (a placeholder)
            words.append(token)
            continue
        word = _unaccented(token)
        words += CONTRACTIONS.get(word) or _uncontracted(word)
    joined = " ".join(_joined(words)) + " "
    joined = ALIASES.apply(joined)
    joined = " ".join(_corrected(word) for word in joined.split()) + " "
    joined = REWRITES.apply(joined)
    return NEGATED_AUXILIARY.sub(r"\1 \2", joined) if " not " in joined else joined


def negations(text: str) -> int:
    """How many words of a text negate."""
    return sum(word in _NEGATORS for word in text.split())


def _hide_name(match: re.Match[str]) -> str:
    """A name after "this is" or "doctor" is no word; a weekday, or a service, is."""
    first = match[1].split()[0]
    if first in _NO_NAME or first.lower() in FIXES:
        return match[0]
    return match[0][: match.start(1) - match.start(0)] + "NAME "


def _unaccented(token: str) -> str:
    low = token.lower()
    if low.isascii():
        return low
    return "".join(each for each in unicodedata.normalize("NFKD", low) if not unicodedata.combining(each))


@lru_cache(maxsize=16_384)
def _uncontracted(word: str) -> tuple[str, ...]:
    if "'" not in word:
        return (word,)
    stem, _, tail = word.rpartition("'")
    if word.endswith("n't"):
        return (word[:-3], "not")
    added = {"m": "am", "re": "are", "ve": "have", "ll": "will", "d": "would"}.get(tail)
    return (stem, added) if added else (stem or tail,)


def _joined(words: list[str]) -> list[str]:
    """Words that were heard as two: "bo tox", "a pointment"."""
    result: list[str] = []
    at = 0
    while at < len(words):
        if at + 1 < len(words) and (whole := _as_one(words[at], words[at + 1])):
            result.append(whole)
            at += 2
        else:
            result.append(words[at])
            at += 1
    return result


@lru_cache(maxsize=32_768)
def _as_one(first: str, second: str) -> str | None:
    if (first in REAL_WORDS and second in REAL_WORDS) or len(first) + len(second) > 16:
        return None
    if second in FIXES or (first in FIXES and second in REAL_WORDS):
        return None
    whole = first + second
    if whole in FIXES:
        return whole
    return _nearest(whole, 1) if len(whole) >= 7 and second not in REAL_WORDS else None


@lru_cache(maxsize=32_768)
def _corrected(word: str) -> str:
    if len(word) < 5 or len(word) > 16 or word in FIXES or word in REAL_WORDS:
        return word
    return _nearest(word, 1) or (_nearest(word, 2) if len(word) >= 8 else None) or word


_FIXES_BY_LETTER = {
    letter: tuple(sorted(each for each in FIXES if each[0] == letter and len(each) >= 5))
    for letter in sorted({each[0] for each in FIXES})
}


def _nearest(word: str, furthest: int) -> str | None:
    """The word of ours that this was meant to be, if exactly so few letters are wrong."""
    best: tuple[int, str] | None = None
    letters = set(word)
    for target in _FIXES_BY_LETTER.get(word[0], ()):
        if abs(len(target) - len(word)) > furthest or len(letters ^ set(target)) > 2 * furthest:
            continue
        if furthest > 1 and target not in LONG_NAMES:
            continue
        distance = _distance(word, target)
        # One wrong letter in five is another word more often than a mistake.
        if (
            distance <= furthest
            and (len(target) >= 7 or distance == 1)
            and (best is None or distance < best[0])
        ):
            best = (distance, target)
    return best[1] if best else None


def _distance(one: str, other: str) -> int:
    """Letters inserted, left out, replaced or swapped with their neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
