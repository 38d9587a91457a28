"""`flask published-calendar …`: links by which other programs read a diary. A link is shown once."""

from __future__ import annotations

import uuid
from typing import NoReturn

import click

from models.booking import published
from webapp.cli.changes import locked_resource, possible
from webapp.cli.common import as_json, at, print_json, print_rows


@click.group("published-calendar")
def published_calendar() -> None:
    """Published calendars: links by which Google Calendar and other programs read a diary."""


@published_calendar.command("add")
@click.argument("org_id", type=click.UUID)
@click.option("--for", "resource_id", help="The diary of this person, room or device; without it, of all.")
@click.option(
    "--with-names",
    is_flag=True,
    help="Say services, patients' names and reasons for blocks; without it, busy times only.",
)
@as_json
def add(org_id: uuid.UUID, resource_id: str | None, *, with_names: bool, as_json: bool) -> None:
    """Publish a calendar of ORG_ID and print its link, which cannot be shown again.

    Whoever has the link can read the calendar, and every program that reads it keeps a copy.
    """
    with at(org_id) as (session, _), possible():
        if resource_id is not None:
            locked_resource(session, org_id, resource_id)  # one that is not there is an error
        calendar, token = published.publish(session, org_id, resource_id=resource_id, with_names=with_names)
    _print_link(calendar.id, token, json_wanted=as_json)


@published_calendar.command("list")
@click.argument("org_id", type=click.UUID)
@as_json
def list_(org_id: uuid.UUID, *, as_json: bool) -> None:
    """The published calendars of ORG_ID, with when each was last read and by which program."""
    with at(org_id) as (session, _):
        rows = [
            {
                "id": each.id,
                "for": each.resource_id,
                "says": "names" if each.with_names else "busy",
                "made": f"{each.created_at:%Y-%m-%d %H:%M}",
                "last_read": f"{each.last_used_at:%Y-%m-%d %H:%M}" if each.last_used_at else None,
                "by": each.last_used_by,
            }
            for each in published.list_of_clinic(session, org_id)
        ]
    print_rows(rows, json_wanted=as_json, none="no calendar is published")


@published_calendar.command("renew")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id", type=click.UUID)
@as_json
def renew(org_id: uuid.UUID, calendar_id: uuid.UUID, *, as_json: bool) -> None:
    """Print a new link for CALENDAR_ID. The old one no longer works."""
    with at(org_id) as (session, _):
        token = published.renew(session, org_id, calendar_id) or _there_is_no(org_id, calendar_id)
    _print_link(calendar_id, token, json_wanted=as_json)


@published_calendar.command("revoke")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id", type=click.UUID)
@as_json
def revoke(org_id: uuid.UUID, calendar_id: uuid.UUID, *, as_json: bool) -> None:
    """Stop publishing CALENDAR_ID. Other programs keep what they have already read."""
    with at(org_id) as (session, _):
        if not published.revoke(session, org_id, calendar_id):
            _there_is_no(org_id, calendar_id)
    if as_json:
        print_json({"id": calendar_id, "revoked": True})
    else:
        click.echo("its link no longer works")


def _there_is_no(org_id: uuid.UUID, calendar_id: uuid.UUID) -> NoReturn:
    raise click.ClickException(
        f"there is no published calendar {calendar_id};"
        f" `flask published-calendar list {org_id}` shows those there are"
    )


def _print_link(calendar_id: uuid.UUID, token: str | None, *, json_wanted: bool) -> None:
    """The link alone on standard output, where nothing else is asked for."""
    address = published.address(token or "")
    if json_wanted:
        print_json({"id": calendar_id, "link": address})
    else:
        click.echo(f"published calendar {calendar_id}; its link is shown only now", err=True)
        click.echo(address)
