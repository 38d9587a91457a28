"""A person's own account: the browsers in which they are signed in, and the second factor."""

from __future__ import annotations

import uuid
from http import HTTPStatus

import segno
from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from sqlalchemy.orm import Session

from models.clinics import second_factor, staff_sessions
from models.clinics.staff import StaffUser
from webapp.staff import people, tries
from webapp.staff.guard import blueprint, in_clinic, signed
from webapp.staff.sign_in import too_soon
from webapp.staff.tries import TooSoon


@blueprint.get("/account")
def account() -> ResponseReturnValue:
    return render_template("dashboard/account.html", **_facts())


def _facts() -> dict[str, object]:
    who = signed()
    user, sessions = in_clinic(
        lambda at, org_id: (at.get_one(StaffUser, who.id), staff_sessions.list_of(at, org_id, who.id))
    )
    return {"on": second_factor.is_on(user), "left": len(user.recovery_digests), "sessions": sessions}


@blueprint.post("/account/sessions/<uuid:session_id>/end")
def end_session(session_id: uuid.UUID) -> ResponseReturnValue:
    """End a session of the signed-in person; 404 if it is over already or another person's."""
    if not people.end(signed(), session_id):
        abort(HTTPStatus.NOT_FOUND, "That session is over already.")
    flash("That session is over.", "done")
    return redirect(url_for("dashboard.account"), HTTPStatus.SEE_OTHER)


@blueprint.post("/account/second-factor")
def start_second_factor() -> ResponseReturnValue:
    """Ask for the password, since the browser may have been left open, and show the key to be scanned."""
    if _facts()["on"]:
        return redirect(url_for("dashboard.account"), HTTPStatus.SEE_OTHER)
    if refusal := _refusal():
        return refusal

    def start(at: Session, _: uuid.UUID) -> StaffUser:
        user = at.get_one(StaffUser, signed().id, with_for_update=True)
        if not second_factor.is_on(user):
            second_factor.start(user)
        return user

    return _key(in_clinic(start))


@blueprint.post("/account/second-factor/confirm")
def confirm_second_factor() -> ResponseReturnValue:
    """Turn the second factor on. This answer shows the recovery codes, which are never shown again."""
    try:
        codes = tries.confirm(signed(), request.form.get("code", ""))
    except TooSoon as soon:
        return too_soon("dashboard/account.html", soon, **_facts())
    if codes:
        return render_template("dashboard/recovery_codes.html", codes=codes)
    user = in_clinic(lambda at, _: at.get_one(StaffUser, signed().id))
    if second_factor.is_on(user) or not user.totp_sealed:
        return redirect(url_for("dashboard.account"), HTTPStatus.SEE_OTHER)
    return _key(user, problem="wrong"), HTTPStatus.FORBIDDEN


@blueprint.post("/account/second-factor/off")
def end_second_factor() -> ResponseReturnValue:
    if refusal := _refusal():
        return refusal
    in_clinic(lambda at, _: second_factor.turn_off(at.get_one(StaffUser, signed().id, with_for_update=True)))
    flash("The second factor is off.", "done")
    return redirect(url_for("dashboard.account"), HTTPStatus.SEE_OTHER)


def _refusal() -> ResponseReturnValue | None:
    """The answer if the form does not prove that this is the signed-in person; None if it does."""
    try:
        if tries.is_the_person(signed(), request.form.get("proof", "")):
            return None
    except TooSoon as soon:
        return too_soon("dashboard/account.html", soon, **_facts())
    return render_template("dashboard/account.html", problem="wrong", **_facts()), HTTPStatus.FORBIDDEN


def _key(user: StaffUser, problem: str | None = None) -> str:
    """The page with the key for the authenticator app, as a picture and in letters."""
    secret = second_factor.secret_of(user)
    if secret is None:
        abort(HTTPStatus.CONFLICT, "The second factor is on already.")
    drawn = segno.make(second_factor.address_of(user, secret), micro=False).svg_inline(
        scale=5, border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True
    )
    return render_template(
        "dashboard/second_factor_key.html",
        picture=Markup(drawn),  # noqa: S704 (the library's own, of nothing but black and white squares)
        key=" ".join(secret[n : n + 4] for n in range(0, len(secret), 4)),
        problem=problem,
    )
