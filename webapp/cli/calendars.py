"""`flask calendar …`: what an agent may name to book by, with the hours, rules and days of its person."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import click
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import calendar_changes, resources, services, set_up, standing
from models.booking import hours as opening_hours
from models.booking.resources import ResourceKind
from models.booking.standing import Why
from models.clinics import calendars
from models.clinics.calendars import Calendar
from webapp.cli import hours
from webapp.cli.changes import (
    Change,
    Dates,
    OpeningHours,
    Zone,
    locked_calendar,
    possible,
    spoken,
)
from webapp.cli.common import as_json, at, print_rows, whole_numbers

RULES = {
    "slot_minutes": (5, 480, "How long an appointment lasts."),
    "step_minutes": (5, 480, "How far apart two offered starts are; as long as an appointment if not given."),
    "hold_minutes": (1, 60, "How long a caller keeps a time without the code."),
    "min_notice_minutes": (0, 525_600, "The soonest that a caller may come."),
    "horizon_days": (1, 3660, "How many days ahead the diary is open."),
}

_HOURS = f'"{hours.EXAMPLE}". {hours.OVER_MIDNIGHT}.'
_OF = click.option(
    "--of", "resource_id", help="The person, room or device whose calendar it is, who is there already."
)
_ANYONE = click.option("--anyone", is_flag=True, help="Of nobody in particular: whoever can do the service.")


@click.group("calendar")
def calendar() -> None:
    """Calendars: what an agent may name, with its hours, rules, closed days."""


@calendar.command("add")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id")
@click.option("--name", required=True, help="For people.")
@click.option("--zone", type=Zone(), required=True, help="IANA name; the hours are wall-clock time in it.")
@click.option(
    "--hours", "opening", type=OpeningHours(), help=f"Make its person too, with these hours: {_HOURS}"
)
@click.option("--service", multiple=True, help="With --hours: what can be booked; once for each.")
@click.option(
    "--resource",
    "room",
    help="With --hours: a room that its services need; two calendars with the same one exclude each other.",
)
@_OF
@_ANYONE
@click.option(
    "--default-service",
    help="With --of or --anyone: the id of the service that is meant where none is named.",
)
@whole_numbers(RULES)
@as_json
def add(
    org_id: uuid.UUID,
    calendar_id: str,
    name: str,
    zone: str,
    opening: hours.Hours | None,
    service: tuple[str, ...],
    room: str | None,
    resource_id: str | None,
    default_service: str | None,
    *,
    anyone: bool,
    as_json: bool,
    **rules: int | None,
) -> None:
    """Make the calendar CALENDAR_ID of ORG_ID: with a person of its own (--hours), --of somebody, or of
    --anyone.
    """
    if not calendar_id.strip():
        raise click.ClickException("a calendar needs an id")
    hold_minutes = rules.pop("hold_minutes") or 10
    given = _columns(rules)
    if resource_id is None and not anyone:
        _assert_with_person(opening, default_service)
    else:
        if resource_id is not None and anyone:
            raise click.UsageError("--of and --anyone exclude each other")
        if opening is not None or service or room or given:
            raise click.UsageError(
                "with --of and --anyone the people and services are there already: `flask resource set` has"
                " their hours, and `flask service set` the rules"
            )
        if default_service is None:
            raise click.MissingParameter(param_hint="'--default-service'", param_type="option")
    if "minutes" in given:
        given.setdefault("step_minutes", given["minutes"])
    with at(org_id) as (session, _), possible():
        if session.get(Calendar, (org_id, calendar_id)):
            raise click.ClickException(f"there is a calendar {calendar_id} already; see `flask calendar set`")
        change = Change(session, org_id)
        if opening is not None:
            row = set_up.add_calendar(
                session,
                org_id=org_id,
                calendar_id=calendar_id,
                name=name,
                time_zone=zone,
                opening=opening,
                service_names=service,
                room=room if room != calendar_id else None,
                hold_minutes=hold_minutes,
                **given,
            )
        else:
            row = set_up.add_calendar_of(
                session,
                org_id=org_id,
                calendar_id=calendar_id,
                name=name,
                time_zone=zone,
                service_id=default_service,
                resource_id=resource_id,
                hold_minutes=hold_minutes,
            )
        change.done()
        facts = _row(session, row)
    whose = hours.written(opening) if opening is not None else resource_id or "whoever can do the service"
    change.say(f"{calendar_id}: {whose}, {zone}", facts, json_wanted=as_json)


def _assert_with_person(opening: hours.Hours | None, default_service: str | None) -> None:
    if opening is None:
        raise click.MissingParameter(param_hint="'--hours'", param_type="option")
    if default_service is not None:
        raise click.UsageError("--default-service goes with --of or --anyone; here the first --service is it")


@calendar.command("list")
@click.argument("org_id", type=click.UUID)
@click.option(
    "--next", "is_next", is_flag=True, help="Also what callers are offered from each next, or why nothing."
)
@as_json
def list_(org_id: uuid.UUID, *, is_next: bool, as_json: bool) -> None:
    """The calendars of ORG_ID."""
    with at(org_id) as (session, _):
        rows = []
        for each in calendars.list_of_clinic(session, org_id):
            row = _row(session, each)
            if is_next:
                offered = calendar_changes.offered(session, each, clock.now(session))
                starts = [start.astimezone(each.zone).isoformat("T", "minutes") for start in offered.starts]
                row |= {"next": starts, "why_none": offered.why_none}
            rows.append(row)
    print_rows(rows, json_wanted=as_json, none=f"there is none yet: flask calendar add {org_id} …")


@calendar.command("set")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id")
@click.option("--name", help="For people.")
@click.option("--zone", "time_zone", type=Zone(), help="What is booked stays at its instant.")
@click.option("--hours", type=OpeningHours(), help=f"All of them anew; what is booked stays. {_HOURS}")
@click.option("--service", "services", multiple=True, help="All of them anew; once for each.")
@_OF
@_ANYONE
@click.option("--default-service", help="The id of the service that is meant where none is named.")
@whole_numbers(RULES)
@as_json
def set_(org_id: uuid.UUID, calendar_id: str, *, as_json: bool, **given: Any) -> None:
    """Change the settings that are given, and nothing else.

    Hours, services and rules are changed for this calendar's person alone, also where others do the same
    service.
    """
    if given["resource_id"] is not None and given["anyone"]:
        raise click.UsageError("--of and --anyone exclude each other")
    if not any(value not in (None, (), False) for value in given.values()):
        raise click.UsageError("nothing was given to change; see --help")
    with at(org_id) as (session, _), possible():
        row = locked_calendar(session, org_id, calendar_id)
        change = Change(session, org_id)
        if given["resource_id"] or given["anyone"] or given["default_service"]:
            set_up.point(
                session,
                row,
                service_id=given["default_service"] or row.service_id,
                resource_id=None if given["anyone"] else given["resource_id"] or row.resource_id,
            )
        _change(session, row, given)
        _change_services(session, row, given, change)
        change.done(
            standing.find(session, org_id, resource_ids=[row.resource_id])
            if row.resource_id and (given["hours"] or given["services"] or given["time_zone"])
            else ()
        )
        shown = _row(session, row)
    whose = shown["hours"] or shown["resource"] or "whoever can do the service"
    change.say(f"{shown['id']}: {whose}, {shown['zone']}", shown, json_wanted=as_json)


def _change(session: Session, row: Calendar, given: dict[str, Any]) -> None:
    """Change what is the calendar's own, and the name, the zone and the hours of its person with it."""
    for name in ("name", "time_zone", "hold_minutes"):
        if given[name] is not None:
            setattr(row, name, given[name])
    if row.resource_id is None:
        if given["hours"] is not None:
            raise click.ClickException(
                f"the calendar {row.id} is of nobody in particular; people have hours of their own:"
                f" flask resource set {row.org_id} …"
            )
        return
    whose = resources.get_or_none(session, row.org_id, row.resource_id)
    if whose:
        set_up.change_resource(session, whose, name=given["name"], time_zone=given["time_zone"])
    if given["hours"] is not None:
        opening_hours.replace(session, row.org_id, row.resource_id, given["hours"])


def _change_services(session: Session, row: Calendar, given: dict[str, Any], change: Change) -> None:
    """Name the services anew, and change the rules of all of them, for the calendar's person alone."""
    if names := given["services"]:
        first = row.service_id and services.get_or_none(session, row.org_id, row.service_id)
        kept = {rule: getattr(first, rule) for rule in services.RULES} if first else {}
        rooms = _rooms(session, row)
        set_up.name_services(session, row, names, room=rooms[0] if rooms else None, **kept)
    if rules := _columns({rule: given[rule] for rule in RULES if rule != "hold_minutes"}):
        change.notes += [
            f"other people do {each.name} too and keep their rules; this calendar has its own now, {each.id}"
            " (`flask service set` changes a service for all who do it)"
            for each in set_up.change_services(session, row, **rules)
        ]


def _columns(rules: dict[str, int | None]) -> dict[str, Any]:
    """The rules that are given, by the names that they have in the table of services."""
    return {
        {"slot_minutes": "minutes"}.get(rule, rule): value
        for rule, value in rules.items()
        if value is not None
    }


def _rooms(session: Session, row: Calendar) -> list[str]:
    """The rooms of the calendar's own service."""
    service = row.service_id and services.get_or_none(session, row.org_id, row.service_id)
    able = services.who_can_do(session, service) if service else []
    return [each.id for each in able if each.kind is ResourceKind.ROOM]


def _row(session: Session, row: Calendar) -> dict[str, Any]:
    """A calendar with the hours of its person and the rules of its own service."""
    person = row.resource_id
    service = row.service_id and services.get_or_none(session, row.org_id, row.service_id)
    rooms = _rooms(session, row) if person else []
    closed = opening_hours.closed_days(session, row.org_id, person) if person else []
    return {
        "id": row.id,
        "name": row.name,
        # The room that two calendars share, as they exclude each other by it.
        "resource": rooms[0] if rooms else person,
        "zone": row.time_zone,
        "hours": hours.written(opening_hours.read(session, row.org_id, person)) if person else None,
        "minutes": service.minutes if service else None,
        "every": service.step_minutes if service else None,
        "services": services.names_by_calendar(session, row),
        "closed": [each.isoformat() for each in closed],
    }


def _person(row: Calendar) -> str:
    if row.resource_id is None:
        raise click.ClickException(
            f"the calendar {row.id} is of nobody in particular; `flask closure add {row.org_id} DATE` closes"
            " the whole clinic, or one person"
        )
    return row.resource_id


@calendar.command("close")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id")
@click.argument("dates", type=Dates())
@as_json
def close(org_id: uuid.UUID, calendar_id: str, dates: list[date], *, as_json: bool) -> None:
    """Offer no slots on DATE, or on DATE..DATE with both ends. Appointments on these days stay.

    Hours that begin on DATE and go on past midnight are closed to their end. `flask closure` closes a part of
    a day, or the whole clinic.
    """
    with at(org_id) as (session, _):
        row = locked_calendar(session, org_id, calendar_id)
        person = _person(row)
        change = Change(session, org_id)
        opening_hours.close(session, org_id, dates, resource_id=person)
        found = standing.find(session, org_id, resource_ids=[person], days=dates)
        change.done([each for each in found if Why.OUTSIDE_HOURS in each.why])
        facts = _row(session, row)
    change.say(f"closed on {spoken(dates)}", facts, json_wanted=as_json, where=" on these days")


@calendar.command("open")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id")
@click.argument("dates", type=Dates())
@as_json
def open_(org_id: uuid.UUID, calendar_id: str, dates: list[date], *, as_json: bool) -> None:
    """Take a closure back: the calendar's hours count again on these days."""
    with at(org_id) as (session, _):
        row = locked_calendar(session, org_id, calendar_id)
        change = Change(session, org_id)
        opening_hours.open_again(session, org_id, dates, resource_id=_person(row))
        change.done()
        facts = _row(session, row)
    change.say(f"its hours count again on {spoken(dates)}", facts, json_wanted=as_json)
