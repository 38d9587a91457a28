"""Whose large file the web server waits for: an owner's, on the page of the import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.booking.imports.entries import MOST_BYTES
from models.clinics.staff import StaffRole
from webapp.staff import people
from webapp.state import Application
from webserver.standing import Standing

#: Where files are sent to, and the bytes of the file with the rest of its form.
PATH = "/dashboard/settings/importing"
MOST_OF_A_FORM = MOST_BYTES + 64 * 1024


def judge_for(app: Application) -> Callable[[str, dict[str, Any]], Standing | None]:
    """What the door of this application asks about a large body (webapp.agents.standing.Judge)."""

    def judge(path: str, environ: dict[str, Any]) -> Standing | None:
        if path != PATH:
            return None
        length = environ.get("HTTP_CONTENT_LENGTH", "")
        if length.isdecimal() and int(length) > MOST_OF_A_FORM:
            return Standing.REFUSED  # the page says so, without the rest
        with app.request_context(environ):
            signed = people.current()
        is_owner = signed is not None and signed.role is StaffRole.OWNER
        return Standing.KNOWN if is_owner else Standing.REFUSED

    return judge
