"""Reads answers of tools as the agent does, and codes in SMS as the patient does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus

from sandbox.steps import must


@dataclass(frozen=True, slots=True)
class Slot:
    """An offered slot: its start in UTC, and the words for it."""

    id: str
    label: str

    def with_its_day(self) -> Slot:
        """The slot with its day in the label, which an answer about one day leaves out."""
        day = date.fromisoformat(self.id[:10])
        return self if "," in self.label else Slot(self.id, f"{day:%A} {day.day} {day:%B}, {self.label}")


@dataclass(frozen=True, slots=True)
class Answer:
    """The agent's line of text, with the facts in brackets at its end."""

    text: str
    status: int = HTTPStatus.OK
    ms: float = 0.0

    @property
    def facts(self) -> dict[str, str]:
        """The `name=value` pairs, without the list of times."""
        return dict(_FACT.findall(self._bracket()[0]))

    @property
    def slots(self) -> list[Slot]:
        """The offered slots, in order."""
        return [Slot(slot_id, label) for label, slot_id in _SLOT.findall(self._bracket()[1])]

    def _bracket(self) -> tuple[str, str]:
        found = _BRACKET.search(self.text)
        facts, _, times = (found[1] if found else "").partition("slotId by time:")
        return facts, times


_BRACKET = re.compile(r"\[([^\[\]]*)\]$")
_FACT = re.compile(r"(\w+)=([^\s;,]+)")
_SLOT = re.compile(r"\s*([^;=]+?) = ([\dT:-]+Z)[;,]?")


def read_code(body: str) -> str:
    """The code in an SMS, which is its one group of four digits."""
    groups = re.findall(r"(?<!\d)\d{4}(?!\d)", body)
    must(len(groups) == 1, "the SMS has one group of four digits, the code", body)
    return str(groups[0])
