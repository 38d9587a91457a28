"""`flask import …`: an existing diary from a file of the system that a clinic had before."""

from __future__ import annotations

import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from models.booking import resources
from models.booking.imports import judging, matching, putting
from models.booking.imports.entries import MOST_BYTES, File, Kind, Unreadable
from models.booking.imports.matching import NEW, Choices
from models.booking.imports.reports import Report, seen
from models.booking.resources import ResourceKind
from models.clinics.organizations import Organization
from webapp.cli.changes import possible
from webapp.cli.common import actor, as_json, at, print_json, print_rows


@click.command("import")
@click.argument("kind", type=click.Choice([each.value for each in Kind]))
@click.argument("org_id", type=click.UUID)
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--person", help="Whose rows they are that name nobody; of a calendar file, whose calendar it is."
)
@click.option(
    "--new", "make_new", is_flag=True, help="Add the people, rooms and services that are not there."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--with-past", is_flag=True, help="Also bring past appointments in, as history.")
@click.option("--others", is_flag=True, help="Import the other rows although some are refused.")
@as_json
def import_(
    kind: str,
    org_id: uuid.UUID,
    path: Path,
    *,
    person: str | None,
    make_new: bool,
    dry_run: bool,
    with_past: bool,
    others: bool,
    as_json: bool,
) -> None:
    """Bring the appointments of FILE into the diary of ORG_ID, in one transaction. No SMS is sent.

    If a row is refused, nothing is imported, unless --others is given. The exit status is 0 only if
    everything went in, or would.
    """
    if path.stat().st_size > MOST_BYTES:
        raise click.ClickException("the file is larger than 5 MB; export it in parts, by date")
    data = path.read_bytes()
    with at(org_id) as (session, clinic):
        ground = matching.ground(session, clinic)
    try:
        file = ground.read(data, Kind(kind), with_past=with_past)
        with at(org_id) as (session, clinic), possible():
            zone = ground.zone
            choices = _choices(session, clinic, file, person, make_new=make_new, with_past=with_past)
            if dry_run:
                report = judging.judge(session, clinic, file, choices, zone)
            else:
                agreed = None if others else seen(())
                report = putting.put(session, clinic, file, choices, zone, booker=actor(), seen=agreed)
        done = not dry_run
    except Unreadable as problem:
        raise click.ClickException(str(problem)) from None
    except putting.NotAsSeen as refused:
        report, done = refused.report, False
    _say(report, done=done, dry_run=dry_run, json_wanted=as_json)
    if report.refused:
        sys.exit(1)


def _choices(
    session: Session,
    clinic: Organization,
    file: File,
    person: str | None,
    *,
    make_new: bool,
    with_past: bool,
) -> Choices:
    if person is not None:
        found = resources.get_or_none(session, clinic.id, person)
        if found is None or found.retired_at or found.kind is not ResourceKind.PERSON:
            raise click.ClickException(
                f"there is no person {person}; `flask resource list {clinic.id}` shows those there are"
            )
    guessed = matching.guess(session, clinic.id, file, person=person)
    if not make_new:
        people, services_, rooms = (
            {name: each for name, each in found.items() if each != NEW} for found in guessed.sorts()
        )
        guessed = Choices(people, services_, rooms)
    return replace(guessed, with_past=with_past)


def _say(report: Report, *, done: bool, dry_run: bool, json_wanted: bool) -> None:
    refused = [
        {"line": each.line, "says": each.says, "code": each.code, "why": each.why} for each in report.refused
    ]
    facts: dict[str, Any] = {
        "imported": done,
        "appointments": len(report.appointments),
        "blocks": len(report.blocks),
        "past": len(report.past),
        "left_out": dict(report.left_out),
        "outside_hours": report.outside_hours,
        "notes": report.notes,
    }
    if json_wanted:
        print_json(facts | {"refused": refused})
        return
    would = "were imported" if done else "would be imported" if dry_run else "could be imported"
    click.echo(
        f"{len(report.appointments)} appointments, {len(report.blocks)} blocks and"
        f" {len(report.past)} past appointments {would}"
    )
    for why, count in report.left_out.items():
        click.echo(f"left out: {count} ({why})")
    for note in report.notes:
        click.echo(note)
    if report.outside_hours:
        click.echo(f"outside hours: rows {', '.join(map(str, report.outside_hours))}")
    if refused:
        click.echo(f"{len(refused)} rows are refused", err=True)
        print_rows(refused, json_wanted=False, none="", err=True)
        if not (done or dry_run):
            click.echo("nothing was imported; correct the rows, or give --others", err=True)
