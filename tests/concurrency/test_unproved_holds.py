"""However many reserve at once, no limit on unproved holds is passed: they are counted under one lock."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import psycopg

from tests.concurrency.racing import (
    SLOT,
    Connection,
    connections,
    double_bookings,
    errors_in,
    make_clinic,
    meanwhile,
    race,
    stray_occupancies,
    wait_until_blocked,
)

MANY = 48
DAY = timedelta(days=1)


def asked(**changes: Any) -> str:
    day = SLOT.replace(hour=0)
    values = {
        "credential": str(uuid.UUID(int=1)),
        "caller": None,
        "own": False,
        "most": 1000,
        "most_of_caller": 1000,
        "percent": 100,
        "from": day.isoformat(),
        "until": (day + DAY).isoformat(),
        "offered": 96,
    }
    return json.dumps(values | changes)


def reserve(
    connection: Connection, org: str, calendar: str, number: int, *, minutes: int = 0, **changes: Any
) -> str | None:
    """The code of the refusal, or none."""
    row = connection.execute(
        "SELECT code FROM claim_slot_atomic(%s, %s, %s, NULL, 'John', %s, 10, %s)",
        [org, calendar, SLOT + timedelta(minutes=minutes), f"+447700{number:06d}", asked(**changes)],
    ).fetchone()
    assert row is not None
    code: str | None = row[0]
    return code


def live(connection: Connection, org: str) -> int:
    row = connection.execute(
        "SELECT count(*) FROM appointment_holds WHERE org_id = %s AND status = 'held'", [org]
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_many_at_once_on_as_many_calendars_keep_to_the_limit_of_a_credential(
    racers: list[Connection],
) -> None:
    calendars = [f"cal{n}" for n in range(MANY)]
    for _ in range(3):
        org = make_clinic(racers[0], **{name: {} for name in calendars})
        codes = race(racers[:MANY], lambda at, n, org=org: reserve(at, org, calendars[n], n, most=7))  # type: ignore[misc]
        assert errors_in(codes) == []
        assert live(racers[0], org) == codes.count(None) == 7


def test_many_at_once_keep_to_the_limit_of_a_caller_by_whichever_credential(
    racers: list[Connection],
) -> None:
    calendars = [f"cal{n}" for n in range(MANY)]
    org = make_clinic(racers[0], **{name: {} for name in calendars})

    def act(connection: Connection, n: int) -> str | None:
        credential = str(uuid.UUID(int=n))
        return reserve(
            connection, org, calendars[n], n, caller="one", credential=credential, most_of_caller=3
        )

    codes = race(racers[:MANY], act)
    assert errors_in(codes) == []
    assert live(racers[0], org) == codes.count(None) == 3


def test_many_at_once_keep_to_what_a_day_may_be_held(racers: list[Connection]) -> None:
    org = make_clinic(racers[0])

    def act(connection: Connection, n: int) -> str | None:
        other = f"caller {n}"
        return reserve(
            connection, org, "cal", n, minutes=15 * n // 2 * 2, caller=other, offered=16, percent=50
        )

    race(racers[:MANY], act)
    assert live(racers[0], org) == 8
    assert double_bookings(racers[0], org) == 0
    assert stray_occupancies(racers[0], org) == []


def test_who_comes_second_waits_to_count_what_the_first_has_not_committed_yet(
    database_url: str, sql: psycopg.Connection
) -> None:
    org = make_clinic(sql, one={}, two={})
    with connections(database_url, 2) as (first, second):
        with first.transaction():
            assert reserve(first, org, "one", 1, most=1) is None
            waiting = meanwhile(lambda: reserve(second, org, "two", 2, most=1))
            wait_until_blocked(sql, second, by="advisory")
        assert waiting.result(120) == "too_many_unproved_holds"
        # Without limits nobody waits for anybody on another calendar.
        with first.transaction():
            assert reserve(first, org, "one", 3, minutes=60, most=9) is None
            row = second.execute(
                "SELECT success FROM claim_slot_atomic(%s, 'two', %s, NULL, 'Jo', '+447700000009', 10)",
                [org, SLOT],
            ).fetchone()
            assert row == (True,)
