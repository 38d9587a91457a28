"""Measures rates in several rounds, and prints their ratios with the spread in a table."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence


@dataclasses.dataclass
class Series:
    """A series of measurements, one per round."""

    name: str
    measure: Callable[[], float]  # per second
    rates: list[float] = dataclasses.field(default_factory=list)


def alternate(series: Sequence[Series], rounds: int) -> None:
    """Measure all in turn, in reverse order every second round, so that drift affects all alike."""
    for number in range(rounds):
        for each in series if number % 2 == 0 else reversed(series):
            each.rates.append(each.measure())


def table(series: Sequence[Series], floors: Sequence[Series]) -> str:
    """One line for each series: its median rate, and least, median and largest ratio to each floor."""
    width = max(len(each.name) for each in series)
    head = f"{'':{width}}  {'a second':>8}" + "".join(f"   {'÷ ' + floor.name:<24}" for floor in floors)
    lines = [head.rstrip(), f"{'':{width}}  {'median':>8}" + "   min  median  max        " * len(floors)]
    for each in series:
        cells = "".join(f"   {_ratio(each, floor):<24}" for floor in floors)
        lines.append(f"{each.name:{width}}  {statistics.median(each.rates):>8,.0f}{cells}".rstrip())
    return "\n".join(line.rstrip() for line in lines)


def _ratio(each: Series, floor: Series) -> str:
    if each is floor:
        return "1    the floor"
    ratios = [rate / of for rate, of in zip(each.rates, floor.rates, strict=True)]
    return f"{min(ratios):.2f}  {statistics.median(ratios):.2f}   {max(ratios):.2f}"
