"""The SQL functions where a service needs a person, a room and a device, as an operator with psql asks."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.concurrency import several
from tests.concurrency.racing import (
    QUARTER,
    RIGHT,
    SLOT,
    confirm,
    insert_appointment,
    insert_hold,
    release,
)
from tests.concurrency.several import MINUTE, claim
from tests.conftest import Clock

Sql = psycopg.Connection[tuple[Any, ...]]
HOUR = timedelta(hours=1)
MIDNIGHT = SLOT.replace(hour=0)


@pytest.fixture
def org(sql: Sql) -> str:
    return several.make_clinic(sql)


def options_of(sql: Sql, org: str, calendar: str, service: str) -> Any:
    return one(sql, "SELECT options_of(%s, %s, %s)", org, calendar, service)


def one(sql: Sql, statement: str, *values: Any) -> Any:
    row = sql.execute(statement.encode(), values).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def held(sql: Sql, org: str, calendar: str = "anyone", start: Any = SLOT, **asked: Any) -> uuid.UUID:
    claimed = claim(sql, org, calendar, start, asked=asked or None)
    assert claimed.hold_id is not None, claimed
    sql.execute("UPDATE appointment_holds SET code_digest = %s WHERE id = %s", [RIGHT, claimed.hold_id])
    return claimed.hold_id


def booked(sql: Sql, org: str, calendar: str = "anyone", start: Any = SLOT, **asked: Any) -> uuid.UUID:
    hold = held(sql, org, calendar, start, **asked)
    contact = one(sql, "SELECT contact_id FROM appointment_holds WHERE id = %s", hold)
    confirmed = confirm(sql, org, hold, contact=contact)
    assert confirmed.appointment_id is not None, confirmed
    return confirmed.appointment_id


def with_(person: str, *rooms: str) -> dict[str, Any]:
    """What a caller asks for who wants that person, in one of these rooms."""
    return {"service": "check-up", "options": [[[person], list(rooms or several.ROOMS)]]}


def taken(sql: Sql, org: str) -> list[tuple[Any, ...]]:
    """Who and what has a time, sorted; and nothing of the occupancies is wrong."""
    diary = several.read(sql, org)
    assert diary.wrong_occupancies() == []
    assert diary.double_bookings() == []
    return sorted((row[0], row[1], row[2]) for row in diary.occupancies)


# --- who and what can do it ------------------------------------------------------------------------


def test_options_name_each_who_leads_with_the_rooms_and_devices_sorted(sql: Sql, org: str) -> None:
    rooms = ["Room-2", "room-1"]  # by their bytes, as Python sorts
    checks = [[["Anna"], rooms], [["Cleo"], rooms], [["bert"], rooms]]
    assert options_of(sql, org, "anyone", "check-up") == checks
    assert options_of(sql, org, "laser", "laser") == [
        [["Cleo"], ["room-1"], ["laser"]],
        [["bert"], ["room-1"], ["laser"]],
    ]
    # A room leads where no person is needed.
    assert options_of(sql, org, "x-ray", "x-ray") == [[["Room-2"], ["laser"]]]
    # A calendar with a resource means that one, and everybody for what it cannot do.
    assert options_of(sql, org, "Anna", "check-up") == checks[:1]
    assert len(options_of(sql, org, "Anna", "laser")) == 2
    assert options_of(sql, org, "anyone", "no such service") is None
    assert options_of(sql, org, "no such calendar", "check-up") is None


def test_who_is_retired_or_lives_by_another_clock_is_no_option(sql: Sql, org: str) -> None:
    sql.execute(
        "UPDATE resources SET retired_at = now() WHERE org_id = %s AND id IN ('Anna', 'room-1')", [org]
    )
    sql.execute("UPDATE resources SET time_zone = 'Europe/Paris' WHERE org_id = %s AND id = 'bert'", [org])
    assert options_of(sql, org, "anyone", "check-up") == [[["Cleo"], ["Room-2"]]]
    # Who could do it in the calendar's stead are the others; and for the laser nobody has a room.
    assert options_of(sql, org, "Anna", "check-up") == [[["Cleo"], ["Room-2"]]]
    assert options_of(sql, org, "laser", "laser") == [[["Cleo"], ["laser"]]]
    sql.execute("DELETE FROM service_resources WHERE org_id = %s AND service_id = 'x-ray'", [org])
    refused = claim(sql, org, "x-ray", SLOT)
    assert (refused.success, refused.code) == (False, "nobody_does_it")


def test_what_raw_sql_leaves_out_is_filled_in(sql: Sql, org: str) -> None:
    insert_hold(sql, org, SLOT, "laser")
    insert_appointment(sql, org, SLOT, "anyone")
    rows = sql.execute(
        "SELECT service_id, resource_id, other_resources, ends_at - starts_at, minutes_before, minutes_after"
        " FROM appointment_holds WHERE org_id = %(org)s UNION ALL"
        " SELECT service_id, resource_id, other_resources, ends_at - scheduled_at, minutes_before,"
        " minutes_after FROM appointments WHERE org_id = %(org)s",
        {"org": org},
    ).fetchall()
    assert rows == [
        ("laser", "Cleo", ["room-1", "laser"], 45 * MINUTE, 0, 15),
        ("check-up", "Anna", ["Room-2"], 30 * MINUTE, 5, 10),
    ]
    assert len(taken(sql, org)) == 5
    # The first who can do it is meant, free or not; whether that is so is for the constraint to say.
    with pytest.raises(errors.ExclusionViolation) as refused:
        insert_hold(sql, org, SLOT + QUARTER, "anyone")
    assert refused.value.diag.constraint_name == "ex_occupancies_no_overlap"
    assert "Anna" in str(refused.value)


def test_an_appointment_by_hand_takes_over_all_that_its_hold_took(sql: Sql, org: str) -> None:
    hold = held(sql, org, **with_("Cleo"))
    before = taken(sql, org)
    assert [row[0] for row in before] == ["Cleo", "room-1"]
    appointment, message = uuid.uuid4(), uuid.uuid4()
    with sql.transaction():
        sql.execute(
            "INSERT INTO appointments (id, org_id, calendar_id, scheduled_at, contact_id, hold_id,"
            " patient_name, patient_phone, confirmation_message_id)"
            " SELECT %s, org_id, calendar_id, starts_at, contact_id, id, patient_name, patient_phone, %s"
            " FROM appointment_holds WHERE id = %s",
            [appointment, message, hold],
        )
        sql.execute(
            "INSERT INTO sms_messages (id, org_id, kind, to_phone, appointment_id)"
            " VALUES (%s, %s, 'confirmation', '+447700900000', %s)",
            [message, org, appointment],
        )
    assert taken(sql, org) == before
    assert one(sql, "SELECT status FROM appointment_holds WHERE id = %s", hold) == "confirmed"
    assert one(sql, "SELECT booked_by, booker FROM appointments WHERE id = %s", appointment) == (
        "phone",
        None,
    )


# --- who is chosen ---------------------------------------------------------------------------------


def choose(sql: Sql, org: str, options: list[Any], start: Any = SLOT, first: str | None = None) -> Any:
    return one(
        sql,
        "SELECT chosen, error FROM choose_resources(%s, %s, %s, %s, %s, %s, app_clock(), NULL, %s)",
        org,
        json.dumps(options),
        start,
        start + HOUR,
        MIDNIGHT,
        MIDNIGHT + 24 * HOUR,
        first,
    )


CHECKS = several.SERVICES["check-up"].options()


def test_the_least_booked_of_the_day_is_chosen_and_of_equals_the_first_by_id(sql: Sql, org: str) -> None:
    """`bert` comes after `Cleo`: ids are compared as bytes."""
    order: list[str] = []
    for _ in range(7):
        start = SLOT + len(order) * HOUR
        order.append(choose(sql, org, CHECKS[::-1], start)[0][0])
        held(sql, org, "anyone", start, **with_(order[-1]))
    assert order == ["Anna", "Cleo", "bert", "Anna", "Cleo", "bert", "Anna"]
    assert choose(sql, org, CHECKS, SLOT + 8 * HOUR, first="Anna")[0][0] == "Anna"
    # Who is taken then is passed over: Anna, and Cleo, whose next buffer begins at five to eleven.
    assert choose(sql, org, CHECKS, SLOT, first="Anna") == (["bert", "Room-2"], None)
    assert choose(sql, org, [[["Anna"], ["room-1"]]], SLOT) == (None, "Slot already held")
    # In a need the first of the list is taken.
    assert choose(sql, org, [[["bert"], ["Room-2", "room-1"]]], SLOT + 9 * HOUR)[0] == ["bert", "Room-2"]


def test_only_what_begins_on_that_day_and_lives_counts(sql: Sql, org: str, clock: Clock) -> None:
    held(sql, org, "anyone", SLOT - HOUR, **with_("Anna"))
    sql.execute("UPDATE appointment_holds SET expires_at = app_clock() WHERE org_id = %s", [org])
    assert choose(sql, org, CHECKS)[0][0] == "Anna"  # its hold has run out, and the beat has not come by
    several.insert_block(sql, org, "Anna", SLOT + 2 * HOUR, SLOT + 5 * HOUR)
    assert choose(sql, org, CHECKS)[0][0] == "Anna"  # a block is no appointment
    booked(sql, org, "anyone", MIDNIGHT + 24 * HOUR, **with_("Anna"))  # its buffer begins on this day
    assert choose(sql, org, CHECKS)[0][0] == "Anna"
    booked(sql, org, "anyone", MIDNIGHT, **with_("Anna"))  # its buffer begins on the day before
    assert choose(sql, org, CHECKS)[0][0] == "Cleo"
    cancelled = booked(sql, org, "anyone", SLOT - 2 * HOUR, **with_("Cleo"))
    assert choose(sql, org, CHECKS)[0][0] == "bert"
    sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [cancelled])
    assert choose(sql, org, CHECKS)[0][0] == "Cleo"


# --- one claim takes all it needs ---------------------------------------------------------------------


def test_a_claim_takes_person_room_and_device_with_the_buffers(sql: Sql, org: str) -> None:
    claimed = claim(sql, org, "laser")
    assert (claimed.success, claimed.resource_id) == (True, "Cleo")
    ends = SLOT + 60 * MINUTE
    assert taken(sql, org) == [("Cleo", SLOT, ends), ("laser", SLOT, ends), ("room-1", SLOT, ends)]
    assert (
        one(sql, "SELECT ends_at FROM appointment_holds WHERE id = %s", claimed.hold_id) == SLOT + 45 * MINUTE
    )


def test_all_or_nothing_is_taken(sql: Sql, org: str) -> None:
    several.insert_block(sql, org, "laser", SLOT, SLOT + HOUR)
    before = taken(sql, org)
    refused = claim(sql, org, "laser", SLOT)
    assert (refused.success, refused.code, refused.error) == (False, "slot_taken", "Time is blocked")
    assert (refused.hold_id, refused.resource_id, refused.contact_id) == (None, None, None)
    assert taken(sql, org) == before
    with pytest.raises(errors.ExclusionViolation):
        insert_hold(sql, org, SLOT, "laser")
    assert taken(sql, org) == before


def test_buffers_may_touch_and_not_overlap(sql: Sql, org: str) -> None:
    """A check-up takes from five minutes before until ten after its half hour."""
    held(sql, org, **with_("Anna", "room-1"))
    touches = 45 * MINUTE
    for start in (SLOT + touches - MINUTE, SLOT - touches + MINUTE):
        for need in (with_("Anna", "Room-2"), with_("bert", "room-1")):
            refused = claim(sql, org, "anyone", start, asked=need)
            assert (refused.success, refused.error) == (False, "Slot already held")
    for start in (SLOT + touches, SLOT - touches):
        assert claim(sql, org, "anyone", start, asked=with_("Anna", "room-1")).success
    assert len(taken(sql, org)) == 6


def test_who_is_free_is_refused_nothing_by_a_stale_hold_of_several(sql: Sql, org: str, clock: Clock) -> None:
    held(sql, org, **with_("Anna", "room-1"))
    clock.forward(601)
    claimed = claim(sql, org, "laser", SLOT)  # it needs the room only
    assert claimed.success
    assert [row[0] for row in taken(sql, org)] == ["Cleo", "laser", "room-1"]


def test_confirm_release_and_cancel_carry_all_of_it(sql: Sql, org: str) -> None:
    hold = held(sql, org, "laser")
    three = taken(sql, org)
    assert len(three) == 3
    contact = one(sql, "SELECT contact_id FROM appointment_holds WHERE id = %s", hold)
    confirmed = confirm(sql, org, hold, contact=contact)
    assert confirmed.success
    assert taken(sql, org) == three
    service = one(sql, "SELECT service_id, booked_by FROM appointments WHERE hold_id = %s", hold)
    assert service == ("laser", "phone")
    assert one(sql, "SELECT success FROM cancel_appointment(%s, %s)", confirmed.appointment_id, org)
    assert taken(sql, org) == []
    assert release(sql, org, held(sql, org, "laser")) == (True, None)
    assert taken(sql, org) == []


# --- moving ----------------------------------------------------------------------------------------


def move(sql: Sql, org: str, appointment: uuid.UUID, start: Any, options: Any = None) -> tuple[bool, Any]:
    answer: tuple[bool, Any] = one(
        sql,
        "SELECT success, code FROM move_appointment(%s, %s, %s, NULL, NULL, %s)",
        appointment,
        org,
        start,
        options and json.dumps(options),
    )
    return answer


def test_a_move_keeps_the_person_and_chooses_the_room_anew(sql: Sql, org: str) -> None:
    appointment = booked(sql, org, **with_("bert", "Room-2"))
    held(sql, org, "x-ray", SLOT + HOUR)  # Room-2 is taken then
    assert move(sql, org, appointment, SLOT + HOUR) == (False, "slot_taken")  # with the same room it cannot
    assert move(sql, org, appointment, SLOT + HOUR, CHECKS) == (True, None)
    row = one(sql, "SELECT resource_id, other_resources FROM appointments WHERE id = %s", appointment)
    assert row == ("bert", ["room-1"])
    assert len(taken(sql, org)) == 4
    assert move(sql, org, appointment, SLOT + HOUR, CHECKS) == (False, "same_time")
    # Another person at the same time is a move.
    assert move(sql, org, appointment, SLOT + HOUR, CHECKS[:1]) == (True, None)
    assert one(sql, "SELECT resource_id FROM appointments WHERE id = %s", appointment) == "Anna"


def test_an_appointment_is_in_nobodys_way_when_it_moves_by_less_than_its_length(sql: Sql, org: str) -> None:
    appointment = booked(sql, org, "laser")
    assert move(sql, org, appointment, SLOT + QUARTER) == (True, None)
    assert [row[1:] for row in taken(sql, org)] == [(SLOT + QUARTER, SLOT + QUARTER + HOUR)] * 3
    held(sql, org, "x-ray", SLOT + 2 * HOUR)  # the laser, from a quarter to twelve on
    before = taken(sql, org)
    assert move(sql, org, appointment, SLOT + HOUR) == (False, "slot_taken")
    assert taken(sql, org) == before
    assert move(sql, org, appointment, SLOT + 3 * QUARTER) == (True, None)


# --- how many a day --------------------------------------------------------------------------------


def limit(sql: Sql, org: str, service: str, most: int) -> None:
    sql.execute("UPDATE services SET most_per_day = %s WHERE org_id = %s AND id = %s", [most, org, service])


def test_no_more_of_a_service_are_held_or_booked_on_a_day(sql: Sql, org: str, clock: Clock) -> None:
    limit(sql, org, "talk", 2)
    held(sql, org, "talk", SLOT)
    appointment = booked(sql, org, "talk", SLOT + HOUR)
    full = claim(sql, org, "talk", SLOT + 2 * HOUR)
    assert (full.success, full.code, full.hold_id) == (False, "day_is_full", None)
    assert claim(sql, org, "anyone", SLOT + 2 * HOUR).success  # another service
    assert claim(sql, org, "talk", MIDNIGHT + 24 * HOUR).success  # another day
    assert move(sql, org, appointment, SLOT + 2 * HOUR) == (True, None)  # it counts already
    other = booked(sql, org, "talk", MIDNIGHT + 30 * HOUR)
    assert move(sql, org, other, SLOT + 5 * HOUR) == (False, "day_is_full")
    clock.forward(601)
    assert claim(sql, org, "talk", SLOT + 4 * HOUR).success  # the hold has run out


# --- who booked ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("booked_by", "booker", "constraint"),
    [
        ("phone", None, "ck_appointments_phone_has_its_hold"),
        ("desk", None, "ck_appointments_desk_has_a_name"),
        ("somebody", "Ann", "ck_appointments_booked_by"),
    ],
)
def test_an_appointment_says_who_booked_it_and_has_what_that_needs(
    sql: Sql, org: str, booked_by: str, booker: str | None, constraint: str
) -> None:
    appointment = insert_appointment(sql, org, SLOT, "anyone")
    with pytest.raises(errors.CheckViolation) as refused:
        sql.execute(
            "UPDATE appointments SET booked_by = %s, booker = %s WHERE id = %s",
            [booked_by, booker, appointment],
        )
    assert refused.value.diag.constraint_name == constraint


def test_where_it_is_not_said_the_desk_booked_by_the_hand_that_wrote(sql: Sql, org: str) -> None:
    appointment = insert_appointment(sql, org, SLOT, "anyone")
    row = one(
        sql, "SELECT booked_by, booker, 'sql ' || session_user FROM appointments WHERE id = %s", appointment
    )
    assert row[0] == "desk"
    assert row[1] == row[2]
    sql.execute("SELECT set_config('app.actor', 'staff ann', false)")
    appointment = insert_appointment(sql, org, SLOT + HOUR, "anyone")
    assert one(sql, "SELECT booker FROM appointments WHERE id = %s", appointment) == "staff ann"


def test_there_is_no_way_round_the_phones_hold(sql: Sql, org: str) -> None:
    appointment = booked(sql, org)
    with pytest.raises(errors.CheckViolation):
        sql.execute("UPDATE appointments SET hold_id = NULL WHERE id = %s", [appointment])
