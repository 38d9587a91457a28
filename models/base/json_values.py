"""Readers for JSON from outside, where any value may have the wrong type and is then read as nothing."""

from __future__ import annotations

from typing import Any

#: The most characters of an id, a name or a number: a longer text overflows a database index.
MAX_WORD = 255


def an_object(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty object."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list that are not empty; a single object counts as a list of one."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict) and item]


def word(value: object) -> str | None:
    """A short text, fit to be stored and compared; None if the value is no text, is empty, or is too long."""
    text = storable(value).strip() if isinstance(value, str) else ""
    return text if 0 < len(text) <= MAX_WORD else None


def storable(text: str) -> str:
    """The text without the characters that PostgreSQL and UTF-8 refuse: NUL and lone surrogates."""
    return text.translate(_UNSTORABLE)


_UNSTORABLE = dict.fromkeys(range(0xD800, 0xE000), "\ufffd") | {0: None}
