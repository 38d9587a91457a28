"""`flask calendar …`: bookable people and rooms, their hours, and their closed days."""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import hours as opening_hours
from models.booking import resources, services, set_up
from models.booking.resources import ResourceKind
from models.clinics import calendars
from models.clinics.calendars import Calendar
from webapp.cli import hours
from webapp.cli.common import as_json, at, print_rows, whole_numbers

RULES = {
    "slot_minutes": (5, 480, "How long an appointment lasts."),
    "step_minutes": (5, 480, "How far apart two offered starts are; as long as an appointment if not given."),
    "hold_minutes": (1, 60, "How long a caller keeps a time without the code."),
    "min_notice_minutes": (0, 525_600, "The soonest that a caller may come."),
    "horizon_days": (1, 3660, "How many days ahead the diary is open."),
}


#: The columns of services that have other names as options.
_COLUMNS = {"slot_minutes": "minutes"}


class Zone(click.ParamType[str]):
    """An IANA time zone."""

    name = "zone"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        zones = available_timezones()
        if value not in zones:
            near = difflib.get_close_matches(str(value), zones, n=1)
            also = f"; did you mean {near[0]}?" if near else ", such as Europe/London"
            self.fail(f"{value!r} is no time zone{also}", param, ctx)
        return str(value)


class OpeningHours(click.ParamType[hours.Hours]):
    name = "hours"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> hours.Hours:
        if isinstance(value, dict):
            return value
        try:
            return hours.parse(str(value))
        except hours.Unreadable as error:
            self.fail(str(error), param, ctx)


class Dates(click.ParamType[list[date]]):
    name = "date[..date]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[date]:
        if isinstance(value, list):
            return value
        try:
            return hours.parse_dates(str(value))
        except hours.Unreadable as error:
            self.fail(str(error), param, ctx)


_HOURS = f'"{hours.EXAMPLE}". {hours.OVER_MIDNIGHT}.'


@click.group("calendar")
def calendar() -> None:
    """Calendars: hours, rules, closed days."""


@calendar.command("add")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id")
@click.option("--name", required=True, help="For people.")
@click.option("--zone", type=Zone(), required=True, help="IANA name; the hours are wall-clock time in it.")
@click.option("--hours", "opening", type=OpeningHours(), required=True, help=_HOURS)
@click.option("--service", multiple=True, help="What can be booked; once for each.")
@click.option(
    "--resource", help="A room that its services need; two calendars with the same one exclude each other."
)
@whole_numbers(RULES)
def add(
    org_id: uuid.UUID,
    calendar_id: str,
    name: str,
    zone: str,
    opening: hours.Hours,
    service: tuple[str, ...],
    resource: str | None,
    **rules: int | None,
) -> None:
    """Make the calendar CALENDAR_ID of ORG_ID."""
    if not calendar_id.strip():
        raise click.ClickException("a calendar needs an id")
    given = {_COLUMNS.get(rule, rule): value for rule, value in rules.items() if value is not None}
    if "minutes" in given:
        given.setdefault("step_minutes", given["minutes"])
    with at(org_id) as (session, _):
        if session.get(Calendar, (org_id, calendar_id)):
            raise click.ClickException(f"there is a calendar {calendar_id} already; see `flask calendar set`")
        with possible():
            set_up.add_calendar(
                session,
                org_id=org_id,
                calendar_id=calendar_id,
                name=name,
                time_zone=zone,
                opening=opening,
                service_names=service,
                room=resource if resource != calendar_id else None,
                **given,
            )
    click.echo(f"{calendar_id}: {hours.written(opening)}, {zone}")


@calendar.command("list")
@click.argument("org_id", type=click.UUID)
@as_json
def list_(org_id: uuid.UUID, *, as_json: bool) -> None:
    """The calendars of ORG_ID."""
    with at(org_id) as (session, _):
        rows = [_row(session, each) for each in calendars.list_of_clinic(session, org_id)]
    print_rows(rows, json_wanted=as_json, none=f"there is none yet: flask calendar add {org_id} …")


@calendar.command("set")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id")
@click.option("--name", help="For people.")
@click.option("--zone", "time_zone", type=Zone(), help="What is booked stays at its instant.")
@click.option("--hours", type=OpeningHours(), help=f"All of them anew; what is booked stays. {_HOURS}")
@click.option("--service", "services", multiple=True, help="All of them anew; once for each.")
@whole_numbers(RULES)
def set_(org_id: uuid.UUID, calendar_id: str, **given: Any) -> None:
    """Change the settings that are given, and nothing else."""
    names = given.pop("services")
    opening = given.pop("hours")
    if not names and opening is None and all(value is None for value in given.values()):
        raise click.UsageError("nothing was given to change; see --help")
    with at(org_id) as (session, _), possible():
        row = _locked(session, org_id, calendar_id)
        _change(session, row, given)
        if opening is not None:
            opening_hours.replace(session, org_id, _person(row), opening)
        rules = {_COLUMNS.get(rule, rule): given[rule] for rule in RULES if rule != "hold_minutes"}
        if names or any(value is not None for value in rules.values()):
            _set_services(session, row, names, rules)
        session.flush()
        shown = _row(session, row)
    click.echo(f"{shown['id']}: {shown['hours']}, {shown['zone']}")


def _change(session: Session, row: Calendar, given: dict[str, Any]) -> None:
    """Change what is the calendar's own, and the name and the zone of its person with it."""
    for name in ("name", "time_zone", "hold_minutes"):
        if given[name] is not None:
            setattr(row, name, given[name])
            person = row.resource_id and resources.get_or_none(session, row.org_id, row.resource_id)
            if person and name != "hold_minutes":
                setattr(person, name, given[name])


def _set_services(session: Session, row: Calendar, names: tuple[str, ...], rules: dict[str, Any]) -> None:
    """Name the services anew, or give those that there are other rules."""
    before = services.done_by(session, row.org_id, _person(row))
    first = next((each for each in before if each.id == row.service_id), before[0] if before else None)
    kept = {rule: getattr(first, rule) for rule in set_up.RULES} if first else {}
    rooms = [
        each.id
        for each in (services.who_can_do(session, first) if first else ())
        if each.kind is ResourceKind.ROOM
    ]
    set_up.set_services(
        session,
        row,
        names or [each.name for each in before],
        room=rooms[0] if rooms else None,
        **kept | {rule: value for rule, value in rules.items() if value is not None},
    )


def _row(session: Session, row: Calendar) -> dict[str, Any]:
    """A calendar with the hours of its person and the rules of its own service."""
    person = row.resource_id
    service = row.service_id and services.get_or_none(session, row.org_id, row.service_id)
    rooms = [
        each.id
        for each in (services.who_can_do(session, service) if service else ())
        if each.kind is ResourceKind.ROOM
    ]
    return {
        "id": row.id,
        "name": row.name,
        "resource": rooms[0] if rooms else person,
        "zone": row.time_zone,
        "hours": hours.written(opening_hours.read(session, row.org_id, person)) if person else None,
        "minutes": service.minutes if service else None,
        "every": service.step_minutes if service else None,
        "services": services.names_by_calendar(session, row),
        "closed": [each.isoformat() for each in opening_hours.closed_days(session, row.org_id, person)]
        if person
        else [],
    }


def _person(row: Calendar) -> str:
    if row.resource_id is None:
        raise click.ClickException(f"the calendar {row.id} is of several people, who have hours of their own")
    return row.resource_id


@calendar.command("close")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id")
@click.argument("dates", type=Dates())
def close(org_id: uuid.UUID, calendar_id: str, dates: list[date]) -> None:
    """Offer no slots on DATE, or on DATE..DATE with both ends. Appointments on these days stay.

    Hours that begin on DATE and go on past midnight are closed to their end.
    """
    with at(org_id) as (session, _):
        row = _locked(session, org_id, calendar_id)
        opening_hours.close(session, org_id, dates, resource_id=_person(row))
        stand = opening_hours.find_outside(session, org_id, _person(row), now=clock.now(session))
        booked = len([each for each in stand if _is_on(each.scheduled_at, row, dates)])
    click.echo(f"closed on {_spoken(dates)}")
    if booked:
        click.echo(f"{booked} appointments stand on these days and stay: ring the patients", err=True)


def _is_on(moment: datetime, row: Calendar, dates: list[date]) -> bool:
    """Whether it is in hours that begin on one of the dates; those of the last may go on past midnight."""
    day = moment.astimezone(row.zone).date()
    return day in dates or day - timedelta(days=1) == dates[-1]


@calendar.command("open")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id")
@click.argument("dates", type=Dates())
def open_(org_id: uuid.UUID, calendar_id: str, dates: list[date]) -> None:
    """Take a closure back: the calendar's hours count again on these days."""
    with at(org_id) as (session, _):
        row = _locked(session, org_id, calendar_id)
        opening_hours.open_again(session, org_id, dates, resource_id=_person(row))
    click.echo(f"its hours count again on {_spoken(dates)}")


@contextmanager
def possible() -> Iterator[None]:
    """Say what cannot work, and what to change, and leave everything as it was."""
    try:
        yield
    except opening_hours.Impossible as problem:
        raise click.ClickException(str(problem)) from None


def _locked(session: Session, org_id: uuid.UUID, calendar_id: str) -> Calendar:
    """The calendar, locked until the commit, so that two operators do not undo each other's closures."""
    row = session.scalar(
        select(Calendar).where(Calendar.org_id == org_id, Calendar.id == calendar_id).with_for_update()
    )
    if row is None:
        raise click.ClickException(
            f"there is no calendar {calendar_id}; `flask calendar list {org_id}` shows those there are"
        )
    return row


def _spoken(dates: list[date]) -> str:
    return str(dates[0]) if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
