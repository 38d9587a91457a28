"""`flask staff …`: the people of a clinic who may sign in."""

from __future__ import annotations

import uuid
from datetime import datetime

import click
from sqlalchemy.orm import Session

from models.clinics import invitations, second_factor
from models.clinics import staff as people
from models.clinics.staff import StaffRole, StaffUser
from webapp.cli.common import Words, as_json, at, print_json, print_rows, secret


@click.group("staff")
def staff() -> None:
    """People who may sign in. A password is typed, or read from one line of standard input."""


role_option = click.option(
    "--role",
    type=click.Choice([role.value for role in StaffRole]),
    default=StaffRole.STAFF.value,
    show_default=True,
    help="owner: everything; staff: the desk; read_only: look, and change nothing.",
)


@staff.command("add")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
@click.option("--name", type=Words(), required=True, help="As the pages show it beside what was done.")
@role_option
@as_json
def add(org_id: uuid.UUID, email: str, name: str, role: str, *, as_json: bool) -> None:
    """Let EMAIL sign in for ORG_ID, with a password that you type; `flask staff invite` leaves it to them."""
    email = _address(email)
    with at(org_id) as (session, _):
        _refuse_a_second(session, org_id, email)  # before the operator types a password in vain
    password = _new_password(email, name)
    with at(org_id) as (session, _):
        _refuse_a_second(session, org_id, email)
        user = people.add(session, org_id=org_id, email=email, name=name, role=StaffRole(role))
        people.set_password(user, password)
    _say(user, f"{user.email} may sign in", as_json=as_json)


@staff.command("invite")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
@click.option("--name", type=Words(), help="Adds a person who is not in the team yet.")
@role_option
@as_json
def invite(org_id: uuid.UUID, email: str, name: str | None, role: str, *, as_json: bool) -> None:
    """Print a link with which EMAIL sets a password of their own: with --name for a new person, without it
    for one who has forgotten theirs. It works once, for 48 hours, and ends the link before it.
    """
    email = _address(email)
    with at(org_id) as (session, _):
        if name is None:
            user = _find(session, org_id, email)
        else:
            _refuse_a_second(session, org_id, email)
            user = people.add(session, org_id=org_id, email=email, name=name, role=StaffRole(role))
            session.flush()
        try:
            link = invitations.address(invitations.invite(session, user))
        except invitations.Disabled:
            raise click.ClickException(
                f"{email} may not sign in: flask staff enable {org_id} {email}"
            ) from None
    if as_json:
        print_json({**_facts(user), "link": link})
    else:
        click.echo(link)


@staff.command("list")
@click.argument("org_id", type=click.UUID)
@as_json
def list_(org_id: uuid.UUID, *, as_json: bool) -> None:
    """Who may sign in for ORG_ID."""
    with at(org_id) as (session, _):
        rows = [_facts(user) for user in people.list_of(session, org_id)]
    print_rows(
        rows, json_wanted=as_json, none=f"there is nobody yet: flask staff add {org_id} EMAIL --name …"
    )


def _facts(user: StaffUser) -> dict[str, object]:
    def minute(moment: datetime | None) -> str | None:
        return f"{moment:%Y-%m-%d %H:%M}" if moment else None

    return {
        "email": user.email,
        "name": user.name,
        "role": user.role.value,
        "password": user.password_hash is not None,
        "second_factor": second_factor.is_on(user),
        "link_until": minute(user.invited_until),
        "last_seen": minute(user.last_seen_at),
        "disabled": minute(user.disabled_at),
    }


def _say(user: StaffUser, done: str, *, as_json: bool) -> None:
    """Print what was done, or the person as they are now."""
    if as_json:
        print_json(_facts(user))
    else:
        click.echo(done)


@staff.command("password")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
@as_json
def password(org_id: uuid.UUID, email: str, *, as_json: bool) -> None:
    """Set another password for EMAIL; sessions that signed in with the old one end."""
    with at(org_id) as (session, _):
        name = _find(session, org_id, email).name
    chosen = _new_password(email, name)
    with at(org_id) as (session, _):
        user = _find(session, org_id, email)
        people.set_password(user, chosen)
    _say(user, f"{user.email} has another password", as_json=as_json)


@staff.command("role")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
@click.argument("role", type=click.Choice([role.value for role in StaffRole]))
@as_json
def role_(org_id: uuid.UUID, email: str, role: str, *, as_json: bool) -> None:
    """Give EMAIL another role, which counts from the next request on."""
    with at(org_id) as (session, _):
        user = _find(session, org_id, email)
        user.role = StaffRole(role)
    _say(user, f"{user.email} is {role} now", as_json=as_json)


@staff.command("disable")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
@as_json
def disable(org_id: uuid.UUID, email: str, *, as_json: bool) -> None:
    """EMAIL may not sign in any more; open sessions end. The audit log keeps what was done."""
    with at(org_id) as (session, _):
        user = _find(session, org_id, email)
        people.disable(session, user)
    _say(user, f"{user.email} may not sign in any more", as_json=as_json)


@staff.command("enable")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
@as_json
def enable(org_id: uuid.UUID, email: str, *, as_json: bool) -> None:
    """EMAIL may sign in again, with the same password."""
    with at(org_id) as (session, _):
        user = _find(session, org_id, email)
        people.enable(user)
    _say(user, f"{user.email} may sign in again", as_json=as_json)


@staff.command("sign-out")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
@as_json
def sign_out(org_id: uuid.UUID, email: str, *, as_json: bool) -> None:
    """End every session of EMAIL, who may sign in again."""
    with at(org_id) as (session, _):
        user = _find(session, org_id, email)
        people.end_sessions(user)
    _say(user, f"{user.email} is signed out everywhere", as_json=as_json)


@staff.command("reset-second-factor")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
@as_json
def reset_second_factor(org_id: uuid.UUID, email: str, *, as_json: bool) -> None:
    """Let EMAIL sign in with the password alone again, after telephone and recovery codes were lost."""
    with at(org_id) as (session, _):
        user = _find(session, org_id, email)
        if not second_factor.is_on(user):
            raise click.ClickException(f"{user.email} has no second factor")
        second_factor.turn_off(user)
        people.end_sessions(user)
    _say(user, f"{user.email} has no second factor any more, and is signed out everywhere", as_json=as_json)


def _address(email: str) -> str:
    try:
        return people.check_email(email)
    except people.NotAnAddress:
        raise click.ClickException(f"{email} is no e-mail address") from None


def _refuse_a_second(session: Session, org_id: uuid.UUID, email: str) -> None:
    known = people.find(session, org_id, email)
    if known and known.disabled_at:
        raise click.ClickException(
            f"{known.email} is there already and may not sign in: flask staff enable {org_id} {known.email}"
        )
    if known:
        raise click.ClickException(f"{known.email} is there already; see `flask staff password`")


def _new_password(email: str, name: str) -> str:
    chosen = secret("Password", twice=True)
    try:
        people.check_password(chosen, email=email, name=name)
    except people.WeakPassword as error:
        raise click.ClickException(f"this password will not do: {error}") from None
    return chosen


def _find(session: Session, org_id: uuid.UUID, email: str) -> StaffUser:
    user = people.find(session, org_id, email)
    if user is None:
        raise click.ClickException(f"{email} is not there; `flask staff list {org_id}` shows who is")
    return user
