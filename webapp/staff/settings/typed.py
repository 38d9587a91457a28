"""What the forms of the settings gave. What cannot be read is refused in a sentence (hours.Impossible)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar

from flask import abort, request
from sqlalchemy.orm import Session

from models.booking import set_up_change
from models.booking.hours import Impossible
from models.booking.resources import Resource
from models.booking.services import Service
from models.clinics.calendars import Calendar
from webapp.staff import addresses
from webapp.staff.guard import signed

T = TypeVar("T", Resource, Service, Calendar)

#: More digits than any whole number of the settings has.
_DIGITS = 9


def line(name: str) -> str:
    """One line of text as it was typed, without spaces at its ends."""
    return " ".join(request.form.get(name, "").split())


def lines(name: str) -> list[str]:
    """What was typed with commas between, each once."""
    parts = (" ".join(each.split()) for each in request.form.get(name, "").split(","))
    return list(dict.fromkeys(filter(None, parts)))


def chosen(name: str) -> list[str]:
    """The ids that were chosen. A NUL, which the database cannot hold, makes an id that nothing has."""
    return [each.replace("\x00", "\ufffd") for each in request.form.getlist(name)]


def whole_number(name: str, label: str) -> int | None:
    """A whole number; None if nothing was typed."""
    typed = request.form.get(name, "").strip()
    if not typed:
        return None
    if not (typed.isascii() and typed.isdecimal() and len(typed) <= _DIGITS):
        raise Impossible(f"“{label}” must be a whole number, and not {typed[:20]!r}")
    return int(typed)


def locked(session: Session, entity: type[T], row_id: str) -> T:
    """The row that an address names, locked until the commit; aborts with 404 if this clinic has none."""
    row = set_up_change.find_locked(session, entity, signed().org_id, addresses.known(row_id))
    return row or abort(HTTPStatus.NOT_FOUND)


# --- two people with one form -----------------------------------------------------------------------


def mark(facts: Mapping[str, object]) -> str:
    """A text that another state of the same row does not have; the form carries it."""
    written = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def assert_as_seen(facts: Mapping[str, object]) -> None:
    """Raises Impossible if the row is not any more what the person saw when they opened the form."""
    if request.form.get("seen") != mark(facts):
        raise Impossible(
            "a colleague has changed this since you opened the page. What you typed is below: save it again"
            " to put it in the place of theirs, or open the page again to see theirs"
        )
