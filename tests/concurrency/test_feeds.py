"""A calendar from elsewhere, the desk, a patient's link, a block and sixteen callers want one time."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from models.base.session import transaction
from models.booking import feed_readings, feeds
from models.booking.feed_readings import Read, Taken
from models.booking.ics import Reading, Span
from tests.concurrency.desks import (
    Told,
    block,
    book_by_hand,
    check,
    claim,
    clinic,
    has_whole_time,
    move_by_link,
)
from tests.concurrency.racing import (
    SLOT,
    Connection,
    connections,
    errors_in,
    meanwhile,
    race,
    wait_until_blocked,
)

ROUNDS = 40
CALLERS = 16
LENGTH = timedelta(minutes=30)


def taken(sql: Connection, org: str, feed_id: uuid.UUID) -> Taken:
    """The feed, as the task that reads it has it."""
    row = sql.execute(
        "UPDATE calendar_feeds SET taken_at = app_clock() WHERE id = %s RETURNING taken_at, address_sealed",
        [feed_id],
    ).fetchone()
    assert row is not None
    begin = SLOT - timedelta(days=20)
    return Taken(
        *(uuid.UUID(org), feed_id, row[0], row[1], ZoneInfo("UTC"), begin, begin + timedelta(days=600)),
        *(None, None, None),
    )


def record(reading: Taken, *spans: Span) -> None:
    with transaction(reading.org_id) as session:
        assert feed_readings.record(session, reading, Read(Reading(spans, len(spans), 0))) is not None


def feed_of(org: str) -> uuid.UUID:
    org_id = uuid.UUID(org)
    with transaction(org_id) as session:
        return feeds.add(
            session, org_id=org_id, resource_id="cal-1", address="https://calendar.test/", label="Google"
        ).id


def block_of_feed(sql: Connection, feed_id: uuid.UUID, begins: datetime) -> uuid.UUID:
    [(found,)] = sql.execute(
        "SELECT id FROM blocks WHERE feed_id = %s AND starts_at = %s", [feed_id, begins]
    ).fetchall()
    assert isinstance(found, uuid.UUID)
    return found


def test_one_has_the_time_or_the_blocks_have_it(database_url: str, sql: Connection) -> None:
    org = clinic()
    feed_id = feed_of(org)
    blocked_wholly = 0
    with connections(database_url, CALLERS + 4) as racers:
        for number in range(ROUNDS):
            slot = SLOT + timedelta(days=number)
            mine = book_by_hand(sql, org, slot + 6 * LENGTH).id
            assert mine is not None
            reading = taken(sql, org, feed_id)

            def act(
                connection: Connection,
                who: int,
                slot: datetime = slot,
                mine: uuid.UUID = mine,
                reading: Taken = reading,
            ) -> Told | None:
                match who:
                    case 0:
                        record(reading, (slot, slot + LENGTH))
                        return None
                    case 1:
                        return book_by_hand(connection, org, slot + timedelta(minutes=10))
                    case 2:
                        return move_by_link(connection, org, mine, slot)
                    case 3:
                        return block(connection, org, slot, slot + LENGTH)
                return claim(connection, org, slot)

            results = race(racers, act)
            assert errors_in(results) == []
            told = {who: each for who, each in enumerate(results) if isinstance(each, Told)}
            winners = [who for who, each in told.items() if each.success and who != 3]
            blocks = (block_of_feed(sql, feed_id, slot), told[3].id)
            whole = [each for each in blocks if each and has_whole_time(sql, org, each, slot, slot + LENGTH)]
            assert len(winners) + len(whole) == 1, told
            blocked_wholly += len(whole)
            # What has the time lets go of it, and the two blocks have it together and once.
            sql.execute("DELETE FROM blocks WHERE id = %s", [told[3].id])
            sql.execute(
                "UPDATE appointment_holds SET status = 'released' WHERE org_id = %s AND starts_at = %s",
                [org, slot],
            )
            sql.execute(
                "UPDATE appointments SET status = 'cancelled' WHERE org_id = %s AND scheduled_at < %s"
                " AND ends_at > %s AND status = 'confirmed'",
                [org, slot + LENGTH, slot],
            )
            assert has_whole_time(sql, org, blocks[0], slot, slot + LENGTH)
    check(sql, org)
    assert blocked_wholly < ROUNDS


def test_a_reading_waits_for_a_claim_and_a_claim_for_a_reading(database_url: str, sql: Connection) -> None:
    """Both have the lock of the person, so that neither sees the other's time half taken."""
    org = clinic()
    feed_id = feed_of(org)
    with connections(database_url, 2, autocommit=False) as (caller, other):
        assert claim(caller, org, SLOT).success  # and does not commit yet
        done = meanwhile(lambda: record(taken(sql, org, feed_id), (SLOT, SLOT + 2 * LENGTH)))
        caller.commit()
        done.result(60)
        held = block_of_feed(sql, feed_id, SLOT)
        assert has_whole_time(sql, org, held, SLOT + LENGTH, SLOT + 2 * LENGTH)
        assert not has_whole_time(sql, org, held, SLOT, SLOT + LENGTH)
        # A change of the feed that is not committed yet.
        other.execute("SELECT lock_resources(%s, ARRAY['cal-1'])", [org])
        waiting = meanwhile(lambda: claim(caller, org, SLOT + LENGTH))
        wait_until_blocked(sql, caller, by="advisory")
        other.rollback()
        assert waiting.result(60).code == "slot_taken"
    check(sql, org)


def test_two_readings_of_one_feed_write_each_time_once(sql: Connection) -> None:
    """The first was given up by its worker, and comes to its end all the same."""
    org = clinic()
    feed_id = feed_of(org)
    first = taken(sql, org, feed_id)
    second = taken(sql, org, feed_id)
    record(second, (SLOT, SLOT + LENGTH))
    with transaction(first.org_id) as session:
        late = Read(Reading(((SLOT, SLOT + LENGTH), (SLOT + LENGTH, SLOT + 2 * LENGTH)), 2, 0))
        assert feed_readings.record(session, first, late) is None
    assert sql.execute("SELECT count(*) FROM blocks WHERE feed_id = %s", [feed_id]).fetchone() == (1,)
