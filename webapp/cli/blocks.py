"""`flask block …`: time of a person, room or device that nobody may book."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from models.base import clock
from models.booking import blocks, resources, standing
from models.booking.blocks import Block
from webapp.cli.changes import Change, locked_resource, possible
from webapp.cli.common import Words, as_json, at, print_json, print_rows

#: How far ahead `list` looks if it is not told.
_AHEAD = timedelta(days=90)


class Local(click.ParamType[tuple[date | None, time | None]]):
    """A wall-clock time: a date with a time, a date, or a time."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[date | None, time | None]:
        if isinstance(value, tuple):
            return value
        day, _, clock_time = str(value).strip().replace("T", " ").rpartition(" ")
        if not day and ":" not in clock_time:
            day, clock_time = clock_time, ""
        try:
            on = date.fromisoformat(day) if day else None
            at_ = datetime.strptime(clock_time, "%H:%M").time() if clock_time else None  # noqa: DTZ007
        except ValueError:
            self.fail(f"{value} is no date and time; write 2026-12-07T12:00", param, ctx)
        if on and not date.min.year < on.year < date.max.year:
            self.fail(f"{value} is too far away; look at the year", param, ctx)
        return on, at_


@click.group("block")
def block() -> None:
    """Blocks: hours or weeks in which a person, room or device is not there."""


@block.command("add")
@click.argument("org_id", type=click.UUID)
@click.argument("resource_id")
@click.argument("begin", metavar="FROM", type=Local())
@click.argument("end", metavar="UNTIL", type=Local())
@click.option("--reason", type=Words(), required=True, help="For the staff.")
@as_json
def add(
    org_id: uuid.UUID,
    resource_id: str,
    begin: tuple[date | None, time | None],
    end: tuple[date | None, time | None],
    reason: str,
    *,
    as_json: bool,
) -> None:
    """Block RESOURCE_ID from FROM until UNTIL, by the clocks of its zone. Appointments stay, and are listed.

    FROM is a date with a time (2026-12-07T12:00) or a date, from its midnight. UNTIL is the same, to the end
    of that date, or a time on the date of FROM.
    """
    starts, ends = _wall(begin, end)
    with at(org_id) as (session, _), possible():
        resource = locked_resource(session, org_id, resource_id)
        change = Change(session, org_id)
        zone = ZoneInfo(resource.time_zone)
        starts_at, ends_at = blocks.moment(starts, zone), blocks.moment(ends, zone, is_end=True)
        blocked = blocks.make(
            session,
            org_id=org_id,
            resource_id=resource.id,
            starts_at=starts_at,
            ends_at=ends_at,
            reason=reason,
        )
        change.done(standing.find(session, org_id, resource_ids=[resource.id], between=(starts_at, ends_at)))
        row = session.get_one(Block, blocked.block_id)
        facts = _facts(row, zone)
    change.say(f"blocked: {facts['from']} to {facts['until']}", facts, json_wanted=as_json)


@block.command("list")
@click.argument("org_id", type=click.UUID)
@click.option("--for", "resource_id", help="Of this person, room or device only.")
@click.option(
    "--days", type=click.IntRange(1, 3660), default=_AHEAD.days, show_default=True, help="So many from now."
)
@as_json
def list_(org_id: uuid.UUID, resource_id: str | None, days: int, *, as_json: bool) -> None:
    """The blocks of ORG_ID that are not over, in order."""
    with at(org_id) as (session, _):
        if resource_id is not None:
            locked_resource(session, org_id, resource_id)  # one that is not there is an error
        now = clock.now(session)
        zones = {
            each.id: ZoneInfo(each.time_zone)
            for each in resources.list_of_clinic(session, org_id, retired=True)
        }
        rows = [
            _facts(each, zones[each.resource_id])
            for each in blocks.list_of_clinic(session, org_id, now, now + timedelta(days=days))
            if resource_id in (None, each.resource_id)
        ]
    print_rows(rows, json_wanted=as_json, none=f"nothing is blocked in the next {days} days")


@block.command("remove")
@click.argument("org_id", type=click.UUID)
@click.argument("block_id", type=click.UUID)
@as_json
def remove(org_id: uuid.UUID, block_id: uuid.UUID, *, as_json: bool) -> None:
    """Give the time of BLOCK_ID back."""
    with at(org_id) as (session, _), possible():
        if not blocks.remove(session, org_id, block_id):
            raise click.ClickException(
                f"there is no block {block_id}; `flask block list {org_id}` shows those there are"
            )
    if as_json:
        print_json({"removed": block_id})
    else:
        click.echo("its time is free again")


def _wall(
    begin: tuple[date | None, time | None], end: tuple[date | None, time | None]
) -> tuple[datetime, datetime]:
    """The two wall-clock times. A date alone is all of it."""
    day, starts = begin
    if day is None:
        raise click.UsageError("FROM needs a date, such as 2026-12-07T12:00")
    last, ends = end
    last = last or day
    whole = (
        datetime.combine(last + timedelta(days=1), time()) if ends is None else datetime.combine(last, ends)
    )
    return datetime.combine(day, starts or time()), whole


def _facts(row: Block, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "id": row.id,
        "for": row.resource_id,
        "from": row.starts_at.astimezone(zone).isoformat(timespec="minutes"),
        "until": row.ends_at.astimezone(zone).isoformat(timespec="minutes"),
        "reason": row.reason,
        "source": row.source.value,
    }
