"""The checks before every page of the dashboard: who is signed in, and whether a form is our own."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from flask import Blueprint, Response, abort, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.clinics import calendars
from models.clinics.staff import StaffRole
from webapp.staff import people
from webapp.staff.people import Signed
from webapp.staff.shown import Words
from webapp.unit_of_work import in_transaction, repeatable

blueprint = Blueprint("dashboard", __name__, url_prefix="/dashboard", template_folder="templates")
T = TypeVar("T")

#: The endpoints that need no sign-in.
OPEN = {
    "dashboard.sign_in",
    "dashboard.ask_to_sign_in",
    "dashboard.second_factor",
    "dashboard.ask_for_second_factor",
    "dashboard.invitation",
    "dashboard.accept_invitation",
}

#: The forms of one's own account, which are everybody's.
OWN_ACCOUNT = {
    "dashboard.end_session",
    "dashboard.start_second_factor",
    "dashboard.confirm_second_factor",
    "dashboard.end_second_factor",
    "dashboard.sign_out",
}

#: The forms that only look: they are sent so that what is looked for stands in no address.
LOOKING = {"dashboard.seek_patients"}

#: The forms that are for owners only.
FOR_OWNERS = {"dashboard.erase"}

#: The endpoints that scripts ask. Like a form of htmx they get 401, since they cannot follow to the sign-in.
_FOR_SCRIPTS = {"dashboard.live_state", "dashboard.live_stream", "dashboard.diary_entries"}

#: Bytes of a form, and of the forms that may have more, by endpoint.
MOST_BYTES = 16 * 1024
MORE_BYTES: dict[str, int] = {}


@blueprint.before_request
def _check() -> ResponseReturnValue | None:
    """Let a request through only if it is signed in, and a form only with the session's token."""
    request.max_content_length = MORE_BYTES.get(request.endpoint or "", MOST_BYTES)
    if request.endpoint not in OPEN:
        g.signed = people.current()
        if g.signed is None:
            if request.endpoint in _FOR_SCRIPTS or "HX-Request" in request.headers:
                return Response(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Refresh": "true"})
            return redirect(url_for("dashboard.ask_to_sign_in"), HTTPStatus.SEE_OTHER)
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return None
    if not people.token_is_right():
        abort(HTTPStatus.BAD_REQUEST, "This form is too old. Go back, load the page again and try once more.")
    if request.endpoint not in OPEN | OWN_ACCOUNT | LOOKING and signed().role is StaffRole.READ_ONLY:
        abort(
            HTTPStatus.FORBIDDEN, "You may look, and change nothing. An owner of the clinic can change that."
        )
    if request.endpoint in FOR_OWNERS and signed().role is not StaffRole.OWNER:
        abort(HTTPStatus.FORBIDDEN, "Only an owner of the clinic may do that.")
    return None


def signed() -> Signed:
    """The person who makes this request."""
    who: Signed = g.signed
    return who


def in_clinic(
    work: Callable[[Session, uuid.UUID], T], *, happened: Callable[[Session, T], bool | None] = repeatable
) -> T:
    """Run `work` in one transaction of this person's clinic, and have the page show times in its zone.

    `happened` as for in_transaction, for work that must not run twice.
    """
    who = signed()

    def within(at: Session) -> T:
        g.words = Words(calendars.zone(at, who.org_id))
        return work(at, who.org_id)

    return in_transaction(who.org_id, within, actor=who.actor, happened=happened)


@blueprint.context_processor
def for_every_page() -> dict[str, object]:
    return {
        "signed": g.get("signed"),
        "words": g.get("words"),
        "token": people.token,
        "may_change": bool(g.get("signed")) and signed().role is not StaffRole.READ_ONLY,
        "is_owner": bool(g.get("signed")) and signed().role is StaffRole.OWNER,
    }
