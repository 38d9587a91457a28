"""The page behind the link that an owner hands over: a person sets their own password and is signed in."""

from __future__ import annotations

from http import HTTPStatus

from flask import render_template, request
from flask.typing import ResponseReturnValue

from models.clinics.staff import StaffUser, WeakPassword
from webapp.staff import devices, tries
from webapp.staff.guard import blueprint
from webapp.staff.sign_in import let_in, too_soon
from webapp.staff.tries import TooSoon

_PAGE = "dashboard/invitation.html"


@blueprint.get("/invitation/<token>")
def invitation(token: str) -> ResponseReturnValue:
    """Looking uses nothing up, since messengers and mail programs open links by themselves."""
    try:
        user = tries.invited(token)
    except TooSoon as soon:
        return too_soon(_PAGE, soon)
    return render_template(_PAGE, user=user) if user else _ended()


@blueprint.post("/invitation/<token>")
def accept_invitation(token: str) -> ResponseReturnValue:
    password = request.form.get("password", "")
    try:
        user = tries.invited(token)
    except TooSoon as soon:
        return too_soon(_PAGE, soon)
    if user is None:
        return _ended()
    if password != request.form.get("again", ""):
        return _wrong(user, "the two passwords are not the same")
    try:
        now = tries.set_password(user, token, password)
    except WeakPassword as weak:
        return _wrong(user, str(weak))
    return let_in(now, devices.current(), password=password) if now else _ended()


def _wrong(user: StaffUser, why: str) -> ResponseReturnValue:
    return render_template(_PAGE, user=user, weak=why), HTTPStatus.BAD_REQUEST


def _ended() -> ResponseReturnValue:
    """The same answer for a link that was used, that is over and that never was."""
    return render_template(_PAGE), HTTPStatus.NOT_FOUND
