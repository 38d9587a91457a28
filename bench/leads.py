"""`python -m bench leads`: how well hot leads are told from the rest, on labelled transcripts.

All of them are invented. `transcripts.jsonl` is split by a hash of its ids: the half `tune` was looked at
while the phrases were written, of the other only the figures. `lines.jsonl` was written and looked at while
tuning. `fresh.jsonl` came in rounds, each written before it was run, mended after and learnt from since. From
`unseen.jsonl` nothing is learnt, and nobody mends after it: its figures are the ones to believe.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.lead_facts import parse_facts
from models.lead_scoring import Band, Evidence, Score, Speaker, Turn, score

FOLDER = Path(__file__).parent / "leads"
BANDS = tuple(Band)
#: Turns of a call of ten minutes.
ORDINARY_CALL = 150


@dataclass(frozen=True, slots=True)
class Case:
    """One transcript with the band that it should have."""

    id: str
    label: Band
    kind: str
    #: As our rows, the report's analysis and its structured data would have it.
    whole: Evidence

    @property
    def words(self) -> Evidence:
        """What was said, and the agent's own verdict, which may mislead; no rows and no facts."""
        return Evidence(
            self.whole.turns,
            duration=self.whole.duration,
            ended_reason=self.whole.ended_reason,
            evaluation=self.whole.evaluation,
        )

    @property
    def held_out(self) -> bool:
        return hashlib.sha256(self.id.encode()).digest()[0] % 2 == 0


@dataclass(frozen=True, slots=True)
class Result:
    """How often which band was given to which."""

    counts: Counter[tuple[Band, Band]]

    @property
    def precision(self) -> float:
        """How many of those that were called hot are."""
        return _share(self.counts[Band.HOT, Band.HOT], sum(self.counts[label, Band.HOT] for label in BANDS))

    @property
    def recall(self) -> float:
        """How many of the hot were called so."""
        return _share(self.counts[Band.HOT, Band.HOT], sum(self.counts[Band.HOT, given] for given in BANDS))

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def read(name: str) -> list[Case]:
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [_case(json.loads(line)) for line in lines]


def _case(row: dict[str, Any]) -> Case:
    evidence = Evidence(
        tuple(Turn(Speaker(who), text) for who, text in row["turns"]),
        duration=row.get("duration"),
        booked=row.get("booked", False),
        service=row.get("service"),
        returning=row.get("returning"),
        ended_reason=row.get("ended"),
        evaluation=row.get("evaluation"),
        facts=parse_facts(row.get("facts")),
    )
    return Case(row["id"], Band(row["label"]), row["kind"], evidence)


def judge(cases: Sequence[Case], *, facts: bool) -> Result:
    return Result(Counter((case.label, _score(case, facts=facts).band) for case in cases))


def _score(case: Case, *, facts: bool) -> Score:
    return score(case.whole if facts else case.words)


def sets() -> dict[str, list[Case]]:
    transcripts = read("transcripts")
    return {
        "tune": [case for case in transcripts if not case.held_out],
        "held out": [case for case in transcripts if case.held_out],
        "lines, looked at": read("lines"),
        "fresh, since looked at": read("fresh"),
        "unseen": read("unseen"),
    }


def report() -> str:
    """All figures, as text."""
    parts = ["Hot leads: what was called hot (precision), what was found of the hot (recall)\n"]
    head = f"{'':24}{'':16}{'calls':>6}{'hot':>5}   {'precision':>9} {'recall':>7} {'F1':>6}"
    parts.append(head)
    matrices = []
    for name, cases in sets().items():
        for facts in (False, True):
            if facts and not any(case.whole.facts or case.whole.booked for case in cases):
                continue
            how = "facts and rows" if facts else "words alone"
            result = judge(cases, facts=facts)
            hot = sum(case.label is Band.HOT for case in cases)
            parts.append(
                f"{name:24}{how:16}{len(cases):>6}{hot:>5}"
                f"   {result.precision:>9.3f} {result.recall:>7.3f} {result.f1:>6.3f}"
            )
            matrices.append(f"\n{name}, {how}\n{_matrix(result)}")
    speed = milliseconds_a_call()
    return "\n".join([*parts, *matrices, f"\n{ORDINARY_CALL} turns: {speed:.1f} ms of one core, the median"])


def milliseconds_a_call() -> float:
    """What scoring a call of ten minutes takes, without the first, which reads the phrases."""
    turns = [turn for case in read("transcripts") for turn in case.whole.turns]
    calls = [
        Evidence(tuple(turns[start : start + ORDINARY_CALL]))
        for start in range(0, len(turns) - ORDINARY_CALL, ORDINARY_CALL)
    ]
    for call in calls:
        score(call)
    return statistics.median(_milliseconds(call) for call in calls)


def _milliseconds(call: Evidence) -> float:
    begun = time.process_time()
    score(call)
    return (time.process_time() - begun) * 1000


def _matrix(result: Result) -> str:
    lines = [f"  {'':12}" + "".join(f"{'called ' + given:>13}" for given in BANDS)]
    lines += [
        f"  {'is ' + label:12}" + "".join(f"{result.counts[label, given]:>13}" for given in BANDS)
        for label in BANDS
    ]
    return "\n".join(lines)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


if __name__ == "__main__":
    print(report())
