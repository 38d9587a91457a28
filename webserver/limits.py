"""What the connections of one web process may take together, and what is logged of those turned away."""

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

#: Seconds that a client has at most once its worker was told to stop.
GRACE_AT_THE_END = 10.0

#: Bytes a second that a body must come with after that, and an answer be read with.
SLOWEST = 64 * 1024

#: Times CLIENT_GRACE that an answer may lie unread before it is thrown away.
UNREAD_FOR = 3

#: Bytes of a body that are read of anybody. What is larger is read on once its sender is known.
SMALL = 64 * 1024

#: Bytes of a request that are never too many: so much for every connection there may be.
FREE = 8 * 1024

#: Bytes that all requests beyond FREE may take, while their senders are not known.
ROOM_FOR_SMALL = 8 * 1024 * 1024

#: Bytes that all large bodies may take: one event of 32 MiB and some more; those that are merely said to be
#: signed no more than one such; those of one credential likewise.
ROOM_FOR_LARGE = 40 * 1024 * 1024
ROOM_FOR_ONE = 33 * 1024 * 1024

#: Seconds after which it is noted that a client hung up before it asked for anything. Those who only look
#: whether the port is open go at once.
NOTED_AFTER = 1.0

#: Large bodies that are merely said to be signed, at once.
MOST_SIGNED = 8

#: One line in the log for each reason in so many seconds.
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
    """Who belongs together: the connections of one address, the requests of one credential."""

    def __init__(self, most: int) -> None:
        """At most `most` members each; 0 is any number."""
        self._most = most
        self._members: dict[Hashable, dict[T, None]] = {}

    def join(self, group: Hashable | None, member: T) -> bool:
        """Whether there is room for that one, too; it is a member in any case."""
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
        """From the oldest to the newest."""
        return iter(tuple(self._members.get(group, ())))


class Log:
    """Who was turned away, one line for each reason every so often, with how many there were."""

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
