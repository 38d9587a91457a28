"""The keys that are made from SECRET_KEY, one for each purpose, and from the former ones."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable


class UnknownKey(LookupError):
    """Something was written with a SECRET_KEY that is neither the current one nor a former one."""


class KeyRing:
    """The current SECRET_KEY, which is written with, and the former ones, which are still read with."""

    def __init__(self, current: str, former: Iterable[str]) -> None:
        self._roots = {
            hashlib.sha256(b"holdline/key-id/" + key.encode()).hexdigest()[:8]: key.encode()
            for key in (current, *former)
        }

    @property
    def ids(self) -> tuple[str, ...]:
        """The short names of the keys, the current one first."""
        return tuple(self._roots)

    def subkey(self, purpose: str, key_id: str | None) -> bytes:
        """The 32-byte key for one purpose, from the key of that id, or from the current one if it is None.

        Keys for different purposes say nothing about each other. Raises UnknownKey.
        """
        try:
            root = self._roots[key_id or self.ids[0]]
        except KeyError:
            raise UnknownKey(f"no SECRET_KEY here is called {key_id}") from None
        return hmac.new(root, f"holdline/{purpose}".encode(), hashlib.sha256).digest()
