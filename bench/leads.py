"""`python -m bench leads`: how well scoring tells hot calls from warm and cold ones, on unseen calls.

Three writers, w1 to w3, who did not know the code, wrote and labelled the calls of held_out.jsonl; a language
model that saw a transcript and models/calls/facts.SCHEMA filled in the facts. Nothing is learnt from these
calls. The calls of w3 were meant to be difficult.
models/leads/classifier.py has learnt from the calls of learnt.jsonl, so their figures flatter it.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.calls.facts import parse_facts
from models.leads.scoring import ROLES, Band, Evidence, Turn, score

FOLDER = Path(__file__).parent / "leads"
BANDS = tuple(Band)
#: The turns of a ten-minute call.
ORDINARY_CALL = 150


@dataclass(frozen=True, slots=True)
class Case:
    """One call with the band that it should have."""

    id: str
    label: Band
    call_back: bool | None
    whole: Evidence

    @property
    def words(self) -> Evidence:
        """The words of the call, without facts and rows."""
        return Evidence(self.whole.turns, duration=self.whole.duration)

    @property
    def rows(self) -> Evidence:
        """The words of the call and our own rows, without facts."""
        return replace(self.whole, facts=None)


@dataclass(frozen=True, slots=True)
class Result:
    """How often a call of each band got each band."""

    counts: Counter[tuple[Band, Band]]

    @property
    def precision(self) -> float:
        """The share of hot calls among the calls that were scored hot."""
        return _share(self.counts[Band.HOT, Band.HOT], sum(self.counts[label, Band.HOT] for label in BANDS))

    @property
    def recall(self) -> float:
        """The share of the hot calls that were scored hot."""
        return _share(self.counts[Band.HOT, Band.HOT], sum(self.counts[Band.HOT, given] for given in BANDS))

    @property
    def right(self) -> float:
        """The share of calls that got their own band."""
        return _share(sum(self.counts[band, band] for band in BANDS), sum(self.counts.values()))


def read(name: str) -> list[Case]:
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    return [_case(json.loads(line)) for line in lines]


def _case(row: dict[str, Any]) -> Case:
    evidence = Evidence(
        tuple(Turn(ROLES[each["role"]], each["message"]) for each in row["messages"]),
        duration=row.get("duration_seconds"),
        booked=row.get("booked", False),
        facts=parse_facts(row.get("facts")),
    )
    return Case(row["id"], Band(row["label"]), row.get("call_back"), evidence)


def judge(evidence: Iterator[tuple[Band, Evidence]]) -> Result:
    return Result(Counter((label, score(each).band) for label, each in evidence))


def ways(cases: Sequence[Case]) -> dict[str, Result]:
    """The results by the words alone, with our rows, and with the facts."""
    found = {
        "words alone": judge((case.label, case.words) for case in cases),
        "words and rows": judge((case.label, case.rows) for case in cases),
    }
    if any(case.whole.facts is not None for case in cases):
        found["facts and rows"] = judge((case.label, case.whole) for case in cases)
    return found


def report() -> str:
    """All figures, as text."""
    parts = [f"{'':12}{'':16}{'calls':>6}{'hot':>5}   {'precision':>9} {'recall':>7} {'right band':>11}"]
    matrices = []
    held_out = read("held_out")
    writers = sorted({case.id.partition("-")[0] for case in held_out})
    of_each = {name: [case for case in held_out if case.id.startswith(f"{name}-")] for name in writers}
    for name, cases in {"held_out": held_out, **of_each, "learnt": read("learnt")}.items():
        hot = sum(case.label is Band.HOT for case in cases)
        for way, result in ways(cases).items():
            parts.append(
                f"{name:12}{way:16}{len(cases):>6}{hot:>5}"
                f"   {result.precision:>9.2f} {result.recall:>7.2f} {result.right:>11.2f}"
            )
            if name == "held_out":
                matrices.append(f"\n{name}, {way}\n{_matrix(result)}")
    told = [case for case in held_out if case.call_back is not None]
    right = sum(score(case.whole).call_back is case.call_back for case in told)
    parts.append(f"\nwhether to ring back, with facts and rows: right for {right} of {len(told)}")
    speed = milliseconds_a_call()
    return "\n".join([*parts, *matrices, f"\n{ORDINARY_CALL} turns: {speed:.1f} ms of one core, the median"])


def milliseconds_a_call() -> float:
    """The time to score a ten-minute call by its words, without the first one, which reads the weights."""
    turns = [turn for case in read("learnt") for turn in case.whole.turns]
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
