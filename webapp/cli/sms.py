"""`flask sms …`: a clinic's SMS provider, the SMS in trouble, the history of one SMS, and a retry."""

from __future__ import annotations

import json
import re
import uuid

import click
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import sealing
from models.clinics.organizations import integration_settings
from models.messaging import senders
from models.notices import retries
from webapp.cli.common import as_json, at, everywhere, print_rows, secret
from webapp.nudge import nudge

_TROUBLE = text(
    "SELECT org_id, id, kind, trouble, date_trunc('second', age) AS age, attempt, error_code, error_reason"
    " FROM sms_trouble WHERE org_id = coalesce(:org_id, org_id) ORDER BY created_at DESC LIMIT :limit"
).bindparams(org_id=None)
_HEALTH = text(
    "SELECT org_id, waiting, late, unknown, failed_today, delivered_today,"
    " date_trunc('second', oldest_waiting) AS oldest_waiting, sender_stopped_code AS stopped"
    " FROM sms_health ORDER BY late DESC, unknown DESC, failed_today DESC"
)
_EVENTS = text(
    "SELECT created_at, from_status, to_status, cause, attempt, error_code, provider_id"
    " FROM sms_events WHERE message_id = :id AND org_id = :org_id ORDER BY id"
)


@click.group("sms")
def sms() -> None:
    """A clinic's SMS provider, and the SMS that are late, failed or unknown."""


@sms.command("health")
@as_json
def health(*, as_json: bool) -> None:
    """One line per clinic: SMS that wait, are late, unknown or failed today, and stopped senders."""
    with everywhere() as session:
        print_rows(_rows(session, _HEALTH), json_wanted=as_json, none="there is no organisation yet")


@sms.command("trouble")
@click.argument("org_id", type=click.UUID, required=False)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="So many at most."
)
@as_json
def trouble(org_id: uuid.UUID | None, limit: int, *, as_json: bool) -> None:
    """SMS that need a look, newest first; of one clinic or of all."""
    if org_id:
        with at(org_id):
            pass  # an unknown clinic is an error, and not an empty list
    with everywhere() as session:
        found = _rows(session, _TROUBLE, org_id=org_id, limit=limit)
    print_rows(found, json_wanted=as_json, none="no SMS is late, failed or unknown")


@sms.command("show")
@click.argument("org_id", type=click.UUID)
@click.argument("message_id", type=click.UUID)
@as_json
def show(org_id: uuid.UUID, message_id: uuid.UUID, *, as_json: bool) -> None:
    """Every change of one message's status, with its time and reason."""
    with at(org_id) as (session, _):
        found = _rows(session, _EVENTS, id=message_id, org_id=org_id)
    if not found:
        raise click.ClickException("there is no such message in this organisation")
    print_rows(found, json_wanted=as_json, none="")


@sms.command("retry")
@click.argument("org_id", type=click.UUID)
@click.argument("message_id", type=click.UUID)
def retry(org_id: uuid.UUID, message_id: uuid.UUID) -> None:
    """Send again a message that reached neither provider nor patient; if that is unknown, ask first."""
    with at(org_id) as (session, _):
        outcome = retries.retry(session, org_id, message_id)
    if not outcome.done:
        raise click.ClickException(outcome.why)
    if outcome.due:
        nudge(outcome.due)
    click.echo(outcome.why)


@sms.command("provider")
@click.argument("org_id", type=click.UUID)
@click.argument("name")
def provider(org_id: uuid.UUID, name: str) -> None:
    """Have provider NAME send the SMS of ORG_ID: twilio, whose account `flask twilio set` keeps, or another.

    For another provider the account is prompted for, or read from standard input: one line of JSON, an object
    with the fields that this provider needs. Messages that the former provider accepted can then no longer be
    looked up.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise click.UsageError(f"{name!r} is no name of a provider: lower-case letters, digits, - and _")
    account = None if name == "twilio" else secret(f"Account with {name}, as JSON").strip()
    if account is not None and not _is_object(account):
        raise click.ClickException('the account must be one JSON object, such as {"key": "…"}')
    with at(org_id) as (session, _):
        row = integration_settings(session, org_id)
        row.sms_provider = name
        row.sms_account_sealed = account and sealing.seal(org_id, "sms_account", account)
        senders.resume(session, org_id)  # the former account may have stopped the sender
    click.echo(f"SMS of this clinic are sent by {name}; what waited goes out within seconds")


def _is_object(written: str) -> bool:
    try:
        return isinstance(json.loads(written), dict)
    except ValueError:
        return False


@sms.command("resume")
@click.argument("org_id", type=click.UUID)
def resume(org_id: uuid.UUID) -> None:
    """Let a stopped sender try again at once, after its account was put right."""
    with at(org_id) as (session, _):
        senders.resume(session, org_id)
    click.echo("the sender tries again; what waited goes out within seconds")


def _rows(session: Session, query: object, **parameters: object) -> list[dict[str, object]]:
    return [dict(row._mapping) for row in session.execute(query, parameters)]  # type: ignore[call-overload]
