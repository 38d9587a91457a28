"""`flask patient …`: shows or erases everything that a clinic holds about one telephone number."""

from __future__ import annotations

import uuid

import click

from models.clinics.organizations import Organization
from models.insight import privacy
from webapp.cli.common import at, print_json, telephone


@click.group("patient")
def patient() -> None:
    """One patient's data: export, erase."""


@patient.command("export")
@click.argument("org_id", type=click.UUID)
@click.argument("phone")
def export(org_id: uuid.UUID, phone: str) -> None:
    """Everything that ORG_ID holds about the number PHONE, as JSON."""
    with at(org_id) as (session, clinic):
        numbers = _numbers(clinic, phone)
        try:
            about = privacy.export(session, org_id, numbers)
        except privacy.NothingHeld:
            raise _nothing(phone, clinic) from None
        print_json({"organization": {"id": clinic.id, "name": clinic.name}, "phone": numbers[0], **about})


@patient.command("erase")
@click.argument("org_id", type=click.UUID)
@click.argument("phone")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--cancel", is_flag=True, help="Cancel the appointments to come as well.")
def erase(org_id: uuid.UUID, phone: str, *, yes: bool, cancel: bool) -> None:
    """Erase name, number and words of the number PHONE, everywhere in ORG_ID. It cannot be taken back."""
    with at(org_id) as (session, clinic):
        numbers = _numbers(clinic, phone)
        try:
            held = privacy.find(session, org_id, numbers).counts()
        except privacy.NothingHeld:
            raise _nothing(phone, clinic) from None
    if not yes:
        click.confirm(f"Erase {numbers[0]} from {_spoken(held)} of {clinic.name}?", abort=True)
    with at(org_id) as (session, clinic):
        try:
            erased = privacy.erase(session, org_id, numbers, cancel=cancel)
        except privacy.StillExpected as error:
            raise click.ClickException(
                f"{error}, the first on {min(error.starts):%Y-%m-%d %H:%M} UTC, and an erased patient cannot"
                " be reached. --cancel cancels them as well; nothing was changed"
            ) from None
        except privacy.BeingSent:
            raise click.ClickException(
                "an SMS to this number is being sent right now; nothing was changed, try again in a minute"
            ) from None
        except privacy.NothingHeld:
            raise _nothing(phone, clinic) from None
    click.echo(f"erased from {_spoken(erased)}")


def _numbers(clinic: Organization, said: str) -> list[str]:
    """The number as the tools store it, and as it was given: SQL by hand may have stored that."""
    return list(dict.fromkeys([telephone(clinic, said), said.strip()]))


def _nothing(phone: str, clinic: Organization) -> click.ClickException:
    return click.ClickException(f"{clinic.name} holds nothing about {phone}")


def _spoken(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
