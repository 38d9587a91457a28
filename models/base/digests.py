"""Digests that only this installation can make; tables hold them in place of values that must stay secret."""

from __future__ import annotations

import hashlib
import hmac

import settings


def keyed(purpose: str, text: str, *, key_id: str | None = None) -> str:
    """The digest of a text, 64 hexadecimal digits, under the current SECRET_KEY or the one `key_id` names.

    The digest differs for each purpose. Raises settings.UnknownKey.
    """
    key = settings.get().subkey(purpose, key_id)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
