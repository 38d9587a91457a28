"""The keys that are made from SECRET_KEY and its former values, one for each purpose."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable


class UnknownKey(LookupError):
    """A value was written with a SECRET_KEY that is neither the current nor a former one."""


class KeyRing:
    """The current SECRET_KEY, for writing and reading, and the former ones, only for reading."""

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
        """The 32-byte key for one purpose, from the key with this id, or from the current key if it is None.

        A key for one purpose reveals nothing about the others. Raises UnknownKey.
        """
        try:
            root = self._roots[key_id or self.ids[0]]
        except KeyError:
            raise UnknownKey(f"no SECRET_KEY here is called {key_id}") from None
        return hmac.new(root, f"holdline/{purpose}".encode(), hashlib.sha256).digest()
