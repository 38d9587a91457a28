"""`flask leads …`: a clinic's rules for scoring calls, and the scores that other rules would have given."""

from __future__ import annotations

import json
import uuid
from typing import IO, Any

import click

from models.calls.facts import SCHEMA, parse_facts
from models.clinics.organizations import IntegrationSettings, Organization, integration_settings
from models.leads import leads as lead_verbs
from models.leads.scoring import ROLES, Evidence, Rules, Turn, as_objects, score
from webapp.cli import lead_rules
from webapp.cli.common import as_json, at, print_json, print_rows
from webapp.cli.labelled_calls import export_labelled


@click.group("leads")
def leads() -> None:
    """How calls are scored."""


leads.add_command(export_labelled)

_rules_file = click.File(encoding="utf-8-sig")  # with or without the byte order mark of some editors


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
    """Print the rules in force, as JSON; or change them. A rule that a file leaves out gets its default.

    Only `hot` keeps its value if a file leaves it out: it is the clinic's hot lead threshold, which
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
    """Store the rules: `hot` in the integration settings, all others in the clinic's own row."""
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


@leads.command("facts-schema")
def facts_schema() -> None:
    """Print the JSON schema of the facts that Vapi is asked to take from each call."""
    print_json(SCHEMA)


@leads.command("try")
@click.argument("source", metavar="FILE", type=_rules_file)
@click.option("--rules", "rules_file", type=_rules_file, help="Score by the rules of this JSON file.")
def try_calls(source: IO[str], rules_file: IO[str] | None) -> None:
    """Score the calls of a file (- is standard input); no database is needed, and nothing is kept.

    Each line is a JSON object: {"id", "messages": [{"role": "user" or "bot", "message"}], "facts": null or an
    object of the shape that facts-schema prints, "booked": true or false, "duration_seconds",
    "ended_reason"}.
    For each, a line is printed: {"id", "score", "band", "call_back", "reasons": [{"code", "points", "why",
    "quote"}]}. Nothing is printed if any line cannot be read. The duration counts only if it is very short,
    and the reason for the end not at all.
    """
    by = Rules()
    if rules_file:
        try:
            by = Rules.model_validate(lead_rules.read(_text(rules_file), hot=by.hot))
        except lead_rules.Unusable as error:
            raise click.ClickException(f"these rules cannot be used:\n{error}") from None
    try:
        lines = source.read().split("\n")  # splitlines() would also split at U+2028
    except UnicodeDecodeError:
        raise click.ClickException("the file is no UTF-8 text") from None
    calls = [_call(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    for call_id, evidence in calls:
        scored = score(evidence, by)
        answer = {
            "id": call_id,
            "score": scored.value,
            "band": scored.band,
            "call_back": scored.call_back,
            "reasons": as_objects(scored.reasons),
        }
        said = json.dumps(answer, ensure_ascii=False)
        click.echo(said if said.isascii() else said.encode(errors="backslashreplace").decode())


#: Roles of the platform's messages that are not speech.
_SILENT = frozenset({"system", "tool", "tool_calls", "tool_call_result"})


def _call(number: int, line: str) -> tuple[object, Evidence]:
    """The id and the evidence of one line. Raises ClickException with the line's number."""

    def wrong(what: str) -> click.ClickException:
        return click.ClickException(f"line {number}: {what}")

    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise wrong("it is no JSON") from None
    if not isinstance(row, dict) or not isinstance(messages := row.get("messages"), list):
        raise wrong('it must be an object with "messages", a list')
    turns = []
    for each in messages:
        role, message = (each.get("role"), each.get("message")) if isinstance(each, dict) else (None, None)
        if isinstance(role, str) and role in _SILENT:
            continue
        if not isinstance(role, str) or role not in ROLES or not isinstance(message, str):
            raise wrong('each of "messages" must be {"role": "user" or "bot", "message": a text}')
        turns.append(Turn(ROLES[role], message))
    duration: Any = row.get("duration_seconds")
    if duration is not None and not _is_duration(duration):
        raise wrong('"duration_seconds" must be a number of seconds or null')
    booked = row.get("booked")
    if booked is not None and not isinstance(booked, bool):
        raise wrong('"booked" must be true or false')
    evidence = Evidence(
        tuple(turns), duration=duration, booked=bool(booked), facts=parse_facts(row.get("facts"))
    )
    return row.get("id"), evidence


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


@leads.command("rescore")
@click.argument("org_id", type=click.UUID)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--rules", "source", type=_rules_file, help="Try the rules of this JSON file; only with --dry-run."
)
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="How far back.")
@as_json
def rescore(org_id: uuid.UUID, source: IO[str] | None, days: int, *, dry_run: bool, as_json: bool) -> None:
    """Score the calls of the last days again by the rules in force. No alert is sent."""
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
