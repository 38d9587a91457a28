"""`flask leads export-labelled`: the calls that the staff judged, to train the score with."""

from __future__ import annotations

import json
import uuid

import click

from models.insight import labelled_calls
from webapp.cli.common import at


@click.command("export-labelled")
@click.argument("org_id", type=click.UUID)
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How far back.")
def export_labelled(org_id: uuid.UUID, days: int) -> None:
    """Write the calls that the staff judged, one JSON object per line.

    What leaves the house of each call: what caller and agent said, the facts that Vapi found, whether it
    booked, its length, how it ended, and whether it was worth the call; under an id that leads to no call
    without SECRET_KEY. Replaced by [...]: telephone numbers, codes, e-mail addresses, postcodes, street
    addresses, years and dates in figures, the names that the clinic's rows have for the caller, and all that
    looks like a name. What callers want or suffer from stays, and rules do not find every name: read the file
    before you hand it on.

    Calls of erased patients, calls whose words are erased (keep-words-days), and transcripts without capital
    letters, in which no name can be recognised, are left out.
    """
    with at(org_id) as (session, _):
        found = labelled_calls.read(session, org_id, days=days)
    for call in found.calls:
        click.echo(json.dumps(call))
    click.echo(_summary(found), err=True)


def _summary(found: labelled_calls.Labelled) -> str:
    judged = len(found.calls) + found.wordless + found.untold
    if not judged:
        return "nobody of the staff has judged a call of these days"
    left_out = [
        f"{count} {why}"
        for count, why in (
            (found.wordless, "without words"),
            (found.untold, "in which no name could be told"),
        )
        if count
    ]
    return f"{len(found.calls)} of {judged} judged calls written" + (
        f"; left out: {', '.join(left_out)}" if left_out else ""
    )
