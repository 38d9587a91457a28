"""P1 for claims that take a person, a room and a device at once: by every way, against each other.

`RACE_ROUNDS=200` runs the great race for longer than the suite does.
"""

from __future__ import annotations

import math
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import partial

import pytest
from flask import Flask
from psycopg import errors
from sqlalchemy import Engine, create_engine

from models.base.session import sqlalchemy_url
from tests.concurrency import several
from tests.concurrency.racers import Racer
from tests.concurrency.racing import (
    Connection,
    connections,
    errors_in,
    race,
)
from tests.concurrency.test_deadlocks import count_deadlocks
from tests.factories import create_clinic

ROUNDS = int(os.environ.get("RACE_ROUNDS", "5"))
RACERS = 64
APPLICATION = f"several-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def racers(database_url: str) -> Iterator[list[Connection]]:
    with connections(f"{database_url}?application_name={APPLICATION}", RACERS) as opened:
        yield opened


@pytest.fixture(scope="module")
def engine(database_url: str) -> Iterator[Engine]:
    """For the verbs of models/. No lock timeout: it would turn a deadlock into something else."""
    engine = create_engine(
        sqlalchemy_url(database_url),
        isolation_level="READ COMMITTED",
        pool_size=RACERS // 4,
        connect_args={"application_name": APPLICATION, "options": "-c app.scope=system"},
    )
    yield engine
    engine.dispose()


def test_people_rooms_devices_and_blocks_in_one_race(
    database_url: str, racers: list[Connection], engine: Engine, app: Flask, sql: Connection
) -> None:
    """Nobody gets what another has, and nobody is told of a deadlock."""
    deadlocks = count_deadlocks(sql)
    did: Counter[str] = Counter()
    for number in range(ROUNDS):
        org = create_clinic(calendars=())
        several.furnish(sql, org)
        field = [Racer(racers[n], org, n, app, engine, f"{number}") for n in range(RACERS)]
        for each in field[:12]:  # so that there is something to move, cancel, confirm and block
            each.claim_with_options()
            each.confirm()
        field[0].insert_block()
        results = race(racers, partial(run, field))
        assert errors_in(results) == []

        trouble = [each for racer in field for each in racer.trouble]
        # The constraint itself refuses raw SQL; nobody else is told of an error, and nobody of a deadlock.
        assert [
            (verb, answer)
            for verb, answer in trouble
            if not (verb in BY_HAND and isinstance(answer, errors.ExclusionViolation))
        ] == [], f"round {number}"
        diary = several.read(sql, org)
        assert diary.double_bookings() == [], f"round {number}"
        assert diary.wrong_occupancies() == [], f"round {number}"
        assert came_after_its_block(field, diary) == [], f"round {number}"
        for racer in field:
            did += racer.did
    assert {verb.__name__ for verb in field[0].verbs()} - set(did) == set(), did
    for connection in racers:
        connection.execute("SELECT pg_stat_force_next_flush()")
    assert count_deadlocks(sql) == deadlocks  # also none that the application got over


BY_HAND = ("insert_hold", "insert_bare_hold", "insert_appointment", "move_by_hand")


def run(field: list[Racer], _connection: Connection, number: int) -> None:
    field[number].run()


def came_after_its_block(field: list[Racer], diary: several.Diary) -> list[tuple[several.Booking, uuid.UUID]]:
    """The bookings on the time of a block that was there, for good, before they took that time."""
    blocked = {block: since for racer in field for block, since in racer.blocked.items()}
    for racer in field:
        for block in racer.unblocked:
            blocked.pop(block, None)
    began: dict[tuple[uuid.UUID, datetime], float] = {}
    for racer in field:
        for taken in racer.took:
            key = (taken.id, taken.start)
            began[key] = min(taken.began, began.get(key, taken.began))
    bookings = {booking.id: booking for booking in diary.bookings}
    found = []
    for booking_id, block in diary.on_blocked_time():
        booking = bookings[booking_id]
        # An appointment has had its time since its hold had it.
        since = min(
            began.get((id_, booking.starts_at), math.inf) for id_ in (booking.id, booking.hold) if id_
        )
        assert since < math.inf, f"nobody took {booking}"
        if block in blocked and blocked[block] < since:
            found.append((booking, block))
    return found
