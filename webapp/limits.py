"""How often something may happen, counted in the application's memory: tool calls of one credential, call or
telephone, pages of one link, unknown links of one address, reads of a snapshot, lines in the log.

Of a request it is the tool calls that are counted, not the messages, each of which can hold many.

The limits hold while Redis and the database are away, and cost a dictionary look-up. Every web process counts
for itself: several processes together let through several times as much. Where that will not do, the count
is kept in rows: failed sign-ins (models/clinics/sign_in_limits.py) and SMS (models/messaging/limits.py).
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from enum import StrEnum

import settings
from webapp.state import per_app

log = logging.getLogger(__name__)

#: Seconds' worth that may come at once, after as long a silence.
BURST = 10.0

#: Likewise of what a clinic asks: its thirty calls may begin in one minute, and each ask several times in it.
BURST_OF_A_CLINIC = 30.0

#: Keys that are remembered. Beyond these the one that asked least recently is forgotten: it starts afresh.
MOST_KEYS = 10_000

#: What the digests of telephone numbers hang on.
_KEY = secrets.token_bytes(16)


class Kind(StrEnum):
    """What is counted."""

    CREDENTIAL = "credential"
    EVENTS = "sender of events"
    CALL = "call"
    PHONE = "phone"


class Limiter:
    """At most `rate` a second of each key, and `burst` seconds' worth at once.

    All that is kept of a key is the moment at which it has its whole burst again (GCRA): each unit moves
    that moment ahead by 1/rate, and is refused if it would then lie more than `burst` ahead. What is refused
    moves nothing. What costs more than a whole burst costs one.
    """

    def __init__(
        self,
        rate: float,
        *,
        burst: float = BURST,
        most_keys: int = MOST_KEYS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._step = 1 / rate if rate else 0.0
        self._whole = max(burst, self._step)
        self._longest = self._whole + self._step * 1e-6  # a thousand roundings are not a request
        self._most_keys = most_keys
        self._clock = clock
        self._lock = threading.Lock()
        self._full_again: OrderedDict[Hashable, float] = OrderedDict()

    def allow(self, key: Hashable, cost: int = 1) -> bool:
        """Whether `cost` more may happen now; if so, they have been counted."""
        if not self._step or not cost:
            return True
        step = min(cost * self._step, self._whole)
        with self._lock:
            now = self._clock()
            moment = max(self._full_again.get(key, now), now) + step
            if moment - now > self._longest:
                return False
            self._full_again[key] = moment
            self._full_again.move_to_end(key)
            if len(self._full_again) > self._most_keys:
                self._full_again.popitem(last=False)
            return True

    def give_back(self, key: Hashable) -> None:
        """What was counted by one `allow` is not counted after all."""
        with self._lock:
            if (moment := self._full_again.get(key, 0.0) - self._step) > self._clock():
                self._full_again[key] = moment
            else:
                self._full_again.pop(key, None)

    def forget(self) -> None:
        """As after a start of the process."""
        with self._lock:
            self._full_again.clear()

    def __len__(self) -> int:
        return len(self._full_again)


@per_app
def _limiters() -> dict[Kind, Limiter]:
    config = settings.get()
    rates = {
        Kind.CREDENTIAL: config.rate_per_credential,
        Kind.EVENTS: config.rate_per_credential,
        Kind.CALL: config.rate_per_call,
        Kind.PHONE: config.rate_per_phone,
    }
    return {kind: Limiter(rate, burst=BURST_OF_A_CLINIC) for kind, rate in rates.items()}


#: One line in the log for each kind of limit every ten seconds: a flood must not become a flood of lines.
_lines = per_app(lambda: Limiter(1 / 10))


def telephone(org: object, number: str) -> str:
    """The key of a telephone at one clinic, however its number is written.

    A digest under a key that only this process has: who is refused is logged, numbers are not, and what was
    said for one may be anything of any length.
    """
    digits = re.sub(r"\D", "", number)[-9:]  # the same with a country code and without
    return hashlib.blake2b(f"{org} {digits or number}".encode(), key=_KEY, digest_size=8).hexdigest()


def allow(kind: Kind, key: Hashable, cost: int = 1) -> bool:
    """Whether so many more may be worked on now; if so, they have been counted."""
    allowed = _limiters()[kind].allow(key, cost)
    if not allowed and _lines().allow(kind):
        log.warning("a %s asks too often and is refused", kind.value, extra={"limited": str(key)})
    return allowed
