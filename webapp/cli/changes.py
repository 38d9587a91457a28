"""What the commands that change the diary share: who is meant, what cannot work, what is left standing."""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import NoReturn
from zoneinfo import available_timezones

import click
from sqlalchemy.orm import Session

from models.booking import set_up_change
from models.booking.hours import Impossible
from models.booking.resources import Resource
from models.booking.services import Service
from models.booking.set_up_change import SetUpChange
from models.booking.standing import Standing
from models.clinics.calendars import Calendar
from webapp.cli import hours
from webapp.cli.common import print_json, print_rows


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


class Id(click.ParamType[str]):
    """An id that a person types and an agent says: it goes into slot ids and into lists."""

    name = "id"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not (text.isascii() and text.replace("-", "").replace("_", "").replace(".", "").isalnum()):
            self.fail(f"{text!r} is no id; it has letters, digits and dashes, such as room-1", param, ctx)
        return text


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


def spoken(dates: Sequence[date]) -> str:
    return str(dates[0]) if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"


@contextmanager
def possible() -> Iterator[None]:
    """Say what cannot work, and what to change, and leave everything as it was."""
    try:
        yield
    except Impossible as problem:
        raise click.ClickException(str(problem)) from None


# --- who is meant, locked until the commit -----------------------------------------------------------


def locked_resource(session: Session, org_id: uuid.UUID, resource_id: str) -> Resource:
    return set_up_change.find_locked(session, Resource, org_id, resource_id) or _there_is_no(
        "person, room or device", resource_id, f"resource list {org_id}"
    )


def locked_service(session: Session, org_id: uuid.UUID, service_id: str) -> Service:
    return set_up_change.find_locked(session, Service, org_id, service_id) or _there_is_no(
        "service", service_id, f"service list {org_id}"
    )


def locked_calendar(session: Session, org_id: uuid.UUID, calendar_id: str) -> Calendar:
    return set_up_change.find_locked(session, Calendar, org_id, calendar_id) or _there_is_no(
        "calendar", calendar_id, f"calendar list {org_id}"
    )


def _there_is_no(what: str, which: str, command: str) -> NoReturn:
    raise click.ClickException(f"there is no {what} {which}; `flask {command}` shows those there are")


# --- what a change left behind --------------------------------------------------------------------


def rows_of(standing: Sequence[Standing]) -> list[dict[str, object]]:
    """The appointments for a person to ring the patients: no name and no number, which the staff's pages
    have.
    """
    return [
        {
            "starts": each.starts_at.isoformat(timespec="minutes"),
            "appointment": each.appointment.id,
            "with": each.resource.id,
            "name": each.resource.name,
            "why": [why.value for why in each.why],
        }
        for each in standing
    ]


class Change(SetUpChange):
    """What a command did: printed as a line, or as JSON, with what it left behind on the error output."""

    def say(self, line: str, facts: Mapping[str, object], *, json_wanted: bool, where: str = "") -> None:
        rows = rows_of(self.standing)
        if json_wanted:
            print_json({**facts, "stands": rows, "notes": self.notes})
            return
        click.echo(line)
        say_what_stands(rows, where)
        for note in self.notes:
            click.echo(f"note: {note}", err=True)


def say_what_stands(rows: Sequence[Mapping[str, object]], where: str = "") -> None:
    """Say on the error output which appointments a change has left as they were."""
    if rows:
        count = len({row["appointment"] for row in rows})
        click.echo(f"{count} appointments stand{where} and stay: ring the patients", err=True)
        print_rows(rows, json_wanted=False, none="", err=True)
