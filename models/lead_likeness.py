"""How much a call is like the calls that were hot: what no phrase says, learnt from labelled transcripts.

The weights in lead_likeness.tsv are made by `python -m bench learn` (bench/learn.py) from bench/leads/, and
by nothing else: tenths of the log odds of "hot", and of "warm or hot", one line a feature.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import fsum, sqrt
from pathlib import Path

from models.lead_lexicon import SERVICES
from models.lead_reading import Spoken, shortened
from models.lead_words import Clause

WEIGHTS = Path(__file__).with_suffix(".tsv")

#: The feature that every call has.
BIAS = "BIAS"

#: How much a word's place in the call counts beside the word itself.
_PLACE = 0.5
_LONGEST_ANSWER = 10  # words
_QUESTION = 12  # its last words


#: Words that goodbyes are made of, as lead_words leaves them.
_GOODBYE = frozenset(
    """
    NAME TIME TODAY a absolute afternoon again all alright am and any appreciate appreciated as be
    been being bless brilliant bye care cheerio cheers christmas covered cracking darling day dear
    done else enjoy evening ever everything fab fine for glad god good goodbye great happy has have
    help helpful holiday holidays hun i is it just kind later lot love lovely luck madam mate me merry
    million more morning much nice night no nope not nothing now of ok okay one other out patience
    patient perfect pet pleasure question questions ra really rest right safe same see set sir so soon
    sorted speak star super ta take talk tata thank thanks that the then think this to today tomorrow
    tonight too total very week weekend well will with wonderful would year yes you your
    """.split()  # noqa: SIM905 (a text is read more easily)
)


@dataclass(frozen=True, slots=True)
class Likeness:
    """Log odds: above 0 it is more like such calls than like the others."""

    hot: float
    warm: float
    #: How much of the call was in those that were learnt from, 0 to 1: of another language, nothing.
    known: float
    #: The sentences that speak most for hot, and most against it.
    pro: str
    contra: str


def likeness(spoken: Sequence[Spoken]) -> Likeness:
    """Compare a call, in which the caller said something, with those that were learnt from."""
    known, found = weights(), features(spoken)
    hot, warm = (
        fsum(value * known[name][side] for name, value in found.items() if name in known) for side in (0, 1)
    )
    by_quote: dict[str, float] = defaultdict(float)
    for quote, names in _quoted(_to_the_point(spoken)):
        by_quote[quote] += fsum(
            found[name] * known[name][0] for name in dict.fromkeys(names) if name in known
        )
    ranked = sorted(by_quote, key=by_quote.__getitem__)
    share = fsum(value * value for name, value in found.items() if name in known and name != BIAS)
    return Likeness(hot, warm, share, shortened(ranked[-1]), shortened(ranked[0]))


def features(spoken: Sequence[Spoken]) -> dict[str, float]:
    """What a call is compared by: one, two and three words in a row, where in the call they stand, and what a
    short answer answers. Of length 1 however long the call was, but for BIAS.
    """
    found: dict[str, float] = {}
    spoken = _to_the_point(spoken)
    for number, turn in enumerate(spoken):
        place = "last" if number == len(spoken) - 1 else "first" if number == 0 else "later"
        for clause in turn.said:
            words = _words(clause)
            found |= dict.fromkeys(_runs(words, 3), 1.0)
            found |= {f"{place}: {run}": _PLACE for run in _runs(words, 2)}
        found |= dict.fromkeys(_answers(turn), 1.0)
    length = sqrt(fsum(value * value for value in found.values())) or 1.0
    return {name: value / length for name, value in found.items()} | {BIAS: 1.0}


def _to_the_point(spoken: Sequence[Spoken]) -> list[Spoken]:
    """Without the goodbye, which tells nothing: of calls that were written down, some stop before it.

    What answers a question is none, and of a call that is nothing else the first turn is kept.
    """
    left = list(spoken)
    while left:
        last = left[-1]
        said = list(last.said)
        while said and _GOODBYE.issuperset(said[-1].text.split()):
            said.pop()
        if said or last.question or len(left) == 1:
            left[-1] = Spoken(said or last.said[:1], last.question)
            break
        left.pop()
    return left


def _quoted(spoken: Sequence[Spoken]) -> Iterator[tuple[str, Iterator[str]]]:
    """Each sentence with the features that are in it alone."""
    for turn in spoken:
        for clause in turn.said:
            yield clause.quote, _runs(_words(clause), 3)


def _words(clause: Clause) -> list[str]:
    """Its words between marks of its ends, with the worth of a service in place of its name."""
    services = iter(clause.services)
    words = [_worth(next(services, "")) if word == "SVC" else word for word in clause.text.split()]
    return ["^", *words, *("?" if clause.question else ""), "$"]


def _worth(service: str) -> str:
    return f"SVC_{SERVICES[service][0]}" if service in SERVICES else "SVC"


def _runs(words: Sequence[str], longest: int) -> Iterator[str]:
    for length in range(1, longest + 1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])


def _answers(turn: Spoken) -> Iterator[str]:
    words = [word for clause in turn.said for word in clause.text.split()]
    if len(words) <= _LONGEST_ANSWER:
        for asked in dict.fromkeys(turn.question.split()[-_QUESTION:]):
            for word in words[:3]:
                yield f"{asked}? {word}"


@cache
def weights() -> Mapping[str, tuple[float, float]]:
    """What each feature adds to the log odds of hot, and of warm or hot."""
    rows = (line.split("\t") for line in WEIGHTS.read_text(encoding="utf-8").splitlines()[1:])
    return {name: (int(hot) / 10, int(warm) / 10) for name, hot, warm in rows}
