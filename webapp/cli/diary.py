"""`flask diary …`: what somebody has to look after."""

from __future__ import annotations

import uuid

import click

from models.booking import standing
from webapp.cli.changes import rows_of
from webapp.cli.common import as_json, at, print_rows


@click.group("diary")
def diary() -> None:
    """The diary as a whole: appointments that stand although nothing like them would be offered."""


@diary.command("outside")
@click.argument("org_id", type=click.UUID)
@as_json
def outside(org_id: uuid.UUID, *, as_json: bool) -> None:
    """Appointments to come outside hours, under a block, or with a person or service that is retired.

    Each command that leaves such appointments behind lists them; this is all of them. Ring the patients.
    """
    with at(org_id) as (session, _):
        rows = rows_of(standing.find(session, org_id))
    print_rows(rows, json_wanted=as_json, none="every appointment is as the hours and services have it")
