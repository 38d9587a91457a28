"""Rate limits, counted in the application's memory: tool calls of one credential, call or telephone, pages of
one link, unknown links of one address, reads of a snapshot, lines in the log.

Tool calls are counted one by one, since one message of the platform can hold many.

The limits hold while Redis and the database are away, and cost a dictionary look-up. Every web process counts
for itself: several processes together let through several times as much. Where that is too much, the count
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

#: After this many seconds of silence, as many seconds' worth may come at once.
BURST = 10.0

#: The same for a clinic's tool calls and events: thirty calls may begin in one minute, and each of them asks
#: several times in that minute.
BURST_OF_A_CLINIC = 30.0

#: Keys that are remembered. Beyond this number the key that was used least recently is forgotten, and starts
#: with a full burst.
MOST_KEYS = 10_000

#: The key of the digests of telephone numbers.
_KEY = secrets.token_bytes(16)


class Kind(StrEnum):
    """What is counted."""

    CREDENTIAL = "credential"
    EVENTS = "sender of events"
    CALL = "call"
    PHONE = "phone"


class Limiter:
    """At most `rate` units a second for each key, and `burst` seconds' worth at once. Rate 0 sets no limit.

    Only one moment is kept for a key: when it has its whole burst again (GCRA). Each unit moves that moment
    ahead by 1/rate seconds, and is refused if the moment would then lie more than `burst` seconds ahead. A
    refused unit moves nothing. A cost above the whole burst counts as the whole burst.
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
        self._longest = self._whole + self._step * 1e-6  # rounding errors must not refuse a request
        self._most_keys = most_keys
        self._clock = clock
        self._lock = threading.Lock()
        self._full_again: OrderedDict[Hashable, float] = OrderedDict()

    def allow(self, key: Hashable, cost: int = 1) -> bool:
        """Whether `cost` more units may happen now; if so, they are counted."""
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


#: One log line for each kind of limit every ten seconds, so that a flood does not fill the log.
_lines = per_app(lambda: Limiter(1 / 10))


def telephone(org: object, number: str) -> str:
    """The key of a telephone at one clinic, however its number is written.

    A digest under a key that only this process has, because the key of a refused telephone is logged and its
    number must not be, and because what was said as a number can be any text of any length.
    """
    digits = re.sub(r"\D", "", number)[-9:]  # the same with a country code and without
    return hashlib.blake2b(f"{org} {digits or number}".encode(), key=_KEY, digest_size=8).hexdigest()


def allow(kind: Kind, key: Hashable, cost: int = 1) -> bool:
    """Whether `cost` more units may be worked on now; if so, they are counted."""
    allowed = _limiters()[kind].allow(key, cost)
    if not allowed and _lines().allow(kind):
        log.warning("a %s asks too often and is refused", kind.value, extra={"limited": str(key)})
    return allowed
