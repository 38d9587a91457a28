"""Signing in, with a password and, if it is on, a second factor; and signing out."""

from __future__ import annotations

import time
import uuid
from http import HTTPStatus

from flask import Response, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from models.clinics import second_factor as factor
from models.clinics.staff import StaffUser
from webapp.staff import devices, people, tries
from webapp.staff.devices import Device
from webapp.staff.guard import blueprint, signed
from webapp.staff.tries import TooSoon
from webapp.unit_of_work import in_transaction

#: Seconds that may pass between the password and the code.
LONGEST_HALF = 300.0


@blueprint.get("/sign-in")
def ask_to_sign_in() -> ResponseReturnValue:
    if people.current():
        return redirect(url_for("dashboard.home"), HTTPStatus.SEE_OTHER)
    return render_template("dashboard/sign_in.html")


@blueprint.post("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Check e-mail address and password. An unknown address, a wrong password and a disabled person all get
    the same words.
    """
    email, password = request.form.get("email", ""), request.form.get("password", "")
    device = devices.current()
    try:
        user = tries.find(email, password, device)
    except TooSoon as soon:
        return too_soon("dashboard/sign_in.html", soon, email=email)
    if user is None:
        page = render_template("dashboard/sign_in.html", problem="wrong", email=email)
        return page, HTTPStatus.FORBIDDEN
    return let_in(user, device, password=password)


def let_in(user: StaffUser, device: Device, *, password: str) -> ResponseReturnValue:
    """The answer to a person who has just proved or set this password: the code is asked for, if it is on."""
    if factor.is_on(user):
        session.clear()
        session["half"] = [str(user.org_id), str(user.id), user.session_epoch, time.time()]
        return redirect(url_for("dashboard.ask_for_second_factor"), HTTPStatus.SEE_OTHER)
    return _come_in(user, device, password=password)


@blueprint.get("/sign-in/code")
def ask_for_second_factor() -> ResponseReturnValue:
    if _half_in() is None:
        return redirect(url_for("dashboard.ask_to_sign_in"), HTTPStatus.SEE_OTHER)
    return render_template("dashboard/second_factor.html")


@blueprint.post("/sign-in/code")
def second_factor() -> ResponseReturnValue:
    user, device = _half_in(), devices.current()
    if user is None:
        return redirect(url_for("dashboard.ask_to_sign_in"), HTTPStatus.SEE_OTHER)
    try:
        right = tries.code_is_right(user, request.form.get("code", ""), device)
    except TooSoon as soon:
        return too_soon("dashboard/second_factor.html", soon)
    if not right:
        return render_template("dashboard/second_factor.html", problem="wrong"), HTTPStatus.FORBIDDEN
    return _come_in(user, device)


def _half_in() -> StaffUser | None:
    """The person whose password was right in this browser within LONGEST_HALF, and has not changed since."""
    try:
        org_id, staff_id, epoch, at = session["half"]
        org, who, fresh = uuid.UUID(org_id), uuid.UUID(staff_id), time.time() - float(at) < LONGEST_HALF
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    user = in_transaction(org, lambda at: at.get(StaffUser, who)) if fresh else None
    if user is None or user.disabled_at or user.session_epoch != epoch or not factor.is_on(user):
        return None
    return user


def _come_in(user: StaffUser, device: Device, *, password: str | None = None) -> ResponseReturnValue:
    people.begin(user, password=password)
    response = redirect(url_for("dashboard.home"), HTTPStatus.SEE_OTHER)
    devices.remember(response, device, user)
    return response


def too_soon(template: str, soon: TooSoon, **facts: object) -> Response:
    """The page again, with the seconds until the next try; status 429."""
    page = Response(render_template(template, problem="too_soon", seconds=soon.seconds, **facts))
    page.status_code = HTTPStatus.TOO_MANY_REQUESTS
    page.headers["Retry-After"] = str(soon.seconds)
    return page


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """Delete the session's row, which ends every copy of the cookie, too. The device stays known."""
    who = signed()
    response = redirect(url_for("dashboard.ask_to_sign_in"), HTTPStatus.SEE_OTHER)
    if "everywhere" in request.form:
        devices.remember(response, devices.current(), people.end_all(who))
    else:
        people.end(who, who.session_id)
    session.clear()
    flash("You are signed out.", "done")
    return response
