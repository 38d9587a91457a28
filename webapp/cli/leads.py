"""`flask leads …`: a clinic's rules for scoring calls, and what other rules would have made of its calls."""

from __future__ import annotations

import uuid
from typing import IO

import click

from models import leads as lead_verbs
from models.organizations import IntegrationSettings, Organization
from webapp.cli import lead_rules
from webapp.cli.common import as_json, at, integration_settings, print_json, print_rows
from webapp.cli.labelled_calls import export_labelled


@click.group("leads")
def leads() -> None:
    """How calls are scored."""


leads.add_command(export_labelled)

_rules_file = click.File(encoding="utf-8-sig")  # with the mark that some editors put before it, or without


@leads.command("rules")
@click.argument("org_id", type=click.UUID)
@click.option(
    "--from",
    "source",
    type=_rules_file,
    help="Set the rules of this JSON file (- is standard input), as they are printed without it.",
)
@click.option("--reset", is_flag=True, help="Go back to the usual ones; where hot begins stays as it is.")
def rules(org_id: uuid.UUID, source: IO[str] | None, *, reset: bool) -> None:
    """Print the rules in force, as JSON; or change them. What a file leaves out is as usual.

    `hot` alone stays as it is if a file leaves it out: it is the clinic's hot lead threshold, which
    `flask organization set` sets as well.
    """
    if source and reset:
        raise click.UsageError("--from and --reset exclude each other")
    text = _text(source) if source else None
    with at(org_id) as (session, clinic):
        account = integration_settings(session, org_id)
        if text is not None:
            _set(clinic, account, text)
        elif reset:
            clinic.lead_rules = None
        session.flush()
        in_force = lead_verbs.rules(clinic, account)
    print_json(in_force.model_dump(mode="json"))


def _set(clinic: Organization, account: IntegrationSettings, text: str) -> None:
    """There is one place for where hot begins, and one for all the rest."""
    try:
        own = lead_rules.read(text, hot=account.hot_lead_threshold)
    except lead_rules.Unusable as error:
        raise click.ClickException(f"these rules cannot be used:\n{error}") from None
    account.hot_lead_threshold = own.pop("hot")
    clinic.lead_rules = own


def _text(source: IO[str]) -> str:
    try:
        return source.read()
    except UnicodeDecodeError:
        raise click.ClickException("these rules cannot be used:\nthe file is no UTF-8 text") from None


@leads.command("rescore")
@click.argument("org_id", type=click.UUID)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--rules", "source", type=_rules_file, help="Try the rules of this JSON file; only with --dry-run."
)
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="How far back.")
@as_json
def rescore(org_id: uuid.UUID, source: IO[str] | None, days: int, *, dry_run: bool, as_json: bool) -> None:
    """Score the calls of the last days again by the rules in force. Nobody is alerted."""
    if source and not dry_run:
        raise click.UsageError(
            "rules of a file are only tried, with --dry-run; set them with: flask leads rules"
        )
    text = _text(source) if source else None
    with at(org_id) as (session, clinic):
        account = integration_settings(session, org_id)
        if text is not None:
            _set(clinic, account, text)
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
