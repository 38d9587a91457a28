"""What the connections of one web process may use together, and the log of connections turned away."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from enum import Enum
from typing import Generic, TypeVar

from webserver.arrival import Refusal

log = logging.getLogger("holdline.web")
T = TypeVar("T", bound=Hashable)

#: The most seconds that a client has once its worker was told to stop.
GRACE_AT_THE_END = 10.0

#: Bytes a second at which a body must come once CLIENT_GRACE is over, and at which an answer must be read.
SLOWEST = 64 * 1024

#: An answer may lie unread for this many times CLIENT_GRACE before it is thrown away.
UNREAD_FOR = 3

#: Bytes of a body that are read from any sender. More is read once the application has judged the sender.
SMALL = 64 * 1024

#: Bytes of a request that are never too many: every connection that there can be may take this much.
FREE = 8 * 1024

#: Bytes beyond FREE that all requests together may take while their senders are not known.
ROOM_FOR_SMALL = 8 * 1024 * 1024

#: Bytes that all large bodies together may take: one event of 32 MiB and some more. Bodies that are only said
#: to be signed may take ROOM_FOR_ONE together, and so may the bodies of one credential.
ROOM_FOR_LARGE = 40 * 1024 * 1024
ROOM_FOR_ONE = 33 * 1024 * 1024

#: Seconds after which a client that hangs up before it asked for anything is noted. A client that only checks
#: whether the port is open hangs up at once.
NOTED_AFTER = 1.0

#: The most large bodies at once that are only said to be signed.
MOST_SIGNED = 8

#: Seconds between two lines in the log for one reason.
TOLD_EVERY = 10.0


class Reason(Enum):
    """Why a connection was ended, in words for the log."""

    SILENT = "sent nothing"
    SLOW_HEAD = "sent no whole head in time"
    SLOW_BODY = "sent its body too slowly"
    UNREAD = "did not read its answer"
    CROWDED = "was the oldest of too many that waited"
    ADDRESS = "was the oldest of too many of one address"
    CREDENTIAL = "was one of too many of one credential"
    NO_ROOM = "found no room"
    TOO_LARGE = "was too large"
    UNREADABLE = "could not be read"


SLOW = Refusal(
    "408 Request Timeout", "request_too_slow", "The request came too slowly; please send it again.", 1
)
CROWDED = Refusal("503 Service Unavailable", "busy", "There are too many connections; please try again.", 1)
OF_ONE_ADDRESS = Refusal(
    "429 Too Many Requests",
    "rate_limited",
    "There are too many connections of this address; please close some and try again.",
    1,
)
OF_ONE_CREDENTIAL = Refusal(
    "429 Too Many Requests",
    "rate_limited",
    "This credential has too many requests at once; please wait for some of their answers.",
    1,
)
NO_ROOM = Refusal(
    "503 Service Unavailable", "busy", "There is no room for that body now; please send it again.", 5
)
TOO_LARGE = Refusal("413 Content Too Large", "request_too_large", "That body is larger than is read here.")
TOO_LARGE_TO_CHECK = Refusal(
    "413 Content Too Large", "request_too_large", "That is too large for its signature to be checked."
)


class Groups(Generic[T]):
    """Groups with a limit: the connections of one address, the requests of one credential."""

    def __init__(self, most: int) -> None:
        """At most `most` members in each group; 0 is any number."""
        self._most = most
        self._members: dict[Hashable, dict[T, None]] = {}

    def join(self, group: Hashable | None, member: T) -> bool:
        """Add a member; False if the group has too many members then."""
        if group is None:
            return True
        members = self._members.setdefault(group, {})
        members[member] = None
        return not self._most or len(members) <= self._most

    def leave(self, group: Hashable | None, member: T) -> None:
        if members := self._members.get(group):
            members.pop(member, None)
            if not members:
                del self._members[group]

    def of(self, group: Hashable | None) -> Iterator[T]:
        """The members, from the oldest to the newest."""
        return iter(tuple(self._members.get(group, ())))


class Log:
    """Logs how many connections were turned away: a line for each reason, at most one in TOLD_EVERY."""

    def __init__(self) -> None:
        self._counts: Counter[Reason] = Counter()
        self._quiet_until: dict[Reason, float] = {}

    def note(self, reason: Reason) -> None:
        self._counts[reason] += 1

    def tell(self, *, all_of_it: bool = False) -> None:
        """Write the lines that are due."""
        now = time.monotonic()
        for reason in self._due(now, all_of_it):
            self._quiet_until[reason] = now + TOLD_EVERY
            log.warning(
                "connections were ended, each because it %s: %s",
                reason.value,
                self._counts[reason],
                extra={"reason": reason.name.lower(), "count": self._counts[reason]},
            )
            del self._counts[reason]

    def _due(self, now: float, all_of_it: bool) -> Iterable[Reason]:  # noqa: FBT001 (of our own)
        return [each for each in self._counts if all_of_it or now >= self._quiet_until.get(each, 0.0)]
