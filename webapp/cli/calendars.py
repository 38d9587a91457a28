"""`flask calendar …`: bookable people and rooms, their hours, and their closed days."""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.booking.appointments import Appointment, AppointmentStatus
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
@click.option("--resource", help="Two calendars that name the same one exclude each other; else CALENDAR_ID.")
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
    given = {rule: value for rule, value in rules.items() if value is not None}
    if "slot_minutes" in given:
        given.setdefault("step_minutes", given["slot_minutes"])
    with at(org_id) as (session, _):
        if session.get(Calendar, (org_id, calendar_id)):
            raise click.ClickException(f"there is a calendar {calendar_id} already; see `flask calendar set`")
        session.add(
            Calendar(
                org_id=org_id,
                id=calendar_id,
                name=name,
                resource_id=resource or calendar_id,
                time_zone=zone,
                hours=opening,
                services=list(service),
                **given,
            )
        )
    click.echo(f"{calendar_id}: {hours.written(opening)}, {zone}")


@calendar.command("list")
@click.argument("org_id", type=click.UUID)
@as_json
def list_(org_id: uuid.UUID, *, as_json: bool) -> None:
    """The calendars of ORG_ID."""
    with at(org_id) as (session, _):
        found = calendars.list_of_clinic(session, org_id)
        rows = [
            {
                "id": row.id,
                "name": row.name,
                "resource": row.resource_id,
                "zone": row.time_zone,
                "hours": hours.written(row.hours),
                "minutes": row.slot_minutes,
                "every": row.step_minutes,
                "services": row.services,
                "closed": row.closures,
            }
            for row in found
        ]
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
    given["services"] = list(given["services"]) or None
    changed = {name: value for name, value in given.items() if value is not None}
    if not changed:
        raise click.UsageError("nothing was given to change; see --help")
    with at(org_id) as (session, _):
        row = _locked(session, org_id, calendar_id)
        for name, value in changed.items():
            setattr(row, name, value)
        said = f"{row.id}: {hours.written(row.hours)}, {row.time_zone}"
    click.echo(said)


@calendar.command("close")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id")
@click.argument("dates", type=Dates())
def close(org_id: uuid.UUID, calendar_id: str, dates: list[date]) -> None:
    """Offer no slots on DATE, or on DATE..DATE with both ends. Appointments on these days stay.

    Hours that begin on DATE and go on past midnight are closed to their end.
    """
    booked = _change_closures(org_id, calendar_id, dates, lambda closed, days: closed | days)
    click.echo(f"closed on {_spoken(dates)}")
    if booked:
        click.echo(f"{booked} appointments stand on these days and stay: ring the patients", err=True)


@calendar.command("open")
@click.argument("org_id", type=click.UUID)
@click.argument("calendar_id")
@click.argument("dates", type=Dates())
def open_(org_id: uuid.UUID, calendar_id: str, dates: list[date]) -> None:
    """Take a closure back: the calendar's hours count again on these days."""
    _change_closures(org_id, calendar_id, dates, lambda closed, days: closed - days)
    click.echo(f"its hours count again on {_spoken(dates)}")


def _change_closures(
    org_id: uuid.UUID,
    calendar_id: str,
    dates: list[date],
    change: Callable[[set[str], set[str]], set[str]],
) -> int:
    """Change the closures; returns the number of confirmed appointments on these days."""
    with at(org_id) as (session, _):
        row = _locked(session, org_id, calendar_id)
        # Hours of the last day that go on past midnight are closed, or open, to their end.
        over_midnight = [end for _, end in row.opening_hours(dates[-1])]
        row.closures = sorted(change(set(row.closures), {day.isoformat() for day in dates}))
        zone = ZoneInfo(row.time_zone)
        begin = datetime.combine(dates[0], time(), zone)
        midnight = datetime.combine(dates[-1] + timedelta(days=1), time())
        end = max([midnight, *over_midnight]).replace(tzinfo=zone)
        return (
            session.scalar(
                select(func.count())
                .select_from(Appointment)
                .where(
                    Appointment.org_id == org_id,
                    Appointment.calendar_id == calendar_id,
                    Appointment.status == AppointmentStatus.CONFIRMED,
                    Appointment.scheduled_at >= begin,
                    Appointment.scheduled_at < end,
                )
            )
            or 0
        )


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
