"""Tells hot, warm and cold calls apart by the caller's words, for calls without facts.

Two logistic regressions over the caller's words and pairs of words, learnt from labelled calls by
`python -m bench.learn` with scikit-learn. Their weights are in a text file and are applied here, so that a
worker needs neither the library nor its memory (docs/decisions/0028).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import exp, log, sqrt
from pathlib import Path
from typing import NamedTuple

from models.calls.facts import words

#: One feature a line: the feature, its inverse document frequency, and its weights for "hot" and for "warm or
#: hot", each in hundredths. The two intercepts stand in the first line.
WEIGHTS = Path(__file__).with_suffix(".tsv")

#: A call is not judged if the caller said at most this many words.
FEWEST_WORDS = 10
#: Nor if a smaller share than this of the words is known: another language, or a bad line.
LEAST_KNOWN = 0.45

#: The words of thanks and goodbyes.
_GOODBYE = frozenset(
    words(
        "a afternoon again all alright and anything appreciate appreciated been brilliant bye byebye"
        " care cheers cool day else enjoy evening ever fine for good goodbye goodnight grand great"
        " have help helpful i im it just kind lovely luck maam mate morning much nice night no nope"
        " nothing now of ok okay only perfect pleasure problem really right same see sir so soon super"
        " ta take talk thank thanks that thats the then to too very was weekend well will wonderful"
        " worries you your youve"
    )
)
_SENTENCE = re.compile(r"[^.?!\n]+[.?!]*")


class Weight(NamedTuple):
    idf: float
    hot: float
    warm: float


@dataclass(frozen=True, slots=True)
class Model:
    #: The intercepts, in the place of the weights.
    bias: Weight
    features: dict[str, Weight]


class Sentence(NamedTuple):
    text: str
    #: The sentence's part of the margin for "hot", and for "warm or hot".
    hot: float
    warm: float


@dataclass(frozen=True, slots=True)
class Judgement:
    #: The probability, 0 to 1, that the call is hot, and that it is warm or hot.
    hot: float
    warm: float
    sentences: tuple[Sentence, ...]


def matter(turns: Sequence[str]) -> list[str]:
    """The turns without the last ones that only thank and say goodbye: how a call ends tells nothing."""
    kept = list(turns)
    while kept and _GOODBYE.issuperset(words(kept[-1])):
        kept.pop()
    return kept


def ngrams(turns: Sequence[str]) -> Iterator[str]:
    """The words of each turn, and its pairs of words, without numbers."""
    for turn in matter(turns):
        found = [word for word in words(turn) if word.isalpha()]
        yield from found
        yield from map(" ".join, pairwise(found))


@lru_cache(maxsize=1)
def model() -> Model:
    rows = (line.split("\t") for line in WEIGHTS.read_text(encoding="utf-8").splitlines())
    found = {name: Weight(*(int(each) / 100 for each in numbers)) for name, *numbers in rows}
    return Model(found.pop(""), found)


def judge(caller: Sequence[str]) -> Judgement | None:
    """What the caller's turns say about the call; None if the words are too few, or too few of them known."""
    known = model().features
    features = list(ngrams(caller))
    said = [each for each in features if " " not in each and len(each) > 1]
    if len(said) <= FEWEST_WORDS or sum(word in known for word in said) < LEAST_KNOWN * len(said):
        return None
    counts = Counter(each for each in features if each in known)
    values = {name: (1 + log(count)) * known[name].idf for name, count in counts.items()}
    length = sqrt(sum(value * value for value in values.values()))
    #: The value that one occurrence of a feature adds.
    shares = {name: value / length / counts[name] for name, value in values.items()}

    def margins(of: Iterable[str]) -> tuple[float, float]:
        found = [name for name in of if name in shares]
        hot = sum(shares[name] * known[name].hot for name in found)
        return hot, sum(shares[name] * known[name].warm for name in found)

    hot, warm = margins(features)
    bias = model().bias
    sentences = dict.fromkeys(each.strip() for turn in caller for each in _SENTENCE.findall(turn))
    return Judgement(
        _probability(hot + bias.hot),
        _probability(warm + bias.warm),
        tuple(Sentence(each, *margins(ngrams([each]))) for each in sentences if each),
    )


def _probability(margin: float) -> float:
    return 1 / (1 + exp(-margin))
