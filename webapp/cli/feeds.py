"""`flask feed …`: calendars from elsewhere whose busy times become blocks."""

from __future__ import annotations

import time
import uuid
from datetime import datetime
from typing import Any

import click

from models.booking import feed_readings, feed_states, feeds
from models.booking.feed_readings import Due
from models.booking.feed_states import State
from models.clinics.calendar_feeds import LATEST, SOONEST, USUAL
from webapp.cli.changes import locked_resource, possible
from webapp.cli.common import Words, as_json, at, print_facts, print_rows, secret
from webapp.nudge import nudge


@click.group("feed")
def feed() -> None:
    """Calendars at Google, Microsoft or elsewhere: when they are busy, their people cannot be booked."""


@feed.command("add")
@click.argument("org_id", type=click.UUID)
@click.argument("resource_id")
@click.option("--label", type=Words(), required=True, help="What the diary shows at busy times.")
@click.option(
    "--every",
    type=click.IntRange(SOONEST, LATEST),
    default=USUAL,
    show_default=True,
    help="Minutes between two readings.",
)
@as_json
def add(org_id: uuid.UUID, resource_id: str, label: str, every: int, *, as_json: bool) -> None:
    """Add a calendar of RESOURCE_ID. Its address, a secret, is read from standard input."""
    typed = secret("address")
    with at(org_id) as (session, _), possible():
        locked_resource(session, org_id, resource_id)
        added = feeds.add(
            session, org_id=org_id, resource_id=resource_id, address=typed, label=label, every_minutes=every
        )
    nudge(Due(org_id, added.id))
    if as_json:
        _show(org_id, added.id)
    else:
        click.echo(added.id)
        click.echo(f"a worker reads it now; flask feed list {org_id} says what came of it", err=True)


@feed.command("list")
@click.argument("org_id", type=click.UUID)
@as_json
def list_(org_id: uuid.UUID, *, as_json: bool) -> None:
    """The calendars of ORG_ID, when they were read, and what is wrong."""
    with at(org_id) as (session, _):
        rows = [_facts(each) for each in feed_states.states(session, org_id)]
    shown = ("id", "of", "label", "on", "read", "busy", "offered", "problem")
    if not as_json:
        rows = [{name: row[name] for name in shown} for row in rows]
    print_rows(
        rows, json_wanted=as_json, none="no calendar is read; flask feed add ORG_ID RESOURCE_ID adds one"
    )


@feed.command("read")
@click.argument("org_id", type=click.UUID)
@click.argument("feed_id", type=click.UUID)
@click.option("--wait", type=click.IntRange(0, 300), default=0, help="Seconds to wait for what comes of it.")
@as_json
def read(org_id: uuid.UUID, feed_id: uuid.UUID, wait: int, *, as_json: bool) -> None:
    """Have a worker read FEED_ID now. With --wait, exit 1 unless it was read well by then."""
    with at(org_id) as (session, _):
        found = feeds.get_or_none(session, org_id, feed_id)
        asked_at = found.asked_at if found else None
        due = feed_readings.ask_for(session, org_id, feed_id)
    if due is None:
        raise click.ClickException(f"there is no such calendar that is on; see `flask feed list {org_id}`")
    nudge(due)
    if wait and not _is_read(due, asked_at, wait):
        raise click.ClickException("no worker has read it; are the workers of the Procfile running?")
    state = _show(org_id, feed_id, as_json=as_json)
    if wait and state.feed.problem:
        raise click.ClickException(feed_states.SENTENCES[state.feed.problem])


def _is_read(due: Due, before: datetime | None, wait: int) -> bool:
    """Whether a reading ends within so many seconds."""
    until = time.monotonic() + wait
    while time.monotonic() < until:
        with at(due.org_id) as (session, _):
            found = feeds.get_or_none(session, due.org_id, due.feed_id)
        if found is None or (found.asked_at != before and found.taken_at is None):
            return True
        time.sleep(0.2)
    return False


@feed.command("set")
@click.argument("org_id", type=click.UUID)
@click.argument("feed_id", type=click.UUID)
@click.option("--label", type=Words(), help="What the diary shows at busy times.")
@click.option("--every", type=click.IntRange(SOONEST, LATEST), help="Minutes between two readings.")
@click.option("--on/--off", "is_on", default=None, help="Off, it is not read, and its time can be booked.")
@as_json
def set_(
    org_id: uuid.UUID,
    feed_id: uuid.UUID,
    label: str | None,
    every: int | None,
    *,
    is_on: bool | None,
    as_json: bool,
) -> None:
    """Change the calendar FEED_ID."""
    if (label, every, is_on) == (None, None, None):
        raise click.UsageError("say what to change: --label, --every, --on or --off")
    with at(org_id) as (session, _), possible():
        feeds.change(session, org_id, feed_id, label=label, every_minutes=every, is_on=is_on)
    nudge(Due(org_id, feed_id))
    _show(org_id, feed_id, as_json=as_json)


@feed.command("remove")
@click.argument("org_id", type=click.UUID)
@click.argument("feed_id", type=click.UUID)
def remove(org_id: uuid.UUID, feed_id: uuid.UUID) -> None:
    """Remove the calendar FEED_ID, and give its time back."""
    with at(org_id) as (session, _):
        if not feeds.remove(session, org_id, feed_id):
            raise click.ClickException(f"there is no calendar {feed_id}; see `flask feed list {org_id}`")
    click.echo("removed; its busy times can be booked again")


def _show(org_id: uuid.UUID, feed_id: uuid.UUID, *, as_json: bool = True) -> State:
    with at(org_id) as (session, _):
        state = next(each for each in feed_states.states(session, org_id) if each.feed.id == feed_id)
        facts = _facts(state)
    print_facts(facts, json_wanted=as_json)
    return state


def _facts(state: State) -> dict[str, Any]:
    row = state.feed
    return {
        "id": row.id,
        "of": row.resource_id,
        "name": state.name,
        "label": row.label,
        "address": feeds.masked(row),
        "on": row.is_on,
        "every_minutes": row.every_minutes,
        "asked": _moment(row.asked_at),
        "read": _moment(row.read_at),
        "events": row.events,
        "busy": state.busy,
        "busy_until": _moment(state.busy_until),
        "offered": not state.is_unread,
        "problem": row.problem and row.problem.value,
        "sentence": row.problem and feed_states.SENTENCES[row.problem],
        "failures": row.failures,
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
