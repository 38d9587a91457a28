"""A calendar from elsewhere becomes busy times of its person: read by a task, from a real server."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import Door, system_transaction, transaction
from models.booking import blocks, feed_readings, feed_states, feeds, ics
from models.booking.hours import Impossible
from tasks.feeds import read_feed, sweep_feeds
from tests.conftest import Clock
from tests.factories import reserve
from tests.tasks.elsewhere import Elsewhere, calendar, event
from tests.tasks.reading_feeds import Clinic, at, take
from tests.tasks.reading_feeds import authority as authority  # the fixture  # noqa: PLC0414
from tests.tasks.reading_feeds import clinic as clinic  # the fixture  # noqa: PLC0414
from tests.tasks.reading_feeds import elsewhere as elsewhere  # the fixture  # noqa: PLC0414
from tests.tasks.reading_feeds import nudged as nudged  # the fixture  # noqa: PLC0414


def test_busy_times_become_blocks_that_name_no_patient(clinic: Clinic, elsewhere: Elsewhere) -> None:
    elsewhere.body = calendar(event(1, at(9)), event(2, at(9, 30)), event(3, at(12), 60))
    clinic.read()
    assert clinic.busy == clinic.taken == [(at(9), at(10)), (at(12), at(13))]
    assert clinic.sql.execute(
        "SELECT DISTINCT reason FROM blocks WHERE org_id = %s", [clinic.id]
    ).fetchall() == [("Google",)]
    assert clinic.row("problem", "events", "failures", "taken_at") == (None, 3, 0, None)
    for (row,) in clinic.sql.execute("SELECT f::text FROM calendar_feeds f WHERE org_id = %s", [clinic.id]):
        assert "Miller" not in row
        assert "s3cr3t" not in row


def test_what_did_not_change_is_not_written_again(clinic: Clinic, elsewhere: Elsewhere) -> None:
    elsewhere.body = calendar(*(event(n, at(1) + timedelta(hours=n)) for n in range(500)))
    clinic.read()
    before = _written(clinic)
    assert len(clinic.busy) == 500
    clinic.read()  # the same body
    assert _written(clinic) == before
    elsewhere.body = calendar(*(event(n, at(1) + timedelta(hours=n)) for n in reversed(range(500))))
    clinic.read()  # another body with the same times
    assert _written(clinic) == before
    elsewhere.body = calendar(*(event(n, at(1) + timedelta(hours=n)) for n in range(1, 501)))
    clinic.read()
    assert len(_written(clinic) - before) == len(before - _written(clinic)) == 1


def test_a_calendar_of_many_new_times_holds_nobody_up_for_long(clinic: Clinic, elsewhere: Elsewhere) -> None:
    """It is written in portions, and what stays busy is free between no two of them."""
    elsewhere.body = calendar(*(event(n, at(1) + timedelta(hours=n)) for n in range(250)))
    clinic.read()
    assert len(clinic.busy) == len(clinic.taken) == 250
    # Every time begins ten minutes earlier: all blocks are others, and twenty minutes of each stay busy.
    moved = [(at(0, 50) + timedelta(hours=n), at(1, 20) + timedelta(hours=n)) for n in range(250)]
    with system_transaction(Door.SWEEP) as session:
        feed_readings.ask_for(session, clinic.org_id, clinic.feed_id)
    taken = take(clinic)
    outcome = feed_readings.Read(ics.Reading(tuple(moved), 250, 0))
    portions = 0
    recorded = feed_readings.Recorded(is_all=False)
    while not recorded.is_all:
        with transaction(clinic.org_id) as session:
            found = feed_readings.record(session, taken, outcome)
        assert found is not None
        recorded, portions = found, portions + 1
        assert recorded.added + recorded.removed <= feed_readings.PORTION
        [(free,)] = clinic.sql.execute(
            "SELECT count(*) FROM generate_series(0, 249) n WHERE NOT EXISTS (SELECT FROM occupancies o"
            " WHERE o.org_id = %s AND o.starts_at <= %s + n * interval '1 hour'"
            " AND o.ends_at > %s + n * interval '1 hour')",
            [clinic.id, at(1, 5), at(1, 5)],
        ).fetchall()
        assert free == 0
    assert portions == 5
    assert clinic.busy == moved
    assert clinic.row("taken_at", "events") == (None, 250)


def _written(clinic: Clinic) -> set[Any]:
    return set(
        clinic.sql.execute("SELECT id, xmin::text FROM blocks WHERE org_id = %s", [clinic.id]).fetchall()
    )


def test_an_answer_that_nothing_changed_is_a_reading_too(
    clinic: Clinic, elsewhere: Elsewhere, clock: Clock
) -> None:
    clock.stop()
    elsewhere.body, elsewhere.headers = calendar(event(1, at(9))), {"ETag": '"1"'}
    clinic.read()
    [first] = clinic.row("read_at")
    clock.forward(30)
    clinic.read()
    assert elsewhere.asked[-1]["If-None-Match"] == '"1"'
    assert clinic.row("read_at") == (first + timedelta(seconds=30),)
    assert clinic.busy == [(at(9), at(9, 30))]
    # On the next day it is worked out once more, since the days that are looked at have moved on.
    clock.forward(24 * 3600)
    clinic.read()
    assert "If-None-Match" not in elsewhere.asked[-1]


def test_what_was_booked_stands_and_is_shown_and_its_time_is_taken_when_it_ends(
    clinic: Clinic, elsewhere: Elsewhere, client: FlaskClient, sql: psycopg.Connection
) -> None:
    hold = reserve(client, clinic.id, slotId=f"{at(10):%Y-%m-%dT%H:%M:%SZ}")["holdId"]
    elsewhere.body = calendar(event(1, at(9, 30), 60))
    clinic.read()
    assert clinic.busy == [(at(9, 30), at(10, 30))]
    assert clinic.taken == [(at(9, 30), at(10))]  # the hold has the rest until it runs out
    sql.execute("UPDATE appointment_holds SET status = 'released' WHERE id = %s", [hold])
    assert clinic.taken == [(at(9, 30), at(10)), (at(10), at(10, 30))]
    assert reserve(client, clinic.id, slotId=f"{at(10):%Y-%m-%dT%H:%M:%SZ}")["success"] is False


def test_an_appointment_in_a_busy_time_is_shown_and_never_dropped(
    clinic: Clinic, elsewhere: Elsewhere, sql: psycopg.Connection
) -> None:
    from tests.concurrency.racing import insert_appointment  # noqa: PLC0415

    appointment = insert_appointment(sql, clinic.id, at(10), "cal-1")
    elsewhere.body = calendar(event(1, at(9, 30), 60))
    clinic.read()
    with transaction(clinic.org_id) as session:
        met = feed_states.find_met(session, clinic.org_id)
        assert [(feed, each.id) for feed, each in met] == [(clinic.feed_id, appointment)]
    sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [appointment])
    assert clinic.taken == [(at(9, 30), at(10)), (at(10), at(10, 30))]


def test_the_desks_blocks_are_left_alone_and_the_feeds_cannot_be_removed_at_the_desk(
    clinic: Clinic, elsewhere: Elsewhere
) -> None:
    with transaction(clinic.org_id) as session:
        desk = blocks.make(
            session,
            org_id=clinic.org_id,
            resource_id="cal-1",
            starts_at=at(9),
            ends_at=at(10),
            reason="Lunch",
        ).block_id
    elsewhere.body = calendar(event(1, at(9), 60))
    clinic.read()
    [(own,)] = clinic.sql.execute(
        "SELECT id FROM blocks WHERE org_id = %s AND source = 'feed'", [clinic.id]
    ).fetchall()
    with pytest.raises(Impossible, match="Google"), transaction(clinic.org_id) as session:
        blocks.remove(session, clinic.org_id, own)
    elsewhere.body = calendar()
    clinic.read()
    assert clinic.sql.execute("SELECT id FROM blocks WHERE org_id = %s", [clinic.id]).fetchall() == [(desk,)]
    assert clinic.taken == [(at(9), at(10))]


def test_turned_off_or_removed_it_gives_its_time_back(clinic: Clinic, elsewhere: Elsewhere) -> None:
    elsewhere.body = calendar(event(1, at(9)))
    clinic.read()
    with transaction(clinic.org_id) as session:
        feeds.change(session, clinic.org_id, clinic.feed_id, is_on=False)
    assert clinic.busy == clinic.taken == []
    clinic.read()
    assert clinic.busy == []
    with transaction(clinic.org_id) as session:
        feeds.change(session, clinic.org_id, clinic.feed_id, is_on=True, label="Outlook")
    clinic.read()
    assert clinic.taken == [(at(9), at(9, 30))]
    with transaction(clinic.org_id) as session:
        assert feeds.remove(session, clinic.org_id, clinic.feed_id)
        assert not feeds.remove(session, clinic.org_id, clinic.feed_id)
    assert clinic.busy == clinic.taken == []


def test_a_reading_that_another_change_overtook_writes_nothing(clinic: Clinic, elsewhere: Elsewhere) -> None:
    def answer(handler: Any) -> None:
        with transaction(clinic.org_id) as session:
            feeds.change(session, clinic.org_id, clinic.feed_id, is_on=False)
        elsewhere.answer = None
        elsewhere.get(handler)

    elsewhere.body, elsewhere.answer = calendar(event(1, at(9))), answer
    clinic.read()
    assert clinic.busy == []
    assert clinic.row("read_at") == (None,)


# --- whose turn it is -----------------------------------------------------------------------------


def test_only_what_is_due_is_queued_and_each_nudges_the_next(
    clinic: Clinic, elsewhere: Elsewhere, nudged: list[Any]
) -> None:
    second = clinic.add(elsewhere.address + "?2")
    clinic.sql.execute("UPDATE calendar_feeds SET due_at = due_at - interval '1 min' WHERE id = %s", [second])

    def of(feed_id: uuid.UUID) -> tuple[str, dict[str, str], str]:
        return "feeds.read_feed", {"org_id": clinic.id, "feed_id": str(feed_id)}, "feeds"

    sweep_feeds.run()
    assert nudged == [of(second)]
    read_feed.run(org_id=clinic.id, feed_id=str(second))
    assert nudged == [of(second), of(clinic.feed_id)]
    read_feed.run(org_id=clinic.id, feed_id=str(clinic.feed_id))
    read_feed.run(org_id=clinic.id, feed_id=str(clinic.feed_id))  # a nudge that came twice
    sweep_feeds.run()
    assert len(nudged) == 2
    assert len(elsewhere.asked) == 2


def test_one_is_read_at_a_time(clinic: Clinic, elsewhere: Elsewhere, nudged: list[Any]) -> None:
    second = clinic.add(elsewhere.address + "?2")
    assert take(clinic)
    sweep_feeds.run()
    read_feed.run(org_id=clinic.id, feed_id=str(second))
    assert nudged == elsewhere.asked == []


def test_nobody_reads_the_calendar_of_somebody_who_is_retired(clinic: Clinic, nudged: list[Any]) -> None:
    clinic.sql.execute("UPDATE resources SET retired_at = now() WHERE org_id = %s", [clinic.id])
    sweep_feeds.run()
    assert nudged == []


# --- the set-up ----------------------------------------------------------------------------------


def test_one_person_has_a_calendar_once_and_at_most_ten(clinic: Clinic, elsewhere: Elsewhere) -> None:
    with pytest.raises(Impossible, match="already"):
        clinic.add(elsewhere.address)
    for number in range(9):
        clinic.add(f"https://a.test/{number}")
    with pytest.raises(Impossible, match="10 calendars"):
        clinic.add("https://a.test/more")
