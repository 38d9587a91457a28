"""What the reading of a file comes to: its entries, and what could not be read or was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

#: The largest file in bytes, and the most rows of one.
MOST_BYTES = 5 * 1024 * 1024
MOST_ROWS = 20_000

#: The most events of a calendar file, and the most times of all that recur: they take longer to read.
MOST_EVENTS = 10_000
MOST_TIMES = 3_000

#: The longest text of a cell that is of use.
LONGEST_TEXT = 500
LONGEST_NAME = 120


class Kind(StrEnum):
    CSV = "csv"
    ICS = "ics"


class Unreadable(ValueError):
    """The file as a whole cannot be read. The message says why, and what to change."""


class State(StrEnum):
    """What the old diary says of an entry. A cancelled entry is left out."""

    BOOKED = "booked"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


@dataclass(frozen=True, slots=True)
class Entry:
    """One appointment or block of the old diary. Times are in UTC; names are as the file has them."""

    line: int
    starts_at: datetime
    #: None where the file names neither an end nor a length: then it is as long as its service.
    ends_at: datetime | None
    name: str = ""
    #: The numbers as they are written, the most promising first.
    numbers: tuple[str, ...] = ()
    person: str = ""
    service: str = ""
    room: str = ""
    state: State = State.BOOKED
    #: The id that the old diary gives the entry; empty if it gives none.
    uid: str = ""
    #: Why nobody can be booked then; set for a block.
    block: str = ""

    @property
    def length(self) -> timedelta | None:
        return self.ends_at - self.starts_at if self.ends_at else None


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that is not imported: the line in the file, what it says, and why, with what to change."""

    line: int
    says: str
    code: str
    why: str


@dataclass(slots=True)
class File:
    """A file that was read."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    #: How many entries were left out, by the reason.
    left_out: Counter[str] = field(default_factory=Counter)
    #: How the file was understood, in sentences.
    notes: list[str] = field(default_factory=list)

    def names(self, of: str) -> Counter[str]:
        """How often each name of `of` (person, service or room) occurs; blocks name a person only."""
        return Counter(getattr(each, of) for each in self.entries if not each.block or of == "person")


def one_line(text: str, most: int = LONGEST_TEXT) -> str:
    """The text in one line without invisible characters, shortened."""
    words = "".join(each if each.isprintable() else " " for each in text[: 4 * most]).split()
    return " ".join(words)[:most].strip()
