"""/dashboard/settings/team: who may sign in, as what, and the links with which they set their passwords."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.base.one_line import NotOneLine, one_line
from models.clinics import invitations, second_factor, staff
from models.clinics import team as verbs
from models.clinics.invitations import Disabled
from models.clinics.staff import NotAnAddress, StaffRole, StaffUser
from models.clinics.team import LastOwner
from webapp.staff import tries
from webapp.staff.guard import in_clinic, signed
from webapp.staff.settings.owners import blueprint
from webapp.staff.sign_in import too_soon
from webapp.staff.tries import TooSoon

T = TypeVar("T")

#: A person, and the token of their new link.
Added = tuple[StaffUser, str]

#: The roles in words, and what they allow.
ROLES = {
    StaffRole.OWNER: ("Owner", "everything, these settings included"),
    StaffRole.STAFF: ("Desk", "books, moves and cancels, and changes no settings"),
    StaffRole.READ_ONLY: ("Read-only", "looks, and changes nothing"),
}


@blueprint.get("/team")
def team() -> ResponseReturnValue:
    people = in_clinic(staff.list_of)
    return render_template("dashboard/settings/team.html", people=people, **_facts())


def _facts() -> dict[str, object]:
    return {"page": "team", "roles": ROLES, "has_factor": second_factor.is_on}


# --- somebody new -------------------------------------------------------------------------------


@blueprint.get("/team/add")
def ask_for_colleague() -> ResponseReturnValue:
    return _add_page()


@blueprint.post("/team/add")
def add_colleague() -> ResponseReturnValue:
    """Add a person, and show the link with which they set a password, which is never shown again."""
    given = {name: request.form.get(name, "") for name in ("name", "email", "role")}
    try:
        name, email = one_line(given["name"]), staff.check_email(given["email"])
        role = StaffRole(given["role"])
    except NotOneLine as error:
        return _add_page(given, f"The name will not do: {error}.")
    except NotAnAddress:
        return _add_page(given, "This is not an e-mail address. Write it like jo@clinic.example.")
    except ValueError:
        return _add_page(given, "Choose what this person may do.")
    if refusal := _refusal("dashboard/settings/team_add.html", given=given):
        return refusal

    def add(at: Session, org_id: uuid.UUID) -> Added | str:
        if known := staff.find(at, org_id, email):
            return f"{known.name} is in your team with this address already."
        try:
            with at.begin_nested():
                user = staff.add(at, org_id=org_id, email=email, name=name, role=role)
        except IntegrityError:  # of another clinic, or added just now: which of the two is not to be told
            return "This e-mail address cannot be used here. Give another one."
        return user, invitations.invite(at, user)

    added = in_clinic(add, happened=_was_added)
    return _add_page(given, added) if isinstance(added, str) else _link(*added)


def _was_added(at: Session, added: Added | str) -> bool:
    return not isinstance(added, str) and at.get(StaffUser, added[0].id) is not None


def _add_page(given: dict[str, str] | None = None, wrong: str | None = None) -> ResponseReturnValue:
    page = render_template("dashboard/settings/team_add.html", given=given or {}, wrong=wrong, **_facts())
    return page, HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.OK


# --- one of the team ----------------------------------------------------------------------------


@blueprint.get("/team/<uuid:staff_id>")
def member(staff_id: uuid.UUID) -> ResponseReturnValue:
    return render_template("dashboard/settings/team_member.html", **_facts(), user=_found(staff_id))


@blueprint.post("/team/<uuid:staff_id>/role")
def change_role(staff_id: uuid.UUID) -> ResponseReturnValue:
    if request.form.get("role") not in set(StaffRole):
        abort(HTTPStatus.BAD_REQUEST, "Choose one of the three roles.")
    role = StaffRole(request.form["role"])
    if refusal := _refused_at(staff_id):
        return refusal
    answer = _change(
        staff_id,
        lambda at, user: verbs.change_role(at, user, role),
        f"now has the role “{ROLES[role][0]}”, from the next page that they open.",
    )
    if staff_id == signed().id and role is not StaffRole.OWNER:
        return redirect(url_for("dashboard.home"), HTTPStatus.SEE_OTHER)  # their first page, or a sentence
    return answer


@blueprint.post("/team/<uuid:staff_id>/disable")
def disable(staff_id: uuid.UUID) -> ResponseReturnValue:
    return _change(staff_id, verbs.disable, "may not sign in any more, and is signed out everywhere.")


@blueprint.post("/team/<uuid:staff_id>/enable")
def enable(staff_id: uuid.UUID) -> ResponseReturnValue:
    return _change(staff_id, lambda _, user: staff.enable(user), "may sign in again, with the same password.")


@blueprint.post("/team/<uuid:staff_id>/sessions/end")
def end_sessions(staff_id: uuid.UUID) -> ResponseReturnValue:
    return _change(staff_id, lambda _, user: staff.end_sessions(user), "is signed out everywhere.")


@blueprint.post("/team/<uuid:staff_id>/second-factor/reset")
def reset_second_factor(staff_id: uuid.UUID) -> ResponseReturnValue:
    def reset(_: Session, user: StaffUser) -> None:
        second_factor.turn_off(user)
        staff.end_sessions(user)

    return _refused_at(staff_id) or _change(
        staff_id, reset, "signs in with the password alone now, and is signed out everywhere."
    )


@blueprint.post("/team/<uuid:staff_id>/link")
def make_link(staff_id: uuid.UUID) -> ResponseReturnValue:
    """Show a new link to set a password, which ends the one before. It is never shown again."""
    if refusal := _refused_at(staff_id):
        return refusal

    def make(at: Session, user: StaffUser) -> Added:
        return user, invitations.invite(at, user)

    try:
        return _link(*_locked(staff_id, make))
    except Disabled:
        flash("A disabled person gets no link. Let this person sign in again first.", "not_done")
        return _to(staff_id)


def _link(user: StaffUser, token: str) -> ResponseReturnValue:
    return render_template(
        "dashboard/settings/team_link.html", user=user, address=invitations.address(token), **_facts()
    )


def _found(staff_id: uuid.UUID) -> StaffUser:
    """The person of this clinic with this id; aborts with 404."""
    user = in_clinic(lambda at, _: at.get(StaffUser, staff_id))
    if user is None:
        abort(HTTPStatus.NOT_FOUND)
    return user


def _locked(staff_id: uuid.UUID, work: Callable[[Session, StaffUser], T]) -> T:
    def within(at: Session, org_id: uuid.UUID) -> tuple[bool, T | None]:
        user = verbs.find_locked(at, org_id, staff_id)
        return (True, work(at, user)) if user else (False, None)

    found, result = in_clinic(within)
    if not found:
        abort(HTTPStatus.NOT_FOUND)
    return result  # type: ignore[return-value]  # of `work`, since the person was found


def _change(
    staff_id: uuid.UUID, work: Callable[[Session, StaffUser], None], done: str
) -> ResponseReturnValue:
    """Change one person, locked, and say so on their page."""

    def within(at: Session, user: StaffUser) -> str:
        work(at, user)
        return user.name

    try:
        flash(f"{_locked(staff_id, within)} {done}", "done")
    except LastOwner:
        flash(
            "Nothing was changed: no other owner can sign in. Make somebody else an owner first.",
            "not_done",
        )
    return _to(staff_id)


def _to(staff_id: uuid.UUID) -> ResponseReturnValue:
    return redirect(url_for("dashboard.settings.member", staff_id=staff_id), HTTPStatus.SEE_OTHER)


# --- who asks -----------------------------------------------------------------------------------


def _refused_at(staff_id: uuid.UUID) -> ResponseReturnValue | None:
    user = _found(staff_id)
    return _refusal("dashboard/settings/team_member.html", user=user)


def _refusal(template: str, **facts: object) -> ResponseReturnValue | None:
    """The answer if the form does not prove that this is the owner, whose browser may have been left open;
    None if it does. It is asked for where a form gives somebody access.
    """
    facts |= _facts()
    try:
        if tries.is_the_person(signed(), request.form.get("proof", "")):
            return None
    except TooSoon as soon:
        return too_soon(template, soon, **facts)
    return render_template(template, problem="wrong", **facts), HTTPStatus.FORBIDDEN
