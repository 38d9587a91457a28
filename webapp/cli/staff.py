"""`flask staff …`: the people of a clinic who may sign in."""

from __future__ import annotations

import uuid

import click
from sqlalchemy.orm import Session

from models.clinics import second_factor
from models.clinics import staff as people
from models.clinics.staff import StaffRole, StaffUser
from webapp.cli.common import Words, as_json, at, print_rows, secret


@click.group("staff")
def staff() -> None:
    """People who may sign in. A password is typed, or read from one line of standard input."""


@staff.command("add")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
@click.option("--name", type=Words(), required=True, help="As the pages show it beside what was done.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in StaffRole]),
    default=StaffRole.STAFF.value,
    show_default=True,
    help="owner: everything; staff: the desk; read_only: look, and change nothing.",
)
def add(org_id: uuid.UUID, email: str, name: str, role: str) -> None:
    """Let EMAIL sign in for ORG_ID."""
    local, _, domain = people.normal_email(email).partition("@")
    if not local or "." not in domain or " " in email.strip():
        raise click.ClickException(f"{email} is no e-mail address")
    with at(org_id) as (session, _):
        _refuse_a_second(session, org_id, email)  # before the operator types a password in vain
    password = _new_password(email, name)
    with at(org_id) as (session, _):
        _refuse_a_second(session, org_id, email)
        user = people.add(session, org_id=org_id, email=email, name=name, role=StaffRole(role))
        people.set_password(user, password)
    click.echo(f"{user.email} may sign in")


@staff.command("list")
@click.argument("org_id", type=click.UUID)
@as_json
def list_(org_id: uuid.UUID, *, as_json: bool) -> None:
    """Who may sign in for ORG_ID."""
    with at(org_id) as (session, _):
        rows = [
            {
                "email": user.email,
                "name": user.name,
                "role": user.role.value,
                "password": user.password_hash is not None,
                "second_factor": second_factor.is_on(user),
                "last_seen": f"{user.last_seen_at:%Y-%m-%d %H:%M}" if user.last_seen_at else None,
                "disabled": f"{user.disabled_at:%Y-%m-%d %H:%M}" if user.disabled_at else None,
            }
            for user in people.list_of(session, org_id)
        ]
    print_rows(
        rows, json_wanted=as_json, none=f"there is nobody yet: flask staff add {org_id} EMAIL --name …"
    )


@staff.command("password")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
def password(org_id: uuid.UUID, email: str) -> None:
    """Set another password for EMAIL; sessions that signed in with the old one end."""
    with at(org_id) as (session, _):
        name = _find(session, org_id, email).name
    chosen = _new_password(email, name)
    with at(org_id) as (session, _):
        people.set_password(_find(session, org_id, email), chosen)
    click.echo(f"{people.normal_email(email)} has another password")


@staff.command("role")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
@click.argument("role", type=click.Choice([role.value for role in StaffRole]))
def role_(org_id: uuid.UUID, email: str, role: str) -> None:
    """Give EMAIL another role, which counts from the next request on."""
    with at(org_id) as (session, _):
        _find(session, org_id, email).role = StaffRole(role)
    click.echo(f"{people.normal_email(email)} is {role} now")


@staff.command("disable")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
def disable(org_id: uuid.UUID, email: str) -> None:
    """EMAIL may not sign in any more; open sessions end. The audit log keeps what was done."""
    with at(org_id) as (session, _):
        people.disable(session, _find(session, org_id, email))
    click.echo(f"{people.normal_email(email)} may not sign in any more")


@staff.command("enable")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
def enable(org_id: uuid.UUID, email: str) -> None:
    """EMAIL may sign in again, with the same password."""
    with at(org_id) as (session, _):
        people.enable(_find(session, org_id, email))
    click.echo(f"{people.normal_email(email)} may sign in again")


@staff.command("reset-second-factor")
@click.argument("org_id", type=click.UUID)
@click.argument("email")
def reset_second_factor(org_id: uuid.UUID, email: str) -> None:
    """Let EMAIL sign in with the password alone again, after telephone and recovery codes were lost."""
    with at(org_id) as (session, _):
        user = _find(session, org_id, email)
        if not second_factor.is_on(user):
            raise click.ClickException(f"{user.email} has no second factor")
        second_factor.turn_off(user)
        user.session_epoch += 1
    click.echo(f"{user.email} has no second factor any more, and is signed out everywhere")


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
