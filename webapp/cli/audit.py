"""`flask audit …`: the record of who changed what."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time

import click

from models.clinics import calendars, record
from models.clinics import staff as people
from models.clinics.record import About
from webapp.cli.common import as_json, at, print_rows


class Since(click.ParamType[str]):
    """A date, or a time with its offset from UTC."""

    name = "date|time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a date such as 2026-12-01 nor a time in ISO 8601", param, ctx)
        if moment.tzinfo is None and moment.time() != time():
            self.fail(f"{value!r} needs an offset, such as 2026-12-01T09:00Z", param, ctx)
        return str(value)


@click.group("audit")
def audit() -> None:
    """The record of who changed what, without values."""


@audit.command("list")
@click.argument("org_id", type=click.UUID)
@click.option("--since", type=Since(), help="Only changes since the start of this day, or since this time.")
@click.option(
    "--about",
    type=click.Choice([each.value for each in About]),
    default=About.SETTINGS.value,
    show_default=True,
    help="daily: appointments, patients and calls.",
)
@click.option("--who", metavar="EMAIL", help="Only changes by this member of staff.")
@click.option("--most", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Entries.")
@as_json
def list_(
    org_id: uuid.UUID, since: str | None, about: str, who: str | None, most: int, *, as_json: bool
) -> None:
    """What was changed in ORG_ID, newest first."""
    with at(org_id) as (session, _):
        zone = calendars.zone(session, org_id)
        moment = datetime.fromisoformat(since) if since else None
        if moment and moment.tzinfo is None:
            moment = datetime.combine(date.fromisoformat(since or ""), time(), tzinfo=zone)
        entries = record.find(
            session,
            org_id,
            about=About(about),
            staff_email=who and people.normal_email(who),
            since=moment,
            most=most,
        )
        changes = record.told(session, org_id, entries)
    if as_json:
        rows = [
            {
                "at": each.at,
                "actor": each.actor,
                "who": each.who,
                "what": each.what,
                "entries": [
                    {
                        "action": entry.action,
                        "table": entry.table_name,
                        "row": entry.row_id,
                        "columns": entry.columns,
                    }
                    for entry in each.entries
                ],
            }
            for each in changes
        ]
    else:
        rows = [
            {
                "at": f"{each.at.astimezone(UTC):%Y-%m-%d %H:%MZ}",
                "who": each.who,
                "what": "; ".join(each.what),
            }
            for each in changes
        ]
    print_rows(rows, json_wanted=as_json, none="nothing of this kind was changed")
