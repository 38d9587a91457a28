"""`flask patient …`: shows or erases all that a clinic holds about one telephone number, and keeps notes."""

from __future__ import annotations

import uuid

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.clinics import patient_notes
from models.clinics.contacts import Contact
from models.clinics.organizations import Organization
from models.insight import privacy
from webapp.cli.common import Words, actor, as_json, at, print_json, print_rows, telephone


@click.group("patient")
def patient() -> None:
    """One patient's data: export, erase, notes."""


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
@as_json
def erase(org_id: uuid.UUID, phone: str, *, yes: bool, cancel: bool, as_json: bool) -> None:
    """Erase name, number and words of the number PHONE, everywhere in ORG_ID. It cannot be taken back."""
    with at(org_id) as (session, clinic):
        numbers = _numbers(clinic, phone)
        try:
            held = privacy.find(session, org_id, numbers).counts()
        except privacy.NothingHeld:
            raise _nothing(phone, clinic) from None
    if not yes:
        said = f"Erase {numbers[0]} from {_spoken(held)} of {clinic.name}?"
        click.confirm(said, abort=True, err=as_json)
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
    if as_json:
        print_json({"erased": erased})
    else:
        click.echo(f"erased from {_spoken(erased)}")


@patient.group("note")
def note() -> None:
    """Notes of the staff about a patient."""


@note.command("add")
@click.argument("org_id", type=click.UUID)
@click.argument("phone")
@click.argument("words", type=Words(patient_notes.LONGEST))
@as_json
def add_note(org_id: uuid.UUID, phone: str, words: str, *, as_json: bool) -> None:
    """Keep WORDS about the patient with the number PHONE, for the staff only."""
    with at(org_id) as (session, clinic):
        contact = _contact(session, clinic, phone)
        note_id = patient_notes.write(
            session, org_id=org_id, contact_id=contact.id, body=words, writer=actor()
        )
    if as_json:
        print_json({"id": note_id})
    else:
        click.echo(f"noted: {note_id}")


@note.command("list")
@click.argument("org_id", type=click.UUID)
@click.argument("phone")
@as_json
def list_notes(org_id: uuid.UUID, phone: str, *, as_json: bool) -> None:
    """The notes about the patient with the number PHONE, the latest first."""
    with at(org_id) as (session, clinic):
        contact = _contact(session, clinic, phone)
        rows = [
            {"id": each.id, "at": each.created_at.isoformat(), "by": each.writer, "words": each.body}
            for each in patient_notes.list_of(session, org_id, contact.id)
        ]
    print_rows(rows, json_wanted=as_json, none="there are no notes about this patient")


@note.command("remove")
@click.argument("org_id", type=click.UUID)
@click.argument("phone")
@click.argument("note_id", type=click.UUID)
@as_json
def remove_note(org_id: uuid.UUID, phone: str, note_id: uuid.UUID, *, as_json: bool) -> None:
    """Delete the note NOTE_ID about the patient with the number PHONE."""
    with at(org_id) as (session, clinic):
        contact = _contact(session, clinic, phone)
        if not patient_notes.remove(session, org_id, contact.id, note_id):
            raise click.ClickException(
                f"there is no note {note_id}; `flask patient note list {org_id} PHONE` shows those there are"
            )
    if as_json:
        print_json({"removed": note_id})
    else:
        click.echo("removed")


def _contact(session: Session, clinic: Organization, phone: str) -> Contact:
    found = session.scalar(
        select(Contact).where(Contact.org_id == clinic.id, Contact.phone.in_(_numbers(clinic, phone)))
    )
    if found is None:
        raise _nothing(phone, clinic)
    return found


def _numbers(clinic: Organization, said: str) -> list[str]:
    """The number as the tools store it, and as it was given: SQL by hand may have stored that."""
    return list(dict.fromkeys([telephone(clinic, said), said.strip()]))


def _nothing(phone: str, clinic: Organization) -> click.ClickException:
    return click.ClickException(f"{clinic.name} holds nothing about {phone}")


def _spoken(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
