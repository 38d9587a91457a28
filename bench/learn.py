"""`python -m bench learn`: make the weights of models/lead_likeness.py anew from the labelled transcripts.

Logistic regression by AdaGrad (J. Duchi et al., JMLR 12, 2011): a feature's steps shrink with what it has
been moved already, so that rare words keep their say. Few passes stand in for a penalty on large weights. The
same transcripts give the same weights. The held-out half of transcripts.jsonl and unseen.jsonl are not learnt
from.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from math import exp, sqrt

from bench.leads import Case, sets
from models.lead_likeness import BIAS, WEIGHTS, features
from models.lead_scoring import Band, listen

#: Both chosen by leaving one round out after the other.
PASSES = 10
STEP = 0.5
#: What is in fewer calls than this is chance.
FEWEST = 2
#: Tenths: what weighs less is left out.
LEAST = 6

Call = dict[str, float]
LEARNT = ("tune", "lines, looked at", "fresh, since looked at")


def learn(cases: Sequence[Case]) -> dict[str, tuple[int, int]]:
    """The weights of each feature for hot, and for warm or hot, in tenths."""
    calls = [features(listen(case.words).spoken) for case in cases]
    seen = Counter(name for call in calls for name in call)
    calls = [{name: value for name, value in call.items() if seen[name] >= FEWEST} for call in calls]
    hot = _separate(calls, [case.label is Band.HOT for case in cases])
    warm = _separate(calls, [case.label is not Band.COLD for case in cases])
    weights = {name: (round(10 * hot[name]), round(10 * warm[name])) for name in sorted(seen) if name in hot}
    return {name: pair for name, pair in weights.items() if max(map(abs, pair)) >= LEAST or name == BIAS}


def _separate(calls: Sequence[Call], wanted: Sequence[bool]) -> Call:
    weights = dict.fromkeys((name for call in calls for name in call), 0.0)
    moved = dict.fromkeys(weights, 1e-8)
    order = list(range(len(calls)))
    shuffle = random.Random(1).shuffle  # noqa: S311 (no secret)
    for _ in range(PASSES):
        shuffle(order)
        for number in order:
            call = calls[number]
            margin = sum(weights[name] * value for name, value in call.items())
            error = 1 / (1 + exp(-margin)) - wanted[number]
            for name, value in call.items():
                slope = error * value
                moved[name] += slope * slope
                weights[name] -= STEP * slope / sqrt(moved[name])
    return weights


def main() -> None:
    known = sets()
    weights = learn([case for name in LEARNT for case in known[name]])
    lines = [f"{name}\t{hot}\t{warm}" for name, (hot, warm) in weights.items()]
    WEIGHTS.write_text("\n".join(["feature\thot\twarm", *lines]) + "\n", encoding="utf-8")
    print(f"{len(lines)} features in {WEIGHTS}")
