"""Digests that only this installation can make: the tables hold them in place of what must not be read."""

from __future__ import annotations

import hashlib
import hmac

import settings


def keyed(purpose: str, text: str, *, key_id: str | None = None) -> str:
    """64 hexadecimal digits, of the current SECRET_KEY or of the one that `key_id` names.

    Another purpose makes another digest of the same text. Raises settings.UnknownKey.
    """
    key = settings.get().subkey(purpose, key_id)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
