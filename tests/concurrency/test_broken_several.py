"""The negative controls of the races for several resources: what each part is there for.

Locks, constraint and triggers are taken away in copies of the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from tests.concurrency import several
from tests.concurrency.databases import new_database
from tests.concurrency.racing import (
    SLOT,
    Connection,
    connections,
    errors_in,
    insert_appointment,
    meanwhile,
    wait_until_blocked,
)
from tests.concurrency.several import STARTS, Diary, Tried, claim, insert_block, make_clinic, race_of_claims

HOUR = timedelta(hours=1)
#: A thing that is missing is found after a few races, and at the latest after these.
MOST = 500


@contextmanager
def copy(database_url: str, template: str, count: int = 48) -> Iterator[list[Connection]]:
    with new_database(database_url, template=template) as url, connections(url, count) as racers:
        yield racers


def remove_lock(connection: Connection) -> None:
    connection.execute(
        "CREATE OR REPLACE FUNCTION lock_resources(p_org uuid, p_resources text[]) RETURNS void"
        " LANGUAGE sql AS ''"
    )


def remove_constraint(connection: Connection) -> None:
    """Both of those that refuse two occupancies: the primary key sees equal starts."""
    connection.execute(
        "ALTER TABLE occupancies DROP CONSTRAINT ex_occupancies_no_overlap, DROP CONSTRAINT pk_occupancies"
    )


def raced(racers: list[Connection], number: int) -> tuple[Diary, list[Tried]]:
    """The diary after a race in which nobody was told of an error of the database, and the claims."""
    org = make_clinic(racers[0])
    tried = race_of_claims(racers, org, number, STARTS[:3])
    assert errors_in(tried) == []
    return several.read(racers[0], org), [each for each in tried if isinstance(each, Tried)]


def test_without_the_lock_nothing_is_booked_twice_but_some_are_refused_for_nothing(
    database_url: str, template: str
) -> None:
    with copy(database_url, template) as racers:
        remove_lock(racers[0])
        for number in range(MOST):
            diary, tried = raced(racers, number)
            assert diary.double_bookings() == []
            assert diary.wrong_occupancies() == []
            if several.refused_for_nothing(diary, tried):
                break
        assert several.refused_for_nothing(diary, tried)


def test_without_the_constraint_the_lock_lets_no_two_in_and_refuses_nobody_for_nothing(
    database_url: str, template: str
) -> None:
    with copy(database_url, template) as racers:
        remove_constraint(racers[0])
        for number in range(5):
            diary, tried = raced(racers, number)
            assert diary.double_bookings() == []
            assert diary.wrong_occupancies() == []
            assert several.refused_for_nothing(diary, tried) == []


def test_without_either_a_double_booking_is_found(database_url: str, template: str) -> None:
    with copy(database_url, template) as racers:
        remove_lock(racers[0])
        remove_constraint(racers[0])
        for number in range(MOST):
            diary, _ = raced(racers, number)
            if diary.double_bookings():
                break
        shared = {resource for resource, _, _ in diary.double_bookings()}
        assert shared


def test_where_freed_time_is_not_given_to_blocks_a_booking_on_blocked_time_is_found(
    database_url: str, template: str
) -> None:
    with copy(database_url, template, count=1) as (connection,):
        for is_broken in (False, True):
            if is_broken:
                connection.execute(
                    "CREATE OR REPLACE FUNCTION give_to_blocks(p_org uuid, p_resources text[],"
                    " p_from timestamptz, p_until timestamptz) RETURNS void LANGUAGE sql AS ''"
                )
            org = make_clinic(connection)
            insert_appointment(connection, org, SLOT, "Anna")
            insert_block(connection, org, "Anna", SLOT - HOUR, SLOT + HOUR)
            connection.execute("UPDATE appointments SET status = 'cancelled' WHERE org_id = %s", [org])
            diary = several.read(connection, org)
            assert bool(diary.wrong_occupancies()) is is_broken
            assert claim(connection, org, "Anna", SLOT).success is is_broken
            assert bool(several.read(connection, org).on_blocked_time()) is is_broken


def test_where_blocks_and_cancellations_do_not_exclude_each_other_free_time_is_found_in_a_block(
    database_url: str, template: str
) -> None:
    with copy(database_url, template, count=3) as (watcher, one, other):
        for is_broken in (False, True):
            if is_broken:
                watcher.execute(
                    "CREATE OR REPLACE FUNCTION lock_for_blocks(p_org uuid, p_resources text[])"
                    " RETURNS void LANGUAGE sql AS 'SELECT lock_resources(p_org, p_resources)'"
                )
            org = make_clinic(watcher)
            insert_appointment(watcher, org, SLOT, "Anna")
            with one.transaction():
                one.execute("UPDATE appointments SET status = 'cancelled' WHERE org_id = %s", [org])
                block = partial(insert_block, other, org, "Anna", SLOT - HOUR, SLOT + HOUR)
                blocked = meanwhile(block)
                if is_broken:
                    blocked.result(120)
                else:
                    wait_until_blocked(watcher, other, by="advisory")
            blocked.result(120)
            assert bool(several.read(watcher, org).wrong_occupancies()) is is_broken
