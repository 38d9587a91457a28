"""What the desk looks for: a patient's name, number or reference.

It is sent in a form, never in an address, since addresses stay in the browser's history and in the logs of
whatever stands between. The answer leads to an address with the same words sealed for this session: so
"back", "load again" and the next page of a list work without a script, and the address tells nobody anything.
"""

from __future__ import annotations

from flask import request

from models.base import sealing
from webapp.staff import given
from webapp.staff.guard import signed

#: The most characters that are looked for.
LONGEST = 80


def to_address() -> str | None:
    """The words of the form, sealed for an address; None if there are none."""
    words = " ".join(request.form.get("q", "").replace("\x00", "").split())[:LONGEST]
    return sealing.seal(signed().org_id, _purpose(), words) if words else None


def words() -> str:
    """The words that the address has sealed; empty if it has none that this session can read."""
    try:
        return sealing.unseal(signed().org_id, _purpose(), given.text("sought", 1000))
    except sealing.CannotUnseal:
        return ""


def _purpose() -> str:
    return f"search of {signed().session_id}"
