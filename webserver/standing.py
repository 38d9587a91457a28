"""What the web server asks the application before it waits for a large body."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol


class Standing(Enum):
    """What the head of a request says about who sent it."""

    KNOWN = "known"  # it brings a credential that is one
    SIGNED = "signed"  # it names a credential that there is; only the whole body can tell the rest
    UNNAMED = "unnamed"  # it says that it is signed, and not whose it is
    REFUSED = "refused"  # the application refuses it, or cannot say; it does so without the body, too
    SMALL = "small"  # nothing large is read at this address


Headers = Iterable[tuple[str, str]]  # names in capitals, as gunicorn has them


class Gate(Protocol):
    """The application's side."""

    #: Bytes of a body that are of use: one more than are read shows that there are more.
    MOST_OF_A_BODY: int

    def network(self, headers: Headers | None, peer: str) -> str | None:
        """Where a request comes from, as connections are counted. `headers` are None before its head is
        there; `peer` is the address at the other end. None where that is a proxy's and says nothing.
        """

    def key(self, headers: Headers, query: str) -> str | None:
        """What tells callers apart before anything is looked up; None for whoever presents nothing."""

    def judge(self, path: str, query: str, headers: Headers, network: str) -> Standing:
        """Called in a thread: it may wait for the database. Raises nothing."""

    def turned_away(self, network: str) -> None:
        """A connection from there was ended because of a limit. Must not wait."""
