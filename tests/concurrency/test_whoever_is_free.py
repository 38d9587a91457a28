"""Callers who want whoever is free, and what a block and those who give time back owe each other."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from functools import partial

import pytest

from tests.claimed import Claimed
from tests.concurrency import several
from tests.concurrency.racing import (
    QUARTER,
    SLOT,
    Connection,
    connections,
    errors_in,
    insert_appointment,
    meanwhile,
    race,
    wait_until_blocked,
)
from tests.concurrency.several import STARTS, claim, insert_block, make_clinic, race_of_claims

HOUR = timedelta(hours=1)


def test_nobody_is_refused_while_one_who_can_do_it_is_free(racers: list[Connection]) -> None:
    for number in range(6):
        org = make_clinic(racers[0])
        tried = race_of_claims(racers[:64], org, number, STARTS[: 2 + number])
        assert errors_in(tried) == []
        diary = several.read(racers[0], org)
        assert diary.bookings
        assert diary.double_bookings() == []
        assert diary.wrong_occupancies() == []
        assert several.refused_for_nothing(diary, tried) == []


def claim_at(org: str, starts: list[datetime], connection: Connection, number: int) -> Claimed:
    return claim(connection, org, "talk", starts[number], caller=number)


def test_two_callers_at_once_for_the_last_two_people_get_one_each(racers: list[Connection]) -> None:
    org = make_clinic(racers[0])
    for number in range(300):
        start = SLOT + number * timedelta(days=1)  # nothing is booked on that day
        first, second = race(racers[:2], partial(claim_at, org, [start, start]))
        assert isinstance(first, Claimed)
        assert isinstance(second, Claimed)
        assert {first.resource_id, second.resource_id} == {"Anna", "dora"}, (number, first, second)
        third = claim(racers[0], org, "talk", start, caller=3)
        assert (third.success, third.code) == (False, "slot_taken")


def test_callers_at_once_are_dealt_out_evenly_over_the_day(racers: list[Connection]) -> None:
    """Each takes the least booked of the day, whatever the others do meanwhile: so nobody is two ahead."""
    # Thirty-two callers for times that do not overlap, and two who can do each.
    starts = [SLOT.replace(hour=0) + n * QUARTER for n in range(32)]
    for _ in range(5):
        org = make_clinic(racers[0])
        results = race(racers[:32], partial(claim_at, org, starts))
        assert errors_in(results) == []
        who = [each.resource_id for each in results if isinstance(each, Claimed)]
        assert (who.count("Anna"), who.count("dora")) == (16, 16)


# --- a block, and time that is given back at the same moment ----------------------------------------

FREE_IT = {
    "an appointment is cancelled": "UPDATE appointments SET status = 'cancelled' WHERE id = %s",
    "an appointment is moved": (
        "UPDATE appointments SET scheduled_at = scheduled_at + interval '1 day',"
        " ends_at = ends_at + interval '1 day' WHERE id = %s"
    ),
}


@pytest.mark.parametrize("how", FREE_IT)
@pytest.mark.parametrize("first", ["who frees it", "who blocks it"])
def test_a_block_gets_what_is_freed_while_it_is_made(
    database_url: str, sql: Connection, first: str, how: str
) -> None:
    """Neither sees what the other has not committed, so one of them waits."""
    org = make_clinic(sql)
    appointment = insert_appointment(sql, org, SLOT, "anyone")
    before = several.read(sql, org).bookings
    assert [booking.resources for booking in before] == [("Anna", "Room-2")]

    def free(connection: Connection) -> None:
        connection.execute(FREE_IT[how].encode(), [appointment])

    def block(connection: Connection) -> uuid.UUID:
        return insert_block(connection, org, "Anna", SLOT - HOUR, SLOT + 2 * HOUR)

    one, other = (free, block) if first == "who frees it" else (block, free)
    with connections(database_url, 2) as (early, late):
        with early.transaction():
            one(early)
            waiting = meanwhile(lambda: other(late))
            wait_until_blocked(sql, late, by="advisory")
        waiting.result(120)
    diary = several.read(sql, org)
    assert diary.wrong_occupancies() == []
    assert [(row[1], row[2]) for row in diary.occupancies if row[5]] != []
    refused = claim(sql, org, "Anna", SLOT)
    assert (refused.success, refused.error) == (False, "Time is blocked")


def test_a_statement_on_several_blocks_takes_their_locks_in_the_order_of_claims(
    database_url: str, sql: Connection
) -> None:
    """Whoever holds the lock of one of them waits for no lock that comes before it."""
    org = make_clinic(sql)
    with connections(database_url, 2) as (holder, blocker):
        with holder.transaction():
            assert claim(holder, org, "laser", SLOT, caller=1).success  # Cleo or bert, room-1 and the laser
            statement = (
                "INSERT INTO blocks (org_id, resource_id, starts_at, ends_at, reason)"
                " SELECT %s, r, %s, %s, 'x' FROM unnest(%s::text[]) WITH ORDINALITY u(r, n) ORDER BY n"
            )
            waiting = meanwhile(
                lambda: blocker.execute(statement, [org, SLOT, SLOT + HOUR, ["room-1", "Anna"]])
            )
            wait_until_blocked(sql, blocker, by="advisory")
            # It has Anna's lock, which comes first, and no more; a claim of dora goes past it.
            assert claim(
                holder,
                org,
                "talk",
                SLOT,
                caller=2,
                asked={"service": "talk", "options": [[["dora"]]]},
            ).success
        waiting.result(120)
    assert several.read(sql, org).wrong_occupancies() == []
    assert claim(sql, org, "Anna", SLOT).error == "Time is blocked"
