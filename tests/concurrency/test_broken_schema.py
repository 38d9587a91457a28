"""P1 rests on two things, and each alone keeps it. Without both it breaks: so these races are real.

The lock and the constraint are taken away in copies of the database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import errors

from tests.concurrency.databases import new_database
from tests.concurrency.racing import (
    QUARTER,
    SLOT,
    Connection,
    claim,
    connections,
    count_live,
    double_bookings,
    errors_in,
    make_clinic,
    meanwhile,
    race_for_one_slot,
    race_for_overlapping_slots,
    wait_until_blocked,
    winners_of,
)


@contextmanager
def copy(database_url: str, template: str) -> Iterator[list[Connection]]:
    with new_database(database_url, template=template) as url, connections(url, 100) as racers:
        yield racers


def remove_lock(connection: Connection) -> None:
    """Empty lock_resources, by which every function takes the locks of resources."""
    calling = connection.execute(
        "SELECT proname::text FROM pg_proc WHERE prosrc ~ 'PERFORM lock_resources\\('"
        " AND pronamespace = 'public'::regnamespace"
    ).fetchall()
    assert {name for (name,) in calling} == {
        "book_by_hand",
        "cancel_appointment",
        "claim_slot_atomic",
        "confirm_held_slot",
        "lock_for_blocks",
        "move_appointment",
        "release_hold",
    }
    [(name, definition)] = connection.execute(
        "SELECT proname::text, pg_get_functiondef(oid) FROM pg_proc"
        " WHERE prosrc LIKE '%pg_advisory_xact_lock(resource_lock_key(%'"
        " AND pronamespace = 'public'::regnamespace"
    ).fetchall()
    assert name == "lock_resources"
    edited, found = re.subn(r"(?s)(\nBEGIN\n).*(\nEND )", r"\1\2", definition)
    assert found == 1
    connection.execute(edited.encode())


def remove_constraint(connection: Connection) -> None:
    """Both of those that refuse two occupancies: the primary key sees equal starts."""
    connection.execute(
        "ALTER TABLE occupancies DROP CONSTRAINT ex_occupancies_no_overlap, DROP CONSTRAINT pk_occupancies"
    )


def advisory_locks_while_claiming(connection: Connection) -> int:
    """How many advisory locks a claim holds until its transaction ends."""
    org = make_clinic(connection)
    with connection.transaction(force_rollback=True):
        assert claim(connection, org).success
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_without_the_lock_the_constraint_never_lets_two_in(database_url: str, template: str) -> None:
    with copy(database_url, template) as racers:
        remove_lock(racers[0])
        assert advisory_locks_while_claiming(racers[0]) == 0
        for _ in range(3):
            org = make_clinic(racers[0])
            results = race_for_one_slot(racers, org)
            assert errors_in(results) == []
            assert len(winners_of(results)) == 1
            assert count_live(racers[0], org) == 1

        org = make_clinic(racers[0], cal={"minutes": 60})
        results = race_for_overlapping_slots(racers, org)
        # Only without the lock may one be the victim of a deadlock: that is what the lock is for.
        assert {type(error) for error in errors_in(results)} <= {errors.DeadlockDetected}
        assert winners_of(results)
        assert double_bookings(racers[0], org) == 0
        assert count_live(racers[0], org) == len(winners_of(results))

        # The same in slow motion: the second is stopped by the row that the first has not committed yet.
        watcher, first, second = racers[:3]
        org = make_clinic(watcher, cal={"minutes": 60})
        with first.transaction():
            assert claim(first, org, caller=1).success
            waiting = meanwhile(lambda: claim(second, org, slot=SLOT + QUARTER, caller=2))
            wait_until_blocked(watcher, second, by="transactionid")
        assert (waiting.result(120).success, waiting.result(120).code) == (False, "slot_taken")
        assert double_bookings(watcher, org) == 0


def test_without_the_constraint_the_lock_never_lets_two_in(database_url: str, template: str) -> None:
    with copy(database_url, template) as racers:
        remove_constraint(racers[0])
        assert advisory_locks_while_claiming(racers[0]) == 1
        for _ in range(3):
            org = make_clinic(racers[0])
            results = race_for_one_slot(racers, org)
            assert errors_in(results) == []
            assert len(winners_of(results)) == 1
            assert count_live(racers[0], org) == 1

            org = make_clinic(racers[0], cal={"minutes": 60})
            results = race_for_overlapping_slots(racers, org)
            assert errors_in(results) == []
            assert winners_of(results)
            assert double_bookings(racers[0], org) == 0


def test_without_either_two_callers_get_one_slot(database_url: str, template: str) -> None:
    """The negative control: were this not so, the races would prove nothing."""
    with copy(database_url, template) as racers:
        remove_lock(racers[0])
        remove_constraint(racers[0])
        for race_for, minutes in ((race_for_one_slot, 30), (race_for_overlapping_slots, 60)):
            for _ in range(500):  # on a busy machine the racers seldom meet
                org = make_clinic(racers[0], cal={"minutes": minutes})
                results = race_for(racers, org)
                assert errors_in(results) == []
                if double_bookings(racers[0], org):
                    break
            assert double_bookings(racers[0], org) >= 1, race_for
            assert len(winners_of(results)) > 1
