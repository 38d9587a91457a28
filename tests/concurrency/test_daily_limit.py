"""How many of a service begin on one day, where many claim at once."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.claimed import Claimed
from tests.concurrency import several
from tests.concurrency.racing import (
    QUARTER,
    SLOT,
    Connection,
    confirm,
    connections,
    meanwhile,
    race,
    wait_until_blocked,
)
from tests.concurrency.several import claim
from tests.conftest import Clock
from tests.models.test_sql_several import held, limit, one, taken

Sql = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def org(sql: Sql) -> str:
    return several.make_clinic(sql)


def claim_at(org: str, starts: list[datetime], connection: Connection, number: int) -> Claimed:
    return claim(connection, org, "talk", starts[number], caller=number)


def test_of_many_at_once_no_more_than_the_limit_are_held(database_url: str, sql: Connection) -> None:
    with connections(database_url, 24) as racers:
        starts = [SLOT + n * QUARTER for n in range(24)]
        for _ in range(5):
            org = several.make_clinic(sql)
            limit(sql, org, "talk", 5)
            answers = race(racers, partial(claim_at, org, starts))
            codes = Counter(each.code for each in answers if isinstance(each, Claimed))
            assert codes == {None: 5, "day_is_full": 19}


def test_a_call_that_gives_up_a_hold_and_another_that_claims_do_not_wait_for_each_other(
    database_url: str, sql: Connection, org: str
) -> None:
    """The first has the locks of the resources before it claims (holds.claim_instead)."""
    limit(sql, org, "talk", 5)
    with connections(database_url, 2) as (changes, claims):
        with changes.transaction():
            changes.execute("SELECT lock_resources(%s, %s)", [org, ["Anna", "dora"]])
            waiting = meanwhile(lambda: claim(claims, org, "talk", SLOT, caller=2))
            wait_until_blocked(sql, claims, by="advisory")
            assert claim(changes, org, "talk", SLOT, caller=1).success
        assert waiting.result(120).success
    assert [row[0] for row in taken(sql, org)] == ["Anna", "dora"]


def test_a_hold_that_is_confirmed_at_its_last_moment_counts_for_a_claim_just_after_it(
    database_url: str, sql: Connection, org: str, clock: Clock
) -> None:
    """The claim is of another person, so the two have no resource in common to wait for."""
    limit(sql, org, "talk", 1)
    hold = held(sql, org, "talk", **_with("Anna"))
    contact = one(sql, "SELECT contact_id FROM appointment_holds WHERE id = %s", hold)
    with connections(database_url, 2) as (confirms, claims):
        with confirms.transaction():
            assert confirm(confirms, org, hold, contact=contact).success
            clock.forward(601)  # for the claim the hold has run out
            claimed = meanwhile(
                lambda: claim(claims, org, "talk", SLOT + QUARTER, caller=2, asked=_with("dora"))
            )
            wait_until_blocked(sql, claims, by="advisory")
        assert claimed.result(120).code == "day_is_full"


def _with(person: str) -> dict[str, Any]:
    return {"service": "talk", "options": [[[person]]]}
