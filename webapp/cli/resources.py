"""`flask resource …`: the people, rooms and devices of a clinic, and their hours."""

from __future__ import annotations

import uuid
from typing import Any

import click
from sqlalchemy.orm import Session

from models.booking import hours as opening_hours
from models.booking import resources, retirement, services, set_up, standing
from models.booking.resources import Resource, ResourceKind
from webapp.cli import hours
from webapp.cli.changes import Change, Id, OpeningHours, Zone, locked_resource, possible
from webapp.cli.common import Words, as_json, at, print_rows

HOURS = f'"{hours.EXAMPLE}". {hours.OVER_MIDNIGHT}; 09:00-12:30@room-1 is in that room.'
_ROOM = click.option(
    "--room", type=Id(), help="The room in which a person works in the hours that name none."
)


@click.group("resource")
def resource() -> None:
    """People, rooms and devices: who and what an appointment takes, and when they are open."""


@resource.command("add")
@click.argument("org_id", type=click.UUID)
@click.argument("resource_id", type=Id())
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in ResourceKind]),
    required=True,
    help="An appointment takes one of each kind that its service lists.",
)
@click.option("--name", type=Words(), required=True, help="As callers say it, and as the staff read it.")
@click.option("--zone", type=Zone(), required=True, help="IANA name; the hours are wall-clock time in it.")
@click.option(
    "--hours",
    "opening",
    type=OpeningHours(),
    help=f"{HOURS} A person without hours is never open, a room or device without hours always.",
)
@_ROOM
@as_json
def add(
    org_id: uuid.UUID,
    resource_id: str,
    kind: str,
    name: str,
    zone: str,
    opening: hours.Hours | None,
    room: str | None,
    *,
    as_json: bool,
) -> None:
    """Add the person, room or device RESOURCE_ID to ORG_ID."""
    weekly = _in_room(opening, room)
    with at(org_id) as (session, _), possible():
        change = Change(session, org_id)
        row = set_up.add_resource(
            session,
            org_id=org_id,
            resource_id=resource_id,
            kind=ResourceKind(kind),
            name=name,
            time_zone=zone,
            opening=weekly,
        )
        change.done()
        facts = _facts(session, row)
    change.say(_line(facts), facts, json_wanted=as_json)


@resource.command("list")
@click.argument("org_id", type=click.UUID)
@click.option("--all", "retired", is_flag=True, help="Those who are retired as well.")
@as_json
def list_(org_id: uuid.UUID, *, retired: bool, as_json: bool) -> None:
    """The people, rooms and devices of ORG_ID."""
    with at(org_id) as (session, _):
        rows = [_facts(session, each) for each in resources.list_of_clinic(session, org_id, retired=retired)]
    print_rows(
        rows,
        json_wanted=as_json,
        none=f"there is nobody and nothing yet: flask resource add {org_id} ID --kind person …",
    )


@resource.command("set")
@click.argument("org_id", type=click.UUID)
@click.argument("resource_id")
@click.option("--name", type=Words(), help="As callers say it, and as the staff read it.")
@click.option(
    "--zone", type=Zone(), help="Hours go by its clocks from now on; what is booked stays at its instant."
)
@click.option("--hours", "opening", type=OpeningHours(), help=f"All of them anew. {HOURS}")
@click.option("--no-hours", is_flag=True, help="A person is never open then, and a room or device always.")
@_ROOM
@as_json
def set_(
    org_id: uuid.UUID,
    resource_id: str,
    name: str | None,
    zone: str | None,
    opening: hours.Hours | None,
    room: str | None,
    *,
    no_hours: bool,
    as_json: bool,
) -> None:
    """Change what is given, and nothing else. Appointments outside the new hours stay, and are listed."""
    if name is None and zone is None and opening is None and not no_hours:
        raise click.UsageError("nothing was given to change; see --help")
    if opening is not None and no_hours:
        raise click.UsageError("--hours and --no-hours exclude each other")
    weekly = {} if no_hours else _in_room(opening, room)
    with at(org_id) as (session, _), possible():
        row = locked_resource(session, org_id, resource_id)
        change = Change(session, org_id)
        set_up.change_resource(session, row, name=name, time_zone=zone)
        if weekly is not None:
            opening_hours.replace(session, org_id, row.id, weekly)
        touched = weekly is not None or zone is not None
        change.done(standing.find(session, org_id, resource_ids=[row.id]) if touched else ())
        facts = _facts(session, row)
    change.say(_line(facts), facts, json_wanted=as_json)


@resource.command("retire")
@click.argument("org_id", type=click.UUID)
@click.argument("resource_id")
@click.option("--undo", is_flag=True, help="Offer it again, with the hours that it had.")
@as_json
def retire(org_id: uuid.UUID, resource_id: str, *, undo: bool, as_json: bool) -> None:
    """Book nothing more with RESOURCE_ID. Appointments stay, and are listed."""
    with at(org_id) as (session, _), possible():
        row = locked_resource(session, org_id, resource_id)
        change = Change(session, org_id)
        if undo:
            retirement.take_back(session, row)
        else:
            retirement.retire_resource(session, row)
        change.done(standing.find(session, org_id, resource_ids=[row.id]))
        facts = _facts(session, row)
    change.say(f"{row.id} is {'offered again' if undo else 'retired'}", facts, json_wanted=as_json)


def _in_room(opening: hours.Hours | None, room: str | None) -> hours.Hours | None:
    if room is not None and opening is None:
        raise click.UsageError("--room goes with --hours")
    return hours.in_room(opening, room) if opening is not None and room is not None else opening


def _facts(session: Session, row: Resource) -> dict[str, Any]:
    weekly = opening_hours.read(session, row.org_id, row.id)
    return {
        "id": row.id,
        "kind": row.kind.value,
        "name": row.name,
        "zone": row.time_zone,
        "hours": hours.written(weekly) if weekly else None,
        "services": [each.id for each in services.done_by(session, row.org_id, row.id)],
        "retired": row.retired_at and row.retired_at.date().isoformat(),
    }


def _line(facts: dict[str, Any]) -> str:
    always = "never open" if facts["kind"] == ResourceKind.PERSON else "always open"
    return f"{facts['id']}: {facts['hours'] or always}, {facts['zone']}"
