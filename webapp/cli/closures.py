"""`flask closure …`: dates on which hours differ, for the whole clinic or for one person, room or device."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import click
from sqlalchemy.orm import Session

from models.booking import closures
from models.booking import hours as opening_hours
from models.booking.resources import HoursException
from webapp.cli import hours
from webapp.cli.changes import Change, Dates, Id, locked_resource, possible, spoken
from webapp.cli.common import Words, as_json, at, print_rows

_FOR = click.option(
    "--for", "resource_id", help="Of this person, room or device; of the whole clinic if not given."
)


class Part(click.ParamType[tuple[str, str]]):
    name = "hours"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        try:
            return hours.parse_part(str(value))
        except hours.Unreadable as error:
            self.fail(str(error), param, ctx)


class Which(click.ParamType[uuid.UUID | list[date]]):
    name = "id|date[..date]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> uuid.UUID | list[date]:
        try:
            return uuid.UUID(str(value))
        except ValueError:
            return Dates().convert(value, param, ctx)


@click.group("closure")
def closure() -> None:
    """Days and hours on which it is closed, or open besides."""


@closure.command("add")
@click.argument("org_id", type=click.UUID)
@click.argument("dates", type=Dates())
@_FOR
@click.option(
    "--hours", "part", type=Part(), help="Only these, such as 12:00-14:00; the whole day if not given."
)
@click.option("--open", "is_open", is_flag=True, help="Open these --hours besides, in place of closing them.")
@click.option("--room", type=Id(), help="The room in which a person works in this opening.")
@click.option("--reason", type=Words(), help="For the staff.")
@as_json
def add(
    org_id: uuid.UUID,
    dates: list[date],
    resource_id: str | None,
    part: tuple[str, str] | None,
    room: str | None,
    reason: str | None,
    *,
    is_open: bool,
    as_json: bool,
) -> None:
    """Close DATE, or DATE..DATE with both ends, or open hours besides. Appointments stay, and are listed.

    A closed day closes the hours that begin on it to their end, also past midnight. What one person has on a
    date counts after what the whole clinic has, so that somebody can work on a day on which the clinic is
    closed.
    """
    with at(org_id) as (session, _), possible():
        if resource_id is not None:
            locked_resource(session, org_id, resource_id)
        change = Change(session, org_id)
        rows = closures.differ(
            session,
            org_id,
            change,
            dates,
            resource_id=resource_id,
            is_open=is_open,
            period=part,
            room_id=room,
            reason=reason,
        )
        facts = [facts_of(each) for each in rows]
    done = "open besides" if is_open else "closed"
    which = f" {'-'.join(part)}" if part else ""
    change.say(
        f"{done} on {spoken(dates)}{which}: {resource_id or 'the whole clinic'}",
        {"closures": facts},
        json_wanted=as_json,
    )


@closure.command("list")
@click.argument("org_id", type=click.UUID)
@as_json
def list_(org_id: uuid.UUID, *, as_json: bool) -> None:
    """The dates of ORG_ID that differ, from today on."""
    with at(org_id) as (session, _):
        found = opening_hours.list_different(session, org_id, closures.today(session, org_id))
        rows = [facts_of(each) for each in found]
    print_rows(rows, json_wanted=as_json, none=f"every day is as usual: flask closure add {org_id} DATE")


@closure.command("remove")
@click.argument("org_id", type=click.UUID)
@click.argument("which", type=Which())
@_FOR
@as_json
def remove(
    org_id: uuid.UUID, which: uuid.UUID | list[date], resource_id: str | None, *, as_json: bool
) -> None:
    """Take back WHICH: the id that `flask closure list` shows, or everything on DATE or DATE..DATE."""
    if isinstance(which, uuid.UUID) and resource_id is not None:
        raise click.UsageError("--for goes with a date; an id names one closure already")
    with at(org_id) as (session, _), possible():
        change = Change(session, org_id)
        rows = _meant(session, org_id, which, resource_id)
        if not rows:
            raise click.ClickException(
                f"there is no such closure of {resource_id or 'the whole clinic'};"
                f" `flask closure list {org_id}` shows those there are"
            )
        facts = [facts_of(each) for each in rows]
        closures.take_back(session, org_id, change, rows)
    change.say(f"taken back: {len(facts)}", {"closures": facts}, json_wanted=as_json)


def _meant(
    session: Session, org_id: uuid.UUID, which: uuid.UUID | list[date], resource_id: str | None
) -> list[HoursException]:
    if isinstance(which, uuid.UUID):
        return [each for each in opening_hours.list_different(session, org_id, date.min) if each.id == which]
    return [
        each
        for each in opening_hours.list_different(session, org_id, which[0])
        if each.day in which and each.resource_id == resource_id
    ]


def facts_of(row: HoursException) -> dict[str, Any]:
    minutes = (row.from_minute, row.until_minute)
    return {
        "id": row.id,
        "date": row.day.isoformat(),
        "for": row.resource_id,
        "is": "open besides" if row.is_open else "closed",
        "hours": "-".join(opening_hours.time_of(each) for each in minutes if each is not None) or None,
        "room": row.room_id,
        "reason": row.reason,
    }
