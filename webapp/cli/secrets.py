"""`flask secrets rotate`: seals every stored secret with the current SECRET_KEY."""

from __future__ import annotations

import click

from models.base import sealing
from models.base.session import transaction
from models.clinics import sealed_columns
from webapp.cli.common import actor, everywhere, spoken_errors


@click.group("secrets")
def secrets() -> None:
    """Secrets that are stored sealed: tokens, API keys, signing secrets."""


@secrets.command("rotate")
def rotate() -> None:
    """Seal everything with the current SECRET_KEY. Earlier keys stand in FORMER_SECRET_KEYS.

    Each secret is sealed in its own transaction: calls go on meanwhile, and the command may be stopped and
    run again.
    """
    with everywhere() as session:
        found = sealed_columns.find(session)
    anew, lost = 0, []
    for stored in found:
        try:
            with spoken_errors(), transaction(stored.org_id, actor=actor()) as session:
                anew += sealed_columns.reseal(session, stored)
        except sealing.CannotUnseal:
            lost.append(stored)
    click.echo(f"{anew} sealed anew, {len(found) - anew - len(lost)} were so already")
    for stored in lost:
        click.echo(f"cannot be opened: {stored} (organisation {stored.org_id})", err=True)
    if lost:
        raise click.ClickException(
            f"{len(lost)} were sealed with a key that is neither SECRET_KEY nor in FORMER_SECRET_KEYS:"
            " name that key there and run this again, or set these secrets anew"
        )
    click.echo("no former key is needed for stored secrets any more")
