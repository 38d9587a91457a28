"""P1: of any number of callers who want one time exactly one has it, and overlapping ones never two."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from psycopg import IsolationLevel, errors

from tests.claimed import Claimed
from tests.concurrency.racing import (
    OVERLAPPING,
    QUARTER,
    SLOT,
    Connection,
    claim,
    connections,
    count_live,
    double_bookings,
    errors_in,
    insert_appointment,
    insert_hold,
    make_clinic,
    meanwhile,
    race,
    race_for_one_slot,
    race_for_overlapping_slots,
    stray_occupancies,
    wait_until_blocked,
    winners_of,
)


def test_of_one_hundred_callers_for_one_slot_exactly_one_has_it(racers: list[Connection]) -> None:
    for _ in range(3):
        org = make_clinic(racers[0])
        results = race_for_one_slot(racers, org)
        assert errors_in(results) == []
        (winner,) = winners_of(results)
        losers = {
            (loser.error, loser.code, loser.hold_id, loser.contact_id, loser.held_by_call)
            for loser in results
            if isinstance(loser, Claimed) and not loser.success
        }
        row = racers[0].execute(
            "SELECT id, call_sid, starts_at, ends_at FROM appointment_holds WHERE org_id = %s", [org]
        )
        (hold,) = row.fetchall()
        assert hold == (winner.hold_id, hold[1], SLOT, SLOT + timedelta(minutes=30))
        # Everybody else left nothing behind, and was told whose it is.
        assert losers == {("Slot already held", "slot_taken", None, None, hold[1])}
        contacts = racers[0].execute("SELECT id FROM contacts WHERE org_id = %s", [org]).fetchall()
        assert contacts == [(winner.contact_id,)]
        assert stray_occupancies(racers[0], org) == []


def test_overlapping_starts_never_both_win_and_nobody_is_refused_for_nothing(
    racers: list[Connection],
) -> None:
    for _ in range(3):
        org = make_clinic(racers[0], cal={"minutes": 60})
        results = race_for_overlapping_slots(racers, org)
        assert errors_in(results) == []
        won = [
            OVERLAPPING[n]
            for n, result in enumerate(results)
            if isinstance(result, Claimed) and result.success
        ]
        assert won
        assert double_bookings(racers[0], org) == 0
        assert count_live(racers[0], org) == len(won)
        assert stray_occupancies(racers[0], org) == []
        for wanted in set(OVERLAPPING):
            assert any(abs(wanted - start) < timedelta(minutes=60) for start in won), wanted


def test_slots_of_different_lengths_on_one_resource_never_overlap(racers: list[Connection]) -> None:
    lengths = {"short": 30, "middle": 45, "long": 90}
    org = make_clinic(
        racers[0],
        **{name: {"room": "room", "minutes": minutes} for name, minutes in lengths.items()},
    )
    names = list(lengths)
    results = race(
        racers,
        lambda connection, n: claim(connection, org, names[n % 3], OVERLAPPING[n], caller=n),
    )
    assert errors_in(results) == []
    assert winners_of(results)
    assert double_bookings(racers[0], org) == 0
    assert stray_occupancies(racers[0], org) == []


# Unusual sessions.


def test_sessions_in_different_zones_mean_the_same_instant(database_url: str, sql: Connection) -> None:
    org = make_clinic(sql)
    text = SLOT.strftime("%Y-%m-%dT%H:%M:%SZ")
    zones = ("America/New_York", "Asia/Tokyo", "UTC", "Australia/Lord_Howe") * 5
    with connections(database_url, len(zones)) as sessions:
        for session, zone in zip(sessions, zones, strict=True):
            session.execute("SELECT set_config('timezone', %s, false)", [zone])

        def claim_by_hand(connection: Connection, n: int) -> bool:
            row = connection.execute(
                "SELECT success FROM claim_slot_atomic("
                f"'{org}'::uuid, 'cal', '{text}'::timestamp, 'call-{n}', 'John', '+1-555-{n}', 10)"
            ).fetchone()
            assert row is not None
            return bool(row[0])

        results = race(sessions, claim_by_hand)
    assert sorted(results, key=str) == [False] * (len(zones) - 1) + [True]
    (row,) = sql.execute("SELECT starts_at FROM appointment_holds WHERE org_id = %s", [org]).fetchall()
    assert row[0].astimezone(UTC) == SLOT


@pytest.mark.parametrize("isolation", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_snapshot_from_before_the_lock_never_lets_two_in(
    database_url: str, sql: Connection, isolation: IsolationLevel
) -> None:
    org = make_clinic(sql)
    with connections(database_url, 25, autocommit=False) as sessions:
        for session in sessions:
            session.isolation_level = isolation

        def claim_and_commit(connection: Connection, n: int) -> Claimed:
            claimed = claim(connection, org, caller=n)
            connection.commit()
            return claimed

        results = race(
            sessions,
            claim_and_commit,
            before=lambda connection: connection.execute("SELECT count(*) FROM occupancies").fetchone(),
        )
    assert {type(error) for error in errors_in(results)} <= {errors.SerializationFailure}
    assert len(winners_of(results)) == 1
    assert count_live(sql, org) == 1
    assert double_bookings(sql, org) == 0


def test_an_old_snapshot_is_refused_although_it_cannot_see_the_winner(
    database_url: str, sql: Connection
) -> None:
    org = make_clinic(sql, cal={"minutes": 60})
    with connections(database_url, 1, autocommit=False) as (late,):
        late.isolation_level = IsolationLevel.REPEATABLE_READ
        assert late.execute("SELECT count(*) FROM occupancies WHERE org_id = %s", [org]).fetchone() == (0,)
        assert claim(sql, org).success
        refused = claim(late, org, slot=SLOT + QUARTER, caller=2)
        assert late.execute("SELECT count(*) FROM occupancies WHERE org_id = %s", [org]).fetchone() == (0,)
        late.commit()
    assert (refused.success, refused.code, refused.hold_id) == (False, "slot_taken", None)
    assert count_live(sql, org) == 1


def test_raw_inserts_race_with_the_function_and_one_of_all_wins(racers: list[Connection]) -> None:
    for _ in range(3):
        org = make_clinic(racers[0])

        def act(connection: Connection, n: int, org: str = org) -> bool:
            if n % 3 == 0:
                insert_hold(connection, org)
            elif n % 3 == 1:
                insert_appointment(connection, org)
            else:
                return claim(connection, org, caller=n).success
            return True

        results = race(racers, act)
        # Raw SQL is refused by the constraint itself.
        assert {type(error) for error in errors_in(results)} <= {
            errors.ExclusionViolation,
            errors.UniqueViolation,
        }
        assert results.count(True) == 1
        assert count_live(racers[0], org) == 1
        assert stray_occupancies(racers[0], org) == []


def test_raw_inserts_of_overlapping_times_never_double_book(racers: list[Connection]) -> None:
    org = make_clinic(racers[0], cal={"minutes": 60})
    some = racers[:30]

    def act(connection: Connection, n: int) -> bool:
        if n % 3 == 0:
            insert_hold(connection, org, OVERLAPPING[n])
        elif n % 3 == 1:
            insert_appointment(connection, org, OVERLAPPING[n])
        else:
            return claim(connection, org, slot=OVERLAPPING[n], caller=n).success
        return True

    results = race(some, act)
    assert {type(error) for error in errors_in(results)} <= {
        errors.ExclusionViolation,
        errors.UniqueViolation,
        errors.DeadlockDetected,  # they take no lock: two may wait for each other's insert
    }
    wins = sum(result is True for result in results)
    assert wins >= 1
    assert count_live(racers[0], org) == wins
    assert double_bookings(racers[0], org) == 0
    assert stray_occupancies(racers[0], org) == []


# Who waits for whom.


def test_two_calendars_never_wait_for_each_other(database_url: str, sql: Connection) -> None:
    org = make_clinic(sql, one={}, two={})
    elsewhere = make_clinic(sql, one={})
    with connections(database_url, 2) as (first, second), first.transaction():
        assert claim(first, org, "one", caller=1).success
        second.execute("SET lock_timeout = '2s'")  # it would be an error, and not a hanging test
        assert claim(second, org, "two", caller=2).success
        assert claim(second, elsewhere, "one", caller=3).success
        second.execute("SET lock_timeout = '50ms'")
        with pytest.raises(errors.LockNotAvailable):  # for contrast: the lock is really held
            claim(second, org, "one", SLOT + timedelta(hours=3), caller=4)


def test_two_calendars_of_one_resource_exclude_each_other(database_url: str, sql: Connection) -> None:
    org = make_clinic(sql, doctor={"room": "room"}, nurse={"room": "room"})
    with connections(database_url, 2) as (first, second):
        with first.transaction():
            assert claim(first, org, "doctor", caller=1).success
            waiting = meanwhile(lambda: claim(second, org, "nurse", SLOT + QUARTER, caller=2))
            wait_until_blocked(sql, second, by="advisory")
        refused = waiting.result(120)
        assert (refused.success, refused.code, refused.held_by_call) == (False, "slot_taken", "call-1")
        assert claim(second, org, "nurse", SLOT + timedelta(minutes=30), caller=2).success


def test_who_waited_for_a_claim_that_was_rolled_back_has_the_slot(database_url: str, sql: Connection) -> None:
    org = make_clinic(sql)
    with connections(database_url, 2) as (first, second):
        first.execute("BEGIN")
        assert claim(first, org, caller=1).success
        waiting = meanwhile(lambda: claim(second, org, caller=2))
        wait_until_blocked(sql, second, by="advisory")
        first.close()  # the process died
        assert waiting.result(120).success
    assert count_live(sql, org) == 1


def test_a_claim_waits_no_longer_than_its_lock_timeout(database_url: str, sql: Connection) -> None:
    org = make_clinic(sql)
    with connections(database_url, 2) as (first, second), first.transaction():
        assert claim(first, org, caller=1).success
        second.execute("SET lock_timeout = '200ms'")
        with pytest.raises(errors.LockNotAvailable) as raised:
            claim(second, org, caller=2)
    assert raised.value.sqlstate == "55P03"
    assert count_live(sql, org) == 1


# Stale holds, with no beat to tidy them.


def test_stale_holds_never_stand_in_the_way(racers: list[Connection]) -> None:
    org = make_clinic(racers[0], short={"room": "room"}, long={"room": "room", "minutes": 60})
    for start in (SLOT, SLOT + timedelta(minutes=30)):
        assert claim(racers[0], org, "short", start).success
    racers[0].execute(
        "UPDATE appointment_holds SET expires_at = clock_timestamp() - interval '1 ms' WHERE org_id = %s",
        [org],
    )
    results = race(racers, lambda connection, n: claim(connection, org, "long", caller=n))
    assert errors_in(results) == []
    assert len(winners_of(results)) == 1
    states = racers[0].execute(
        "SELECT calendar_id, status, released_at IS NOT NULL FROM appointment_holds WHERE org_id = %s"
        " ORDER BY calendar_id, starts_at",
        [org],
    )
    assert states.fetchall() == [
        ("long", "held", False),
        ("short", "expired", True),
        ("short", "expired", True),
    ]
    assert stray_occupancies(racers[0], org) == []


def test_a_hold_expires_by_the_clock_after_the_wait_and_not_before_it(
    database_url: str, sql: Connection
) -> None:
    """Who began to wait while the hold was alive gets the slot if it has run out by then."""
    org = make_clinic(sql)
    first_hold = claim(sql, org, caller=1).hold_id
    with connections(database_url, 2) as (blocker, second):
        with blocker.transaction():
            assert claim(blocker, org, slot=SLOT + timedelta(hours=3), caller=9).success  # takes the lock
            waiting = meanwhile(lambda: claim(second, org, caller=2))
            wait_until_blocked(sql, second, by="advisory")
            sql.execute(
                "UPDATE appointment_holds SET expires_at = clock_timestamp() WHERE id = %s", [first_hold]
            )
        assert waiting.result(120).success
    assert double_bookings(sql, org) == 0
    assert count_live(sql, org) == 2
