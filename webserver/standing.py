"""What the web server asks the application before it waits for a large body."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol


class Standing(Enum):
    """What the head of a request says about who sent it."""

    KNOWN = "known"  # it brings a credential that is one
    SIGNED = "signed"  # only the whole body can tell
    REFUSED = "refused"  # the application refuses it, or cannot say; it does so without the body, too
    SMALL = "small"  # nothing large is read at this address


Headers = Iterable[tuple[str, str]]  # names in capitals, as gunicorn has them


class Gate(Protocol):
    """The application's side, a module or an object."""

    #: Bytes of a body that are of use: one more than are read shows that there are more.
    MOST_OF_A_BODY: int

    def key(self, headers: Headers, query: str) -> str | None:
        """What tells callers apart before anything is looked up; None for whoever presents nothing."""

    def judge(self, path: str, query: str, headers: Headers, address: str) -> Standing:
        """Called in a thread: it may wait for the database. `address` is the client's. Raises nothing."""
