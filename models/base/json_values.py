"""JSON from elsewhere, in which anything may stand anywhere: each value as it was meant, or as nothing."""

from __future__ import annotations

from typing import Any

#: Characters of an id, a name or a number. A longer one overflows a database index.
MAX_WORD = 255


def an_object(value: object) -> dict[str, Any]:
    """The value, if it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list (or the one in place of a list) that hold anything."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict) and item]


def word(value: object) -> str | None:
    """A short text as it may be stored and compared. None if it is none, is empty, or is too long."""
    text = storable(value).strip() if isinstance(value, str) else ""
    return text if 0 < len(text) <= MAX_WORD else None


def storable(text: str) -> str:
    """The text without what PostgreSQL and UTF-8 refuse: NUL, and halves of surrogate pairs."""
    return text.translate(_UNSTORABLE)


_UNSTORABLE = dict.fromkeys(range(0xD800, 0xE000), "\ufffd") | {0: None}
