"""One line of the checklist: the subject, its state, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from models.clinics.organizations import Organization


class State(StrEnum):
    OK = "ok"
    MISSING = "missing"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the checklist. `mend` says what to type or to do."""

    state: State
    what: str
    why: str = ""
    mend: str = ""


ok = partial(Finding, State.OK)
missing = partial(Finding, State.MISSING)
warning = partial(Finding, State.WARNING)

Findings = Iterator[Finding]


def required(clinic: Organization) -> Callable[..., Finding]:
    """Returns `missing`; only `warning` for a sandbox clinic, which reaches nobody outside."""
    return warning if clinic.sandbox else missing
