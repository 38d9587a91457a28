"""What the address or the form of a page of the diary gave. What cannot be read is as good as not given."""

from __future__ import annotations

import uuid
from datetime import date

from flask import request


def day(name: str, otherwise: date) -> date:
    """A day; `otherwise` if it is none, or one that no diary reaches."""
    try:
        found = date.fromisoformat(request.values.get(name, ""))
    except ValueError:
        return otherwise
    return found if date(2000, 1, 1) <= found <= date(2100, 1, 1) else otherwise


def row_id(name: str) -> uuid.UUID | None:
    return _row_id(request.values.get(name, ""))


def row_ids(name: str) -> set[uuid.UUID]:
    """The ids of a field that is there several times."""
    return {each for each in map(_row_id, request.values.getlist(name)) if each}


def _row_id(written: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(written)
    except ValueError:
        return None


def text(name: str, most: int) -> str:
    """One line without spaces at its ends, of at most so many characters."""
    return " ".join(request.values.get(name, "").replace("\x00", "").split())[:most]
