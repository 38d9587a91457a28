"""`python -m bench learn`: make the weights of models/lead_likeness.py anew from the labelled transcripts.

Logistic regression by AdaGrad (J. Duchi et al., JMLR 12, 2011): a feature's steps shrink with what it has
been moved already, so that rare words keep their say. Few passes stand in for a penalty on large weights. The
same transcripts give the same weights. The held-out half of transcripts.jsonl and unseen.jsonl are not learnt
from.

Each call is learnt from twice, as it is and with the courtesies of a real one in it (courtesies.jsonl): calls
that are made up stop where the matter is settled, and how a call ends must tell nothing.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp, fsum, sqrt

from bench.leads import FOLDER, Case, sets
from models.lead_likeness import BIAS, WEIGHTS, features
from models.lead_scoring import Band, Speaker, Turn, listen

#: Both chosen by leaving one round out after the other.
PASSES = 6
STEP = 0.5
#: What is in fewer calls than this is chance.
FEWEST = 2
#: Tenths: what weighs less is left out.
LEAST = 6

Call = dict[str, float]
Exchange = tuple[Turn, Turn]
LEARNT = ("tune", "lines, looked at", "fresh, since looked at")


def learn(cases: Sequence[Case]) -> dict[str, tuple[int, int]]:
    """The weights of each feature for hot, and for warm or hot, in tenths."""
    courtesies = _courtesies()
    calls, labels, seen = list[Call](), list[Band](), Counter[str]()
    for number, case in enumerate(cases):
        both = [features(listen(each.words).spoken) for each in (case, _longer(case, number, courtesies))]
        seen.update((both[0] | both[1]).keys())
        calls += both
        labels += [case.label] * 2
    calls = [{name: value for name, value in call.items() if seen[name] >= FEWEST} for call in calls]
    hot = _separate(calls, [label is Band.HOT for label in labels])
    warm = _separate(calls, [label is not Band.COLD for label in labels])
    weights = {name: (round(10 * hot[name]), round(10 * warm[name])) for name in sorted(seen) if name in hot}
    return {name: pair for name, pair in weights.items() if max(map(abs, pair)) >= LEAST or name == BIAS}


def _courtesies() -> dict[str, list[Exchange]]:
    """What stands in calls of every kind: openings, pauses, details that are asked for, and goodbyes."""
    found = defaultdict[str, list[Exchange]](list)
    for line in (FOLDER / "courtesies.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        found[row["kind"]].append((Turn(Speaker.AGENT, row["agent"]), Turn(Speaker.CALLER, row["caller"])))
    return found


def _longer(case: Case, number: int, courtesies: Mapping[str, Sequence[Exchange]]) -> Case:
    """The same call with one of each kind in its place; which, the call's number decides."""
    opening, pause, detail, goodbye = (
        courtesies[kind][number * step % len(courtesies[kind])]
        for kind, step in (("opening", 1), ("pause", 3), ("detail", 7), ("goodbye", 5))
    )
    turns = case.whole.turns
    callers = [place for place, turn in enumerate(turns, 1) if turn.speaker is Speaker.CALLER]
    middle = callers[len(callers) // 2] if callers else 0
    longer = (*opening, *turns[:middle], *pause, *turns[middle:], *detail, *goodbye)
    return replace(case, whole=replace(case.whole, turns=longer))


def _separate(calls: Sequence[Call], wanted: Sequence[bool]) -> Call:
    weights = dict.fromkeys((name for call in calls for name in call), 0.0)
    moved = dict.fromkeys(weights, 1e-8)
    order = list(range(len(calls)))
    shuffle = random.Random(1).shuffle  # noqa: S311 (no secret)
    for _ in range(PASSES):
        shuffle(order)
        for number in order:
            call = calls[number]
            margin = fsum(weights[name] * value for name, value in call.items())
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
