"""`flask hold …`: lists the unproved holds by their asker, and gives them back."""

from __future__ import annotations

import uuid

import click

from models.booking import unproved_holds
from webapp.cli.common import Words, as_json, at, print_rows


@click.group("hold")
def hold() -> None:
    """Unproved holds: slots held for callers for whom no code was asked yet."""


@hold.command("askers")
@click.argument("org_id", type=click.UUID)
@as_json
def askers(org_id: uuid.UUID, *, as_json: bool) -> None:
    """Every caller and credential with several unproved holds now. A caller is shown as a digest."""
    with at(org_id) as (session, _):
        found = unproved_holds.list_askers(session, org_id, most=1000)
    rows: list[dict[str, object]] = [
        {"caller": each.caller, "credential": each.credential_id, "label": each.label, "holds": each.holds}
        for each in found
    ]
    print_rows(rows, json_wanted=as_json, none="nobody holds several times without a code")


@hold.command("give-back")
@click.argument("org_id", type=click.UUID)
@click.option("--hold", "hold_id", type=click.UUID, help="This one.")
@click.option("--caller", type=Words(), help="All of this caller, as `flask hold askers` shows it.")
@click.option("--credential", "credential_id", type=click.UUID, help="All of this credential.")
def give_back(
    org_id: uuid.UUID, hold_id: uuid.UUID | None, caller: str | None, credential_id: uuid.UUID | None
) -> None:
    """Give back unproved holds. A hold for which a code was asked stays."""
    if sum(each is not None for each in (hold_id, caller, credential_id)) != 1:
        raise click.UsageError("give one of --hold, --caller and --credential")
    with at(org_id) as (session, _):
        count = unproved_holds.give_back(
            session, org_id, hold_id=hold_id, caller=caller, credential_id=credential_id
        )
    click.echo(f"given back: {count}")
