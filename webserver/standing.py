"""What the web server asks the application before it waits for a large body."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol


class Standing(Enum):
    """What the head of a request says about who sent it."""

    KNOWN = "known"  # it has a valid credential
    SIGNED = "signed"  # it names an existing credential; its signature needs the whole body
    UNNAMED = "unnamed"  # it says that it is signed, but not by whom
    REFUSED = "refused"  # the application refuses it, or cannot decide; either needs no body
    SMALL = "small"  # no large body is read at this address


Headers = Iterable[tuple[str, str]]  # names in capitals, as gunicorn has them


class Gate(Protocol):
    """What the application answers."""

    #: The most bytes of a body that are of use: one more than the limit, which shows that there are more.
    MOST_OF_A_BODY: int

    def network(self, headers: Headers | None, peer: str) -> str | None:
        """The network that a request comes from, by which connections are counted. `headers` are None before
        the head has come; `peer` is the address at the other end. None if `peer` is a proxy and the client's
        address is not known.
        """

    def key(self, headers: Headers, query: str) -> str | None:
        """What distinguishes senders before a look-up; None for a request without a credential."""

    def judge(self, path: str, query: str, headers: Headers, network: str) -> Standing:
        """The sender's standing. Called in a thread: it may wait for the database. Raises nothing."""

    def turned_away(self, network: str) -> None:
        """Called when a connection from `network` was ended because of a limit. Must not wait."""
