"""What a dry run says: what each entry of a file would become, and what is refused."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from models.booking.imports.entries import Entry, File, Problem
from models.booking.imports.matching import NEW
from models.booking.services import LIMITS

#: Before the name of a room that is yet to be made, so that it is not taken for a person.
NEW_ROOM = f"{NEW}room/"


@dataclass(frozen=True, slots=True)
class Planned:
    """An entry that would be imported: as an appointment, or as a block where `reason` says why."""

    entry: Entry
    imported_id: str
    starts_at: datetime
    ends_at: datetime
    #: The person first. An id may be that of one who is yet to be made (NEW and the name).
    resources: tuple[str, ...]
    service: str = ""
    phone: str = ""
    reason: str = ""
    minutes_before: int = 0
    minutes_after: int = 0


@dataclass(slots=True)
class Report:
    """What would become of a file, or has become of it."""

    appointments: list[Planned] = field(default_factory=list)
    blocks: list[Planned] = field(default_factory=list)
    #: Past appointments, which come in as completed or as not kept.
    past: list[Planned] = field(default_factory=list)
    refused: list[Problem] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    #: Lines of appointments that lie outside their person's hours.
    outside_hours: list[int] = field(default_factory=list)

    @property
    def planned(self) -> list[Planned]:
        return [*self.appointments, *self.past, *self.blocks]

    @property
    def seen(self) -> str:
        """A digest of what is refused, by which a person agrees that these rows stay behind."""
        return seen(self.refused)


def seen(refused: Sequence[Problem]) -> str:
    told = "\n".join(sorted(f"{each.line} {each.code}" for each in refused))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def name_of_new(chosen: str) -> str:
    """The name of a person, room or service that is yet to be made."""
    return chosen.removeprefix(NEW_ROOM).removeprefix(NEW)


def lengths(file: File) -> dict[str, int]:
    """The most frequent length, in minutes, of each service that the file names."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for each in file.entries:
        if each.length and not each.block:
            counts[each.service][each.length // timedelta(minutes=1)] += 1
    least, most = LIMITS["minutes"]
    return {name: min(max(found.most_common(1)[0][0], least), most) for name, found in counts.items()}
