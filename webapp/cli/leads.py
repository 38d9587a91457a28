"""`flask leads …`: a clinic's rules for scoring calls, and what other rules would have made of its calls."""

from __future__ import annotations

import json
import uuid
from typing import IO

import click
from pydantic import ValidationError

from models import leads as lead_verbs
from models.lead_scoring import Rules
from webapp.cli.common import as_json, at, integration_settings, print_json, print_rows


@click.group("leads")
def leads() -> None:
    """How calls are scored."""


@leads.command("rules")
@click.argument("org_id", type=click.UUID)
@click.option(
    "--from", "source", type=click.File(), help="Set the rules of this JSON file (- is standard input)."
)
@click.option("--reset", is_flag=True, help="Go back to the usual ones.")
def rules(org_id: uuid.UUID, source: IO[str] | None, *, reset: bool) -> None:
    """Print the rules in force, as JSON; or change them. What a file leaves out stays as usual."""
    own = _read(source) if source else None
    with at(org_id) as (session, clinic):
        if reset or own is not None:
            clinic.lead_rules = own
            session.flush()
        in_force = lead_verbs.rules(clinic, integration_settings(session, org_id))
    print_json(in_force.model_dump(mode="json"))


@leads.command("rescore")
@click.argument("org_id", type=click.UUID)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--rules", "source", type=click.File(), help="Try the rules of this JSON file; only with --dry-run."
)
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True)
@as_json
def rescore(org_id: uuid.UUID, source: IO[str] | None, days: int, *, dry_run: bool, as_json: bool) -> None:
    """Score the calls of the last days again by the rules in force. Nobody is alerted."""
    if source and not dry_run:
        raise click.UsageError(
            "rules of a file are only tried, with --dry-run; set them with: flask leads rules"
        )
    own = _read(source) if source else None
    with at(org_id) as (session, clinic):
        account = integration_settings(session, org_id)
        if own is not None:
            clinic.lead_rules = own
        by = lead_verbs.rules(clinic, account)
        found = lead_verbs.rescore(session, org_id, by, days=days, keep=not dry_run)
        if dry_run:
            session.rollback()
    changed = [
        {
            "call": each.call_id,
            "when": each.created_at,
            "was": each.before,
            "is": each.after.value,
            "band": each.after.band,
        }
        for each in found
        if each.before != each.after.value
    ]
    print_rows(changed, json_wanted=as_json, none=f"no score of {len(found)} calls changes")


def _read(source: IO[str]) -> dict[str, object]:
    try:
        given = json.load(source)
        Rules.model_validate(given)
    except (ValueError, ValidationError) as error:
        raise click.ClickException(f"these rules cannot be used: {error}") from None
    return dict(given)
