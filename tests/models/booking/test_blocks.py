"""Blocks: they take what is free of their time, and the rest as it comes free."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from psycopg import errors

from models.base.session import Door, system_transaction
from models.booking import appointments, blocks, holds
from models.booking.blocks import Blocked
from tests.concurrency import several
from tests.concurrency.racing import (
    RIGHT,
    SLOT,
    Connection,
    confirm,
    connections,
    insert_appointment,
    meanwhile,
    release,
    wait_until_blocked,
)
from tests.concurrency.several import claim
from tests.conftest import Clock
from tests.factories import bare, code_of, create_clinic, reserve, slot

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

Sql = psycopg.Connection[tuple[Any, ...]]


def block(org: str, begins: datetime, ends: datetime, *, resource: str = "cal-1") -> Blocked:
    with system_transaction(Door.OPERATOR) as session:
        made = blocks.make(
            session,
            org_id=uuid.UUID(org),
            resource_id=resource,
            starts_at=begins,
            ends_at=ends,
            reason=" Away ",
        )
        session.expunge_all()
        return made


def remove(org: str, block_id: uuid.UUID) -> bool:
    with system_transaction(Door.OPERATOR) as session:
        return blocks.remove(session, uuid.UUID(org), block_id)


def held(sql: Sql, org: str, start: datetime = SLOT, calendar: str = "cal-1") -> uuid.UUID:
    claimed = claim(sql, org, calendar, start)
    assert claimed.hold_id is not None, claimed
    sql.execute("UPDATE appointment_holds SET code_digest = %s WHERE id = %s", [RIGHT, claimed.hold_id])
    return claimed.hold_id


def booked(sql: Sql, org: str, start: datetime = SLOT, calendar: str = "cal-1") -> uuid.UUID:
    hold = held(sql, org, start, calendar)
    row = sql.execute("SELECT contact_id FROM appointment_holds WHERE id = %s", [hold]).fetchone()
    assert row is not None
    confirmed = confirm(sql, org, hold, contact=row[0])
    assert confirmed.appointment_id is not None, confirmed
    return confirmed.appointment_id


def pieces(sql: Sql, org: str, block_id: uuid.UUID | None = None) -> list[tuple[datetime, datetime]]:
    """The times that blocks have, and nothing of a clinic's occupancies is wrong."""
    diary = several.read(sql, org)
    assert diary.wrong_occupancies() == []
    assert diary.double_bookings() == []
    return sorted((row[1], row[2]) for row in diary.occupancies if row[5] and block_id in (None, row[5]))


# --- what a block takes, and what it meets ---------------------------------------------------------


def test_a_block_lists_the_appointments_in_its_time_and_takes_the_rest(sql: Sql) -> None:
    org = create_clinic()
    later, first = booked(sql, org, SLOT + HOUR), booked(sql, org, SLOT)
    held(sql, org, SLOT + 2 * HOUR)
    booked(sql, org, SLOT - HOUR)  # it ends before the block begins
    cancelled = booked(sql, org, SLOT + 3 * HOUR)
    sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [cancelled])
    made = block(org, SLOT - HOUR / 2, SLOT + 4 * HOUR)
    assert [each.id for each in made.meets] == [first, later]
    half = HOUR / 2
    assert pieces(sql, org, made.block_id) == [
        (SLOT - half, SLOT),
        (SLOT + half, SLOT + HOUR),
        (SLOT + 3 * half, SLOT + 2 * HOUR),
        (SLOT + 5 * half, SLOT + 4 * HOUR),
    ]
    with system_transaction(Door.OPERATOR) as session:
        (found,) = blocks.list_of_clinic(session, uuid.UUID(org), SLOT, SLOT + HOUR)
        assert (found.id, found.reason, found.source) == (made.block_id, "Away", "desk")
        assert blocks.list_of_clinic(session, uuid.UUID(org), SLOT + 4 * HOUR, SLOT + 5 * HOUR) == []


def test_an_appointment_is_met_by_its_buffers_and_by_its_room(sql: Sql) -> None:
    org = several.make_clinic(sql)
    appointment = booked(sql, org, SLOT, "anyone")  # Anna in Room-2, from five minutes before to ten after
    after = SLOT + timedelta(minutes=30)
    for resource in ("Anna", "Room-2"):
        assert [each.id for each in block(org, after, after + HOUR, resource=resource).meets] == [appointment]
    later = after + timedelta(minutes=10)
    assert block(org, later, later + HOUR, resource="Anna").meets == []
    assert block(org, after, after + HOUR, resource="room-1").meets == []


def test_blocked_time_is_neither_offered_nor_claimed(client: FlaskClient, sql: Sql) -> None:
    org = create_clinic()
    block(org, SLOT, SLOT + HOUR)
    refused = claim(sql, org, "cal-1", SLOT + HOUR / 2)
    assert (refused.success, refused.code, refused.error) == (False, "slot_taken", "Time is blocked")
    said = reserve(client, org, slotId=slot(hour=10))
    assert (said["success"], said["code"]) == (False, "slot_taken")
    nearest = {each["slotId"] for each in said["nearest"]}
    assert nearest & {slot(hour=9, minute=30), slot(hour=11)}
    assert not nearest & {slot(hour=10), slot(hour=10, minute=30)}
    with pytest.raises(errors.ExclusionViolation, match="cal-1 is taken between"):
        insert_appointment(sql, org, SLOT, "cal-1")
    assert claim(sql, org, "cal-1", SLOT + HOUR).success


def test_a_service_that_needs_a_blocked_room_takes_another_or_is_refused(sql: Sql) -> None:
    org = several.make_clinic(sql)
    block(org, SLOT, SLOT + HOUR, resource="Room-2")
    taken = claim(sql, org, "anyone", SLOT)
    assert taken.success
    row = sql.execute(
        "SELECT other_resources FROM appointment_holds WHERE id = %s", [taken.hold_id]
    ).fetchone()
    assert row == (["room-1"],)
    # bert is free, and the only room that is not blocked is held: that is what is in the way.
    refused = claim(sql, org, "anyone", SLOT, caller=2)
    assert (refused.error, refused.held_by_call) == ("Slot already held", "call-0")
    block(org, SLOT, SLOT + 8 * HOUR, resource="laser")
    assert claim(sql, org, "x-ray", SLOT + 4 * HOUR).error == "Time is blocked"


@pytest.mark.parametrize(
    ("begins", "ends", "reason", "why"),
    [
        (SLOT, SLOT, "Away", "ends before it begins"),
        (SLOT, SLOT - HOUR, "Away", "ends before it begins"),
        (SLOT, SLOT + 3660 * DAY + timedelta(microseconds=1), "Away", "ten years"),
        (SLOT, SLOT + HOUR, " \t", "reason"),
    ],
)
def test_an_impossible_block_is_refused_by_the_verb_and_by_the_table(
    sql: Sql, begins: datetime, ends: datetime, reason: str, why: str
) -> None:
    org = create_clinic()
    with system_transaction(Door.OPERATOR) as session, pytest.raises(ValueError, match=why):
        blocks.make(
            session,
            org_id=uuid.UUID(org),
            resource_id="cal-1",
            starts_at=begins,
            ends_at=ends,
            reason=reason,
        )
    with pytest.raises(errors.CheckViolation):
        several.insert_block(sql, org, "cal-1", begins, ends, reason)
    assert pieces(sql, org) == []


# --- what comes free ------------------------------------------------------------------------------


def cancel(sql: Sql, org: str, appointment: uuid.UUID) -> None:
    with system_transaction(Door.OPERATOR) as session:
        assert appointments.cancel(session, org_id=uuid.UUID(org), appointment_id=appointment).success


def move(sql: Sql, org: str, appointment: uuid.UUID) -> None:
    with system_transaction(Door.OPERATOR) as session:
        moved = appointments.move(
            session, org_id=uuid.UUID(org), appointment_id=appointment, starts_at=SLOT + DAY
        )
        assert moved.success


def by_hand(statement: str) -> Callable[[Sql, str, uuid.UUID], None]:
    def act(sql: Sql, org: str, id_: uuid.UUID) -> None:
        assert sql.execute(statement.encode(), [id_]).rowcount == 1

    return act


FREEING_AN_APPOINTMENT = {
    "cancel": cancel,
    "move": move,
    "cancel by hand": by_hand("UPDATE appointments SET status = 'cancelled' WHERE id = %s"),
    "delete by hand": by_hand(
        "WITH gone AS (DELETE FROM sms_messages WHERE appointment_id = %s RETURNING appointment_id)"
        " DELETE FROM appointments WHERE id IN (SELECT appointment_id FROM gone)"
    ),
    "move by hand": by_hand(
        "UPDATE appointments SET scheduled_at = scheduled_at + interval '1 day',"
        " ends_at = ends_at + interval '1 day' WHERE id = %s"
    ),
}


@pytest.mark.parametrize("how", FREEING_AN_APPOINTMENT)
def test_what_an_appointment_gives_back_goes_to_the_block(sql: Sql, how: str) -> None:
    org = create_clinic()
    appointment = booked(sql, org)
    made = block(org, SLOT - HOUR, SLOT + HOUR)
    FREEING_AN_APPOINTMENT[how](sql, org, appointment)
    assert several.union(pieces(sql, org, made.block_id)) == [(SLOT - HOUR, SLOT + HOUR)]
    assert claim(sql, org, "cal-1", SLOT).error == "Time is blocked"


@pytest.mark.parametrize("how", ["release", "expire", "a claim", "wrong codes", "delete"])
def test_what_a_hold_gives_back_goes_to_the_block(sql: Sql, clock: Clock, how: str) -> None:
    org = create_clinic()
    hold = held(sql, org)
    made = block(org, SLOT - HOUR, SLOT + HOUR)
    if how == "release":
        assert release(sql, org, hold)[0]
    elif how == "delete":
        sql.execute("DELETE FROM appointment_holds WHERE id = %s", [hold])
    elif how == "wrong codes":
        row = sql.execute("SELECT contact_id FROM appointment_holds WHERE id = %s", [hold]).fetchone()
        assert row is not None
        for _ in range(3):
            assert not confirm(sql, org, hold, "wrong", contact=row[0]).success
    else:
        clock.forward(601)
        if how == "expire":
            with system_transaction(Door.OPERATOR) as session:
                assert holds.expire(session) >= 1
        else:  # it clears the hold in its way, and finds the block behind it
            assert claim(sql, org, "cal-1", SLOT).error == "Time is blocked"
    assert several.union(pieces(sql, org, made.block_id)) == [(SLOT - HOUR, SLOT + HOUR)]
    assert claim(sql, org, "cal-1", SLOT).error == "Time is blocked"


def test_a_hold_under_a_block_can_be_confirmed(client: FlaskClient, sql: Sql) -> None:
    """The caller was told that the time is theirs."""
    org = create_clinic()
    hold = reserve(client, org, slotId=slot(hour=10))["holdId"]
    made = block(org, SLOT - HOUR, SLOT + HOUR)
    assert made.meets == []
    assert bare(client, "booking/send-otp", holdId=hold)["success"]
    assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))["success"]
    assert pieces(sql, org) == [(SLOT - HOUR, SLOT), (SLOT + HOUR / 2, SLOT + HOUR)]
    with system_transaction(Door.OPERATOR) as session:
        met = blocks.find_met(session, uuid.UUID(org), "cal-1", SLOT - HOUR, SLOT + HOUR)
        assert [str(each.hold_id) for each in met] == [hold]


@pytest.mark.parametrize("kind", ["hold", "appointment"])
def test_who_was_there_first_keeps_the_person_under_a_block_when_the_room_changes(
    sql: Sql, kind: str
) -> None:
    org = several.make_clinic(sql)
    (booked if kind == "appointment" else held)(sql, org, SLOT, "anyone")
    block(org, SLOT - HOUR, SLOT + HOUR, resource="Anna")
    made = block(org, SLOT - HOUR, SLOT + HOUR, resource="Room-2")
    table = "appointments" if kind == "appointment" else "appointment_holds"
    sql.execute(f"UPDATE {table} SET other_resources = '{{room-1}}' WHERE org_id = %s".encode(), [org])
    (booking,) = several.read(sql, org).bookings
    assert booking.resources == ("Anna", "room-1")
    assert several.union(pieces(sql, org, made.block_id)) == [(SLOT - HOUR, SLOT + HOUR)]


def test_an_appointment_under_a_block_moves_out_of_it_and_not_within(sql: Sql) -> None:
    org = create_clinic()
    appointment = booked(sql, org)
    block(org, SLOT - 2 * HOUR, SLOT + 2 * HOUR)
    with system_transaction(Door.OPERATOR) as session:
        for start, code in ((SLOT + HOUR, "slot_taken"), (SLOT + 2 * HOUR, None)):
            moved = appointments.move(
                session, org_id=uuid.UUID(org), appointment_id=appointment, starts_at=start
            )
            assert moved.code == code
    assert several.union(pieces(sql, org)) == [(SLOT - 2 * HOUR, SLOT + 2 * HOUR)]


# --- several blocks, long blocks, and blocks that change -------------------------------------------


def test_overlapping_blocks_give_their_time_to_each_other(sql: Sql) -> None:
    org = create_clinic()
    appointment = booked(sql, org)
    one = block(org, SLOT - 2 * HOUR, SLOT + HOUR)
    other = block(org, SLOT - HOUR, SLOT + 2 * HOUR)
    assert [each.id for each in other.meets] == [appointment]
    cancel(sql, org, appointment)
    assert several.union(pieces(sql, org)) == [(SLOT - 2 * HOUR, SLOT + 2 * HOUR)]
    assert remove(org, one.block_id)
    assert several.union(pieces(sql, org, other.block_id)) == [(SLOT - HOUR, SLOT + 2 * HOUR)]
    assert claim(sql, org, "cal-1", SLOT - HOUR - HOUR / 2).success
    assert claim(sql, org, "cal-1", SLOT).error == "Time is blocked"
    assert not remove(org, one.block_id)
    assert not remove(create_clinic(), other.block_id)  # of another clinic
    assert remove(org, other.block_id)
    assert pieces(sql, org) == []
    assert claim(sql, org, "cal-1", SLOT).success


@pytest.mark.parametrize("days", [7, 365, 3660])
@pytest.mark.parametrize("zone", ["UTC", "Europe/London"])
def test_a_week_a_year_and_ten_years_of_block_are_in_pieces_of_a_day(sql: Sql, days: int, zone: str) -> None:
    """Also in a session whose clocks change meanwhile."""
    org = create_clinic()
    appointment = booked(sql, org, SLOT + 3 * DAY)
    sql.execute("SELECT set_config('timezone', %s, false)", [zone])
    begins, ends = SLOT - HOUR / 2, SLOT - HOUR / 2 + days * DAY
    made = several.insert_block(sql, org, "cal-1", begins, ends - (HOUR if days == 3660 else 0 * HOUR))
    found = pieces(sql, org, made)
    assert max(until - since for since, until in found) == DAY
    assert len(found) == days + 1
    assert claim(sql, org, "cal-1", SLOT + 5 * DAY).error == "Time is blocked"
    cancel(sql, org, appointment)
    assert len(pieces(sql, org, made)) == days + 2
    assert remove(org, made)
    assert pieces(sql, org) == []


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        (SLOT, SLOT + HOUR),
        (SLOT - 3 * HOUR, SLOT + 5 * HOUR),
        (SLOT + 2 * HOUR, SLOT + 3 * HOUR),
        (SLOT + DAY, SLOT + 2 * DAY),
        (SLOT - HOUR, SLOT + 40 * DAY),
    ],
    ids=["shorter", "longer", "within the other", "elsewhere", "very long"],
)
def test_an_update_of_a_block_by_hand_takes_and_gives_back(
    sql: Sql, begins: datetime, ends: datetime
) -> None:
    org = create_clinic()
    booked(sql, org)
    made = block(org, SLOT - HOUR, SLOT + 2 * HOUR)
    block(org, SLOT + HOUR, SLOT + 4 * HOUR)
    sql.execute("UPDATE blocks SET starts_at = %s, ends_at = %s WHERE id = %s", [begins, ends, made.block_id])
    assert pieces(sql, org)  # and all is as the rows imply
    sql.execute("UPDATE blocks SET reason = 'Ill' WHERE org_id = %s", [org])
    assert pieces(sql, org)


def test_a_block_that_passes_to_another_person_gives_the_first_one_free(sql: Sql) -> None:
    org = create_clinic(("cal-1", "cal-2"))
    made = block(org, SLOT, SLOT + HOUR)
    sql.execute("UPDATE blocks SET resource_id = 'cal-2' WHERE id = %s", [made.block_id])
    assert pieces(sql, org) == [(SLOT, SLOT + HOUR)]
    assert claim(sql, org, "cal-1", SLOT).success
    assert claim(sql, org, "cal-2", SLOT).error == "Time is blocked"


def test_blocks_cannot_be_truncated_from_under_their_time(sql: Sql) -> None:
    org = create_clinic()
    block(org, SLOT, SLOT + HOUR)
    with pytest.raises(psycopg.Error, match="TRUNCATE"):
        sql.execute("TRUNCATE blocks")
    assert pieces(sql, org) == [(SLOT, SLOT + HOUR)]


def test_a_block_loses_nothing_to_an_appointment_that_is_inserted_meanwhile(
    database_url: str, sql: Connection
) -> None:
    """Raw SQL takes no lock: the block waits for its row, and takes all around it."""
    org = create_clinic()
    with connections(database_url, 2) as (early, late):
        with early.transaction():
            insert_appointment(early, org, SLOT + 12 * HOUR, "cal-1")
            waiting = meanwhile(lambda: several.insert_block(late, org, "cal-1", SLOT, SLOT + 3 * DAY))
            wait_until_blocked(sql, late, by="transactionid")
        waiting.result(120)
    middle = SLOT + 12 * HOUR
    assert several.union(pieces(sql, org)) == [(SLOT, middle), (middle + HOUR / 2, SLOT + 3 * DAY)]
