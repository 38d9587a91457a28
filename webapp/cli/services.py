"""`flask service …`: what can be booked, by which rules, and who can do it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import click

from models.booking import service_changes, services
from models.booking.services import Worth
from webapp.cli.changes import Change, Id, locked_service, possible
from webapp.cli.common import Words, as_json, at, print_rows, whole_numbers

F = TypeVar("F", bound=Callable[..., Any])

_MEANINGS = {
    "minutes": "How long an appointment lasts.",
    "minutes_before": "Kept free before it, for everybody and everything that takes part.",
    "minutes_after": "Kept free after it, likewise.",
    "step_minutes": "How far apart two offered starts are; as long as an appointment if not given.",
    "min_notice_minutes": "The least time between booking and start.",
    "horizon_days": "How many days ahead patients may book.",
    "most_per_day": "How many may begin on one day, whoever does them.",
}


def _rules(command: F) -> F:
    """The options for what a service is."""
    for option in (
        click.option(
            "--worth",
            type=click.Choice([each.value for each in Worth]),
            help="What it is worth to the clinic, for the score of callers who want it.",
        ),
        click.option("--position", type=click.IntRange(0, 10_000), help="Services are named in this order."),
        click.option(
            "--by-link/--not-by-link",
            default=None,
            help="Whether patients may move it by the link in their SMS; they may if not given.",
        ),
        click.option(
            "--by-phone/--not-by-phone",
            default=None,
            help="Whether callers may book it; they may if not given.",
        ),
        whole_numbers({rule: (*services.LIMITS[rule], meaning) for rule, meaning in _MEANINGS.items()}),
        click.option(
            "--who",
            multiple=True,
            help="A person, room or device that can do it; once for each. One of each kind is taken.",
        ),
        click.option(
            "--word", "words", type=Words(), multiple=True, help="What callers may say for it; once for each."
        ),
    ):
        command = option(command)
    return command


@click.group("service")
def service() -> None:
    """Services: what can be booked, by which rules, and who and what can do it."""


@service.command("add")
@click.argument("org_id", type=click.UUID)
@click.argument("service_id", type=Id())
@click.option("--name", type=Words(), required=True, help="As callers hear it.")
@_rules
@as_json
def add(org_id: uuid.UUID, service_id: str, *, as_json: bool, **given: Any) -> None:
    """Add the service SERVICE_ID to ORG_ID."""
    given["words"] = list(given["words"])
    with at(org_id) as (session, _), possible():
        change = Change(session, org_id)
        row = service_changes.add(session, change, org_id=org_id, service_id=service_id, **given)
        facts = service_changes.facts(session, row)
    change.say(_line(facts), facts, json_wanted=as_json)


@service.command("list")
@click.argument("org_id", type=click.UUID)
@click.option("--all", "retired", is_flag=True, help="Those that are retired as well.")
@as_json
def list_(org_id: uuid.UUID, *, retired: bool, as_json: bool) -> None:
    """The services of ORG_ID, in the order in which they are named."""
    with at(org_id) as (session, _):
        rows = [
            service_changes.facts(session, each)
            for each in services.list_of_clinic(session, org_id, retired=retired)
        ]
    if not as_json:  # as wide as a terminal; the rest is in --json
        shown = ("id", "name", "minutes", "who", "by_phone", "default_of", "retired")
        rows = [{name: row[name] for name in shown} for row in rows]
    print_rows(
        rows, json_wanted=as_json, none=f"there is none yet: flask service add {org_id} ID --name … --who …"
    )


@service.command("set")
@click.argument("org_id", type=click.UUID)
@click.argument("service_id")
@click.option("--name", type=Words(), help="As callers hear it.")
@_rules
@click.option("--any-per-day", is_flag=True, help="As many a day as there is time for.")
@click.option("--no-words", is_flag=True, help="Callers know it by its name alone.")
@click.option("--no-worth", is_flag=True, help="Worth what the call itself suggests.")
@as_json
def set_(
    org_id: uuid.UUID,
    service_id: str,
    *,
    any_per_day: bool,
    no_words: bool,
    no_worth: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Change what is given, and nothing else: --who and --word are all of them anew.

    What is booked keeps its time, its length and its person; appointments with those who do it no more are
    listed.
    """
    who, words = given.pop("who"), given.pop("words")
    none = [rule for rule, wanted in (("most_per_day", any_per_day), ("worth", no_worth)) if wanted]
    if not (who or words or none or no_words or any(value is not None for value in given.values())):
        raise click.UsageError("nothing was given to change; see --help")
    if (words and no_words) or any(given[rule] is not None for rule in none):
        raise click.UsageError(
            "--word and --no-words, --most-per-day and --any-per-day, --worth and --no-worth exclude each"
            " other"
        )
    if words or no_words:
        given["words"] = list(words)
    with at(org_id) as (session, _), possible():
        row = locked_service(session, org_id, service_id)
        change = Change(session, org_id)
        service_changes.alter(session, change, row, who=who or None, none=none, **given)
        facts = service_changes.facts(session, row)
    change.say(_line(facts), facts, json_wanted=as_json)


@service.command("retire")
@click.argument("org_id", type=click.UUID)
@click.argument("service_id")
@click.option("--undo", is_flag=True, help="Offer it again, with the rules that it had.")
@as_json
def retire(org_id: uuid.UUID, service_id: str, *, undo: bool, as_json: bool) -> None:
    """Offer SERVICE_ID no more. Appointments stay, and are listed."""
    with at(org_id) as (session, _), possible():
        row = locked_service(session, org_id, service_id)
        change = Change(session, org_id)
        if undo:
            service_changes.take_back(session, change, row)
        else:
            service_changes.retire(session, change, row)
        facts = service_changes.facts(session, row)
    change.say(f"{row.id} is {'offered again' if undo else 'retired'}", facts, json_wanted=as_json)


def _line(facts: dict[str, Any]) -> str:
    return f"{facts['id']}: {facts['minutes']} minutes, by {', '.join(facts['who'])}"
