"""`flask holidays …`: the public holidays of a clinic's country, to be accepted as closures."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeVar

import click

from models.booking import closures, public_holidays
from webapp.cli.changes import Change, possible
from webapp.cli.closures import facts_of
from webapp.cli.common import as_json, at, print_rows

F = TypeVar("F", bound=Callable[..., Any])


def _which(command: F) -> F:
    for option in (
        click.option(
            "--year",
            type=int,
            help="All of this year that is still to come; the next eighteen months if not given.",
        ),
        click.option(
            "--subdivision",
            help="The part of the country, such as GB-SCT or US-CA; only what all of it has if not given.",
        ),
    ):
        command = option(command)
    return command


@click.group("holidays")
def holidays() -> None:
    """Public holidays: proposed by the clinic's country, and closed only once they are accepted."""


@holidays.command("list")
@click.argument("org_id", type=click.UUID)
@_which
@as_json
def list_(org_id: uuid.UUID, subdivision: str | None, year: int | None, *, as_json: bool) -> None:
    """The public holidays to come where ORG_ID is, and on which of them it is closed already."""
    with at(org_id) as (session, _), possible():
        found = public_holidays.propose(session, org_id, subdivision=subdivision, year=year)
    rows = [
        {"date": each.day.isoformat(), "name": each.name, "closed": each.is_closed} for each in found.holidays
    ]
    print_rows(rows, json_wanted=as_json, none="there is none to come")


@holidays.command("accept")
@click.argument("org_id", type=click.UUID)
@_which
@click.option(
    "--date",
    "dates",
    type=click.DateTime(["%Y-%m-%d"]),
    multiple=True,
    help="Only this one of them; once for each.",
)
@as_json
def accept(
    org_id: uuid.UUID,
    subdivision: str | None,
    year: int | None,
    dates: tuple[datetime, ...],
    *,
    as_json: bool,
) -> None:
    """Close ORG_ID on the holidays that `flask holidays list` shows. Appointments stay, and are listed.

    `flask closure remove` takes one back, and `flask closure add … --for … --open` lets somebody work on it.
    """
    with at(org_id) as (session, _), possible():
        change = Change(session, org_id)
        found = public_holidays.propose(session, org_id, subdivision=subdivision, year=year)
        days: list[date] = [each.date() for each in dates] or [each.day for each in found.holidays]
        rows = closures.accept(session, org_id, change, public_holidays.chosen(found, days))
        facts = [facts_of(each) for each in rows]
    change.say(f"public holidays that are closed: {len(facts)}", {"closures": facts}, json_wanted=as_json)
