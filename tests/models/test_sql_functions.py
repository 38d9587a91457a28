"""The SQL functions and the tables under them, called as an operator with psql would call them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors
from psycopg.rows import class_row

import models
from models.base.tables import Base, EnumText
from models.booking.appointments import Confirmation
from models.booking.holds import AppointmentHold, HoldStatus
from tests.claimed import Claimed
from tests.factories import create_clinic, phone_number, slot

Sql = psycopg.Connection[tuple[Any, ...]]

CLAIM = (
    "SELECT success, hold_id, error, code, expires_at, held_by_call, contact_id"
    " FROM claim_slot_atomic(%(org)s, %(calendar)s, %(slot)s, %(call)s, %(name)s, %(phone)s, %(minutes)s)"
)
RIGHT, WRONG = "digest-of-the-right-code", "digest-of-another-code"
ZONES = ("America/New_York", "Asia/Kolkata", "UTC")


def claim(sql: Sql, org: str, /, statement: str = CLAIM, **changes: Any) -> Claimed:
    values = {
        "org": org,
        "calendar": "cal-1",
        "slot": slot(),
        "call": "call-1",
        "name": "John",
        "phone": phone_number(),
        "minutes": 10,
    }
    with sql.cursor(row_factory=class_row(Claimed)) as cursor:
        (answer,) = cursor.execute(statement, values | changes).fetchall()
    return answer


def refusal(error: str, code: str, **told: Any) -> Claimed:
    """A refused claim; all its other fields are null."""
    nothing = {"hold_id": None, "expires_at": None, "held_by_call": None, "contact_id": None}
    return Claimed(success=False, error=error, code=code, **(nothing | told))


def no(error: str, code: str, **told: Any) -> Confirmation:
    nothing = {"appointment_id": None, "tries_left": None, "message_id": None}
    return Confirmation(success=False, error=error, code=code, **(nothing | told))


def confirm(
    sql: Sql,
    org: str,
    hold: uuid.UUID | None,
    digest: str | None = RIGHT,
    contact: object = None,
    tries: int = 3,
) -> Confirmation:
    with sql.cursor(row_factory=class_row(Confirmation)) as cursor:
        cursor.execute(
            "SELECT * FROM confirm_held_slot(%s, %s, %s, %s, %s, %s)",
            [hold, org, contact, digest, "Check-up", tries],
        )
        (answer,) = cursor.fetchall()
    return answer


def release(sql: Sql, org: str, hold: uuid.UUID | None) -> tuple[Any, ...]:
    (answer,) = sql.execute("SELECT success, error, code FROM release_hold(%s, %s)", [hold, org]).fetchall()
    return answer


def held(sql: Sql, org: str, **changes: Any) -> uuid.UUID:
    """A hold whose code was sent."""
    claimed = claim(sql, org, **changes)
    assert claimed.success, claimed
    assert claimed.hold_id is not None
    sql.execute("UPDATE appointment_holds SET code_digest = %s WHERE id = %s", [RIGHT, claimed.hold_id])
    return claimed.hold_id


def booked(sql: Sql, org: str, **changes: Any) -> uuid.UUID:
    confirmed = confirm(sql, org, held(sql, org, **changes))
    assert confirmed.appointment_id is not None
    return confirmed.appointment_id


def hold_row(sql: Sql, hold: uuid.UUID | None) -> tuple[Any, ...]:
    (row,) = sql.execute(
        "SELECT status, code_tries, released_at IS NOT NULL FROM appointment_holds WHERE id = %s", [hold]
    ).fetchall()
    return row


def taken(sql: Sql, org: str) -> list[tuple[Any, ...]]:
    """The taken times of a clinic: (start as a slotId, 'hold' or 'appointment')."""
    rows = sql.execute(
        "SELECT starts_at, CASE WHEN hold_id IS NULL THEN 'appointment' ELSE 'hold' END FROM occupancies"
        " WHERE org_id = %s ORDER BY starts_at",
        [org],
    )
    return [(start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), whose) for start, whose in rows]


def one(sql: Sql, statement: str, *values: Any) -> Any:
    row = sql.execute(statement, values).fetchone()
    assert row is not None
    return row[0]


# claim_slot_atomic


def test_a_claim_holds_the_slot_for_the_minutes_asked(sql: Sql) -> None:
    org, phone = create_clinic(), phone_number()
    claimed = claim(sql, org, phone=phone, minutes=7)
    assert (claimed.success, claimed.error, claimed.code, claimed.held_by_call) == (True, None, None, None)
    (row,) = sql.execute(
        "SELECT h.call_sid, h.patient_name, h.patient_phone, h.starts_at, h.ends_at, h.resource_id, h.seat,"
        " h.expires_at - h.created_at, h.expires_at, h.contact_id, c.phone, c.name, c.booking_source"
        " FROM appointment_holds h JOIN contacts c ON c.id = h.contact_id WHERE h.id = %s",
        [claimed.hold_id],
    ).fetchall()
    start = datetime.fromisoformat(slot())
    assert row == (
        "call-1", "John", phone, start, start + timedelta(minutes=30), "cal-1", 0,
        timedelta(minutes=7), claimed.expires_at, claimed.contact_id, phone, "John", "phone_ai",
    )  # fmt: skip
    assert taken(sql, org) == [(slot(), "hold")]


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        ({"org": str(uuid.uuid4())}, "Unknown calendar", "unknown_calendar"),
        ({"org": None}, "Unknown calendar", "unknown_calendar"),
        ({"calendar": "cal-2"}, "Unknown calendar", "unknown_calendar"),
        ({"calendar": None}, "Unknown calendar", "unknown_calendar"),
        ({"slot": "2020-01-25T10:00:00Z"}, "That time has passed", "slot_in_the_past"),
        ({"slot": "infinity"}, "Not a time", "invalid_slot"),
        ({"slot": "294276-12-31T23:59:00Z"}, "Not a time", "invalid_slot"),  # with its length it overflows
        ({"slot": "2200-01-25T10:00:00Z"}, "Not a time", "invalid_slot"),
        ({"slot": None}, "Not a time", "invalid_slot"),
        ({"minutes": 0}, "A hold lasts 1 to 60 minutes", "invalid_hold_minutes"),
        ({"minutes": -10}, "A hold lasts 1 to 60 minutes", "invalid_hold_minutes"),
        ({"minutes": 61}, "A hold lasts 1 to 60 minutes", "invalid_hold_minutes"),
        ({"minutes": None}, "A hold lasts 1 to 60 minutes", "invalid_hold_minutes"),
        ({"phone": ""}, "A hold needs a name and a phone number", "missing_patient"),
        ({"phone": "   "}, "A hold needs a name and a phone number", "missing_patient"),
        ({"phone": "\t"}, "A hold needs a name and a phone number", "missing_patient"),
        ({"phone": None}, "A hold needs a name and a phone number", "missing_patient"),
        ({"name": None}, "A hold needs a name and a phone number", "missing_patient"),
        ({"name": ""}, "A hold needs a name and a phone number", "missing_patient"),
        ({"name": " \t"}, "A hold needs a name and a phone number", "missing_patient"),
    ],
)
def test_what_a_claim_refuses(sql: Sql, changes: dict[str, Any], error: str, code: str) -> None:
    org = create_clinic()
    refused = claim(sql, org, **changes)
    assert refused == refusal(error, code)
    assert taken(sql, org) == []
    assert one(sql, "SELECT count(*) FROM contacts WHERE org_id = %s", org) == 0


def test_no_time_at_all_is_held_from_the_beginning_of_time(sql: Sql) -> None:
    for slot_id in ("-infinity", "4714-11-24T00:00:00Z BC"):
        refused = claim(sql, create_clinic(), slot=slot_id)
        assert (refused.success, refused.hold_id) == (False, None)
        assert refused.code in {"slot_in_the_past", "invalid_slot"}


def test_the_start_of_this_very_moment_has_passed_and_the_next_has_not(sql: Sql) -> None:
    org = create_clinic()
    now, soon = "clock_timestamp()", "clock_timestamp() + interval '1 minute'"
    assert claim(sql, org, CLAIM.replace("%(slot)s", now)).code == "slot_in_the_past"
    assert claim(sql, org, CLAIM.replace("%(slot)s", soon)).success


@pytest.mark.parametrize("minutes", [1, 60])
def test_a_hold_may_last_from_one_minute_to_an_hour(sql: Sql, minutes: int) -> None:
    assert claim(sql, create_clinic(), minutes=minutes).success


def test_a_second_claim_is_told_by_whom_and_how_long_the_slot_is_held(sql: Sql) -> None:
    org = create_clinic()
    first = claim(sql, org)
    for call in ("call-1", "call-2"):  # its own call too: an operator who claims twice must see it
        second = claim(sql, org, call=call)
        assert second == refusal(
            "Slot already held", "slot_taken", expires_at=first.expires_at, held_by_call="call-1"
        )
    assert taken(sql, org) == [(slot(), "hold")]


def test_a_booked_slot_is_refused_as_booked(sql: Sql) -> None:
    org = create_clinic()
    booked(sql, org)
    assert claim(sql, org, call="call-2") == refusal("Slot already booked", "slot_taken")


@pytest.mark.parametrize(
    ("minutes", "free"), [(-60, True), (-59, False), (-15, False), (15, False), (59, False), (60, True)]
)
def test_times_are_half_open_so_that_neighbours_touch(sql: Sql, minutes: int, free: bool) -> None:  # noqa: FBT001
    org = create_clinic(calendar={"slot_minutes": 60})
    start = datetime.fromisoformat(slot(hour=12))
    assert claim(sql, org, slot=start).success
    assert claim(sql, org, slot=start + timedelta(minutes=minutes)).success is free


def test_an_empty_call_id_is_none(sql: Sql) -> None:
    claimed = claim(sql, create_clinic(), call="")
    assert one(sql, "SELECT call_sid FROM appointment_holds WHERE id = %s", claimed.hold_id) is None


def test_a_contact_keeps_its_first_name_and_a_hold_its_own(sql: Sql) -> None:
    org, phone = create_clinic(), phone_number()
    first = claim(sql, org, phone=phone, name="Ann")
    second = claim(sql, org, phone=phone, name="Bob", slot=slot(hour=12))
    assert second.contact_id == first.contact_id
    assert one(sql, "SELECT name FROM contacts WHERE id = %s", first.contact_id) == "Ann"
    assert one(sql, "SELECT patient_name FROM appointment_holds WHERE id = %s", second.hold_id) == "Bob"
    elsewhere = claim(sql, create_clinic(), phone=phone)
    assert elsewhere.contact_id != first.contact_id


def test_a_stale_hold_is_expired_by_the_claim_that_needs_its_time(sql: Sql, clock: Any) -> None:
    org = create_clinic()
    stale = claim(sql, org, minutes=10).hold_id
    clock.forward(9 * 60)
    assert claim(sql, org).code == "slot_taken"
    clock.forward(61)
    fresh = claim(sql, org)
    assert fresh.success
    assert hold_row(sql, stale) == ("expired", 0, True)
    assert hold_row(sql, fresh.hold_id) == ("held", 0, False)
    assert taken(sql, org) == [(slot(), "hold")]


def test_a_claim_expires_every_stale_hold_in_its_way_but_none_that_is_live(sql: Sql, clock: Any) -> None:
    org = create_clinic(("cal-1", "long"), {"resource_id": "room 4", "slot_minutes": 30})
    sql.execute("UPDATE calendars SET slot_minutes = 90 WHERE org_id = %s AND id = 'long'", [org])
    first, second = (claim(sql, org, slot=slot(minute=at), minutes=1) for at in (0, 30))
    clock.forward(30)
    third = claim(sql, org, slot=slot(hour=11), minutes=1)
    clock.forward(31)
    whole = claim(sql, org, calendar="long", call="call-2")
    assert whole == refusal(
        "Slot already held", "slot_taken", held_by_call="call-1", expires_at=third.expires_at
    )
    assert [hold_row(sql, each.hold_id)[0] for each in (first, second, third)] == ["held"] * 3
    clock.forward(30)
    assert claim(sql, org, calendar="long", call="call-2").success
    assert [hold_row(sql, each.hold_id)[0] for each in (first, second, third)] == ["expired"] * 3
    assert taken(sql, org) == [(slot(), "hold")]


@pytest.mark.parametrize("status", HoldStatus)
@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_hold_is_live_in_sql_and_in_python_alike(sql: Sql, status: HoldStatus, seconds: int) -> None:
    now = datetime(2026, 12, 7, 10, tzinfo=UTC)
    hold = AppointmentHold(status=status, expires_at=now + timedelta(seconds=seconds))
    assert hold.is_live(now) == one(sql, "SELECT hold_is_live(%s, %s, %s)", status, hold.expires_at, now)
    assert hold.is_live(now) == (status is HoldStatus.HELD and seconds > 0)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("call_lock_key", "call/{org}/x"),
        ("codes_of_call_lock_key", "codes-call/{org}/x"),
        ("codes_of_phone_lock_key", "codes/{org}/x"),
        ("phone_lock_key", "phone/{org}/x"),
        ("provider_id_lock_key", "sms/{org}/x"),
        ("resource_lock_key", "{org}/x"),
        ("unproved_holds_lock_key", "holds/{org}"),
    ],
)
def test_a_lock_has_the_key_that_it_had_in_every_release(sql: Sql, function: str, name: str) -> None:
    """Two releases that run side by side wait for each other only if they use the same lock key."""
    org = uuid.uuid4()
    key = one(sql, "SELECT hashtextextended(%s, 0)", name.format(org=org))
    values = [org] if name.startswith("holds/") else [org, "x"]
    marks = ", ".join(["%s"] * len(values))
    assert one(sql, f"SELECT {function}({marks})", *values) == key


# What '…Z' means.


@pytest.fixture(params=[("SET", zone) for zone in ZONES] + [("PGTZ", zone) for zone in ZONES])
def session_elsewhere(
    request: pytest.FixtureRequest, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sql]:
    """A session of a client in another time zone, set in either of two ways."""
    how, zone = request.param
    if how == "PGTZ":
        monkeypatch.setenv("PGTZ", zone)
    with psycopg.connect(database_url, autocommit=True, options="-c app.scope=system") as connection:
        if how == "SET":
            connection.execute("SELECT set_config('timezone', %s, false)", [zone])
        assert connection.execute("SHOW timezone").fetchone() == (zone,)
        yield connection


@pytest.mark.parametrize("cast", ["::timestamp", "::timestamptz", ""])
def test_a_z_means_utc_wherever_the_client_is(session_elsewhere: Sql, cast: str) -> None:
    org = create_clinic()
    answer = session_elsewhere.execute(
        f"SELECT success FROM claim_slot_atomic('{org}'::uuid, 'cal-1', '{slot()}'{cast},"
        " 'call-1', 'John', '+1-555-1234', 10)"
    ).fetchone()
    assert answer == (True,)
    start = one(session_elsewhere, "SELECT starts_at FROM appointment_holds WHERE org_id = %s", org)
    assert start.astimezone(UTC) == datetime.fromisoformat(slot())


def test_both_signatures_answer_with_the_same_columns(sql: Sql) -> None:
    signatures = sql.execute(
        "SELECT pg_get_function_arguments(oid), pg_get_function_result(oid) FROM pg_proc"
        " WHERE proname = 'claim_slot_atomic' ORDER BY 1"
    ).fetchall()
    arguments = (
        "p_org uuid, p_calendar text, p_slot {}, p_call_sid text, p_patient_name text,"
        " p_patient_phone text, p_hold_minutes integer{}"
    )
    columns = (
        "TABLE(success boolean, hold_id uuid, error text, code text, expires_at timestamp with time zone,"
        " held_by_call text, contact_id uuid)"
    )
    assert signatures == [
        (arguments.format("timestamp with time zone", ", p_asked jsonb DEFAULT NULL::jsonb"), columns),
        (arguments.format("timestamp without time zone", ""), columns),
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"calendar": "cal-2"}, "unknown_calendar"),
        ({"slot": "2020-01-25T10:00:00"}, "slot_in_the_past"),
        ({"slot": "infinity"}, "invalid_slot"),
        ({"minutes": 61}, "invalid_hold_minutes"),
        ({"phone": ""}, "missing_patient"),
    ],
)
def test_the_second_signature_refuses_the_same(sql: Sql, changes: dict[str, Any], code: str) -> None:
    refused = claim(sql, create_clinic(), CLAIM.replace("%(slot)s", "%(slot)s::timestamp"), **changes)
    assert (refused.success, refused.code, refused.hold_id) == (False, code, None)


# confirm_held_slot


def test_the_right_code_makes_the_appointment_and_its_sms(sql: Sql) -> None:
    org, phone = create_clinic(), phone_number()
    hold = held(sql, org, phone=phone)
    answer = confirm(sql, org, hold)
    assert (answer.success, answer.error, answer.code) == (True, None, None)
    (row,) = sql.execute(
        "SELECT a.status, a.calendar_id, a.resource_id, a.scheduled_at, a.ends_at, a.hold_id, a.call_sid,"
        " a.patient_name, a.patient_phone, a.service_type, a.confirmation_sms_sent, m.id, m.kind, m.status,"
        " m.to_phone, m.call_sid, m.expires_at, m.body, m.org_id::text FROM appointments a"
        " JOIN sms_messages m ON m.id = a.confirmation_message_id WHERE a.id = %s",
        [answer.appointment_id],
    ).fetchall()
    start = datetime.fromisoformat(slot())
    assert row == (
        "confirmed", "cal-1", "cal-1", start, start + timedelta(minutes=30), hold, "call-1",
        "John", phone, "Check-up", False, answer.message_id, "confirmation", "queued",
        phone, "call-1", start, None, org,
    )  # fmt: skip
    assert hold_row(sql, hold) == ("confirmed", 1, False)
    assert taken(sql, org) == [(slot(), "appointment")]


def test_a_hold_that_is_unknown_or_anothers_cannot_be_confirmed(sql: Sql) -> None:
    org, other = create_clinic(), create_clinic()
    hold = held(sql, org)
    stranger = claim(sql, org, slot=slot(hour=12)).contact_id
    unknown = no("Unknown hold", "unknown_hold")
    assert confirm(sql, org, uuid.uuid4()) == unknown
    assert confirm(sql, org, None) == unknown
    assert confirm(sql, other, hold) == unknown
    assert confirm(sql, org, hold, contact=stranger) == unknown
    assert confirm(sql, org, hold, contact=uuid.uuid4()) == unknown
    assert hold_row(sql, hold) == ("held", 0, False)  # these refusals cost no try
    contact = one(sql, "SELECT contact_id FROM appointment_holds WHERE id = %s", hold)
    assert confirm(sql, org, hold, contact=contact).success


def test_without_a_code_sent_nothing_confirms(sql: Sql) -> None:
    org = create_clinic()
    hold = claim(sql, org).hold_id
    for digest in (RIGHT, None, ""):
        answer = confirm(sql, org, hold, digest)
        assert answer == no("No code was sent for this hold", "code_not_sent")
    assert hold_row(sql, hold) == ("held", 0, False)


def test_an_expired_hold_is_marked_and_its_time_given_back(sql: Sql, clock: Any) -> None:
    org = create_clinic()
    hold = held(sql, org)
    clock.forward(601)
    answer = confirm(sql, org, hold)
    assert answer == no("Hold already expired", "hold_expired")
    assert hold_row(sql, hold) == ("expired", 0, True)
    assert taken(sql, org) == []
    assert one(sql, "SELECT count(*) FROM sms_messages WHERE org_id = %s", org) == 0


def test_wrong_codes_count_and_the_last_one_gives_the_slot_back(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    wrong = [confirm(sql, org, hold, digest) for digest in (WRONG, None)]
    assert wrong == [no("Wrong code", "wrong_code", tries_left=left) for left in (2, 1)]
    assert hold_row(sql, hold) == ("held", 2, False)
    assert taken(sql, org) == [(slot(), "hold")]
    last = confirm(sql, org, hold, WRONG)
    assert last == no("Too many wrong codes", "hold_locked", tries_left=0)
    assert hold_row(sql, hold) == ("locked", 3, True)
    assert taken(sql, org) == []
    assert confirm(sql, org, hold) == no("Hold already locked", "hold_locked")


def test_the_third_try_may_still_be_right(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    confirm(sql, org, hold, WRONG)
    confirm(sql, org, hold, WRONG)
    assert confirm(sql, org, hold).success
    assert hold_row(sql, hold) == ("confirmed", 3, False)


def test_the_clinic_says_how_many_tries_there_are(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    assert confirm(sql, org, hold, WRONG, tries=1).code == "hold_locked"
    # A limit below the tries that were already used: even the right code comes too late.
    hold = held(sql, org)
    confirm(sql, org, hold, WRONG, tries=5)
    assert confirm(sql, org, hold, RIGHT, tries=1).code == "hold_locked"
    assert taken(sql, org) == []


def test_a_second_confirmation_names_the_same_appointment(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    first = confirm(sql, org, hold)
    for digest in (RIGHT, WRONG):
        again = confirm(sql, org, hold, digest)
        assert again == no(
            "Hold already confirmed",
            "hold_confirmed",
            appointment_id=first.appointment_id,
            message_id=first.message_id,
        )
    assert one(sql, "SELECT count(*) FROM appointments WHERE org_id = %s", org) == 1
    assert one(sql, "SELECT count(*) FROM sms_messages WHERE org_id = %s", org) == 1


def test_a_released_hold_cannot_be_confirmed(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    release(sql, org, hold)
    answer = confirm(sql, org, hold)
    assert answer == no("Hold already released", "hold_released")


# release_hold


def test_a_release_gives_the_slot_back_once(sql: Sql) -> None:
    org, other = create_clinic(), create_clinic()
    hold = held(sql, org)
    assert release(sql, org, uuid.uuid4()) == (False, "Unknown hold", "unknown_hold")
    assert release(sql, org, None) == (False, "Unknown hold", "unknown_hold")
    assert release(sql, other, hold) == (False, "Unknown hold", "unknown_hold")
    assert taken(sql, org) == [(slot(), "hold")]
    assert release(sql, org, hold) == (True, None, None)
    assert hold_row(sql, hold) == ("released", 0, True)
    assert taken(sql, org) == []
    assert release(sql, org, hold) == (False, "Hold already released", "hold_released")


@pytest.mark.parametrize("status", ["expired", "released"])
def test_a_hold_that_is_over_is_not_released_again(sql: Sql, status: str) -> None:
    """It is no success, and the time of its release stays."""
    org = create_clinic()
    hold = held(sql, org)
    sql.execute(
        "UPDATE appointment_holds SET status = %s, released_at = '2026-01-01Z' WHERE id = %s", [status, hold]
    )
    assert release(sql, org, hold) == (False, f"Hold already {status}", f"hold_{status}")
    row = sql.execute(
        "SELECT status, released_at = '2026-01-01Z' FROM appointment_holds WHERE id = %s", [hold]
    ).fetchone()
    assert row == (status, True)


def test_a_confirmed_hold_cannot_be_released_from_under_its_appointment(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    confirm(sql, org, hold)
    assert release(sql, org, hold) == (False, "Hold already confirmed", "hold_confirmed")
    assert taken(sql, org) == [(slot(), "appointment")]


# occupancies, which only triggers write


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO occupancies (org_id, resource_id, ends_at) SELECT org_id, id, now() FROM calendars",
        "UPDATE occupancies SET resource_id = 'elsewhere'",
        "UPDATE occupancies SET ends_at = ends_at WHERE false",
        "DELETE FROM occupancies",
        "DELETE FROM occupancies WHERE false",
        "TRUNCATE occupancies",
        "MERGE INTO occupancies o USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    ],
)
def test_occupancies_cannot_be_written_directly(sql: Sql, statement: str) -> None:
    org = create_clinic()
    held(sql, org)
    with pytest.raises(errors.InsufficientPrivilege), sql.transaction(force_rollback=True):
        sql.execute(statement.encode())
    assert taken(sql, org) == [(slot(), "hold")]


@pytest.mark.parametrize(
    "table", ["appointment_holds", "appointments", "calendars", "organizations", "contacts"]
)
def test_truncate_is_refused_also_when_it_cascades(sql: Sql, table: str) -> None:
    org = create_clinic()
    booked(sql, org)
    with (
        pytest.raises(psycopg.Error, match="TRUNCATE would leave occupancies behind"),
        sql.transaction(force_rollback=True),
    ):
        sql.execute(f"TRUNCATE {table} CASCADE".encode())
    assert taken(sql, org) == [(slot(), "appointment")]


def test_deleting_a_hold_frees_its_time(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    sql.execute("DELETE FROM appointment_holds WHERE id = %s", [hold])
    assert taken(sql, org) == []
    assert claim(sql, org).success


def test_cancelling_an_appointment_frees_its_time_and_reviving_it_needs_it_free(sql: Sql) -> None:
    org = create_clinic()
    appointment = booked(sql, org)
    sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [appointment])
    assert taken(sql, org) == []
    sql.execute("UPDATE appointments SET status = 'confirmed' WHERE id = %s", [appointment])
    assert taken(sql, org) == [(slot(), "appointment")]
    sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [appointment])
    assert claim(sql, org).success
    with pytest.raises(errors.IntegrityError):
        sql.execute("UPDATE appointments SET status = 'confirmed' WHERE id = %s", [appointment])
    assert taken(sql, org) == [(slot(), "hold")]


@pytest.mark.parametrize("status", ["completed", "no_show"])
def test_an_appointment_that_took_place_or_was_missed_keeps_its_time(sql: Sql, status: str) -> None:
    org = create_clinic()
    appointment = booked(sql, org)
    sql.execute("UPDATE appointments SET status = %s WHERE id = %s", [status, appointment])
    assert taken(sql, org) == [(slot(), "appointment")]


def test_deleting_an_appointment_with_its_sms_frees_its_time(sql: Sql) -> None:
    org = create_clinic()
    appointment = booked(sql, org)
    delete_with_sms(sql, appointment)
    assert taken(sql, org) == []
    assert claim(sql, org).success


MOVE = (
    "UPDATE appointments SET scheduled_at = scheduled_at + %(by)s, ends_at = ends_at + %(by)s"
    " WHERE id = %(id)s"
)


def test_moving_an_appointment_moves_its_time_and_is_refused_where_it_would_overlap(sql: Sql) -> None:
    org = create_clinic(calendar={"slot_minutes": 60})
    appointment = booked(sql, org, slot=slot(hour=10))
    held(sql, org, slot=slot(hour=13))
    for minutes in (180, 135, 225):
        with pytest.raises(errors.IntegrityError):
            sql.execute(MOVE, {"by": timedelta(minutes=minutes), "id": appointment})
    assert taken(sql, org) == [(slot(hour=10), "appointment"), (slot(hour=13), "hold")]
    sql.execute(MOVE, {"by": timedelta(minutes=30), "id": appointment})  # over its own old time
    assert taken(sql, org) == [(slot(hour=10, minute=30), "appointment"), (slot(hour=13), "hold")]
    sql.execute(MOVE, {"by": timedelta(minutes=90), "id": appointment})  # up to the hold's start
    assert taken(sql, org) == [(slot(hour=12), "appointment"), (slot(hour=13), "hold")]


def test_moving_a_hold_moves_its_time_and_is_refused_where_it_would_overlap(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org, slot=slot(hour=10))
    booked(sql, org, slot=slot(hour=11))
    move = "UPDATE appointment_holds SET starts_at = starts_at + %s, ends_at = ends_at + %s WHERE id = %s"
    hour = timedelta(hours=1)
    with pytest.raises(errors.IntegrityError):
        sql.execute(move, [hour, hour, hold])
    sql.execute(move, [2 * hour, 2 * hour, hold])
    assert taken(sql, org) == [(slot(hour=11), "appointment"), (slot(hour=12), "hold")]


def test_lengthening_an_appointment_into_the_next_is_refused(sql: Sql) -> None:
    org = create_clinic()
    appointment = booked(sql, org, slot=slot(hour=10))
    booked(sql, org, slot=slot(hour=11))
    longer = "UPDATE appointments SET ends_at = ends_at + %s WHERE id = %s"
    with pytest.raises(errors.ExclusionViolation):
        sql.execute(longer, [timedelta(minutes=31), appointment])
    sql.execute(longer, [timedelta(minutes=30), appointment])
    assert claim(sql, org, slot=slot(hour=10, minute=30)).code == "slot_taken"


def test_a_released_hold_cannot_be_revived_onto_a_taken_time(sql: Sql) -> None:
    org = create_clinic()
    old = held(sql, org)
    release(sql, org, old)
    held(sql, org)
    with pytest.raises(errors.IntegrityError):
        sql.execute("UPDATE appointment_holds SET status = 'held' WHERE id = %s", [old])


# Raw rows


def insert_hold(sql: Sql, org: str, **changes: Any) -> uuid.UUID:
    contact = one(
        sql,
        "INSERT INTO contacts (org_id, phone) VALUES (%s, gen_random_uuid()::text) RETURNING id",
        org,
    )
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "org_id": org,
        "calendar_id": "cal-1",
        "starts_at": slot(),
        "expires_at": slot(),
        "contact_id": contact,
        "patient_name": "Raw",
        "patient_phone": "+447700900000",
    }
    insert(sql, "appointment_holds", values | changes)
    hold: uuid.UUID = (values | changes)["id"]
    return hold


def insert_appointment(sql: Sql, org: str, **changes: Any) -> uuid.UUID:
    """An appointment without its confirmation, which the same transaction must insert."""
    contact = one(
        sql,
        "INSERT INTO contacts (org_id, phone) VALUES (%s, gen_random_uuid()::text) RETURNING id",
        org,
    )
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "org_id": org,
        "calendar_id": "cal-1",
        "scheduled_at": slot(),
        "contact_id": contact,
        "patient_name": "Raw",
        "patient_phone": "+447700900000",
        "confirmation_message_id": uuid.uuid4(),
    }
    insert(sql, "appointments", values | changes)
    appointment: uuid.UUID = (values | changes)["id"]
    return appointment


def insert_sms(sql: Sql, org: str, **changes: Any) -> uuid.UUID:
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "org_id": org,
        "kind": "confirmation",
        "to_phone": "+447700900000",
    }
    insert(sql, "sms_messages", values | changes)
    message: uuid.UUID = (values | changes)["id"]
    return message


def insert(sql: Sql, table: str, values: dict[str, Any]) -> None:
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    sql.execute(f"INSERT INTO {table} ({names}) VALUES ({places})".encode(), list(values.values()))


def delete_with_sms(sql: Sql, appointment: uuid.UUID) -> None:
    """Delete an appointment and its SMS in one statement, because each refers to the other."""
    sql.execute(
        "WITH gone AS (DELETE FROM sms_messages WHERE appointment_id = %(id)s)"
        " DELETE FROM appointments WHERE id = %(id)s",
        {"id": appointment},
    )


def test_raw_rows_are_filled_in_from_the_calendar(sql: Sql) -> None:
    org = create_clinic(calendar={"resource_id": "room 4", "slot_minutes": 45})
    insert_hold(sql, org)
    row = sql.execute(
        "SELECT resource_id, ends_at - starts_at FROM occupancies WHERE org_id = %s", [org]
    ).fetchone()
    assert row == ("room 4", timedelta(minutes=45))
    with sql.transaction():
        appointment = insert_appointment(sql, org, scheduled_at=slot(hour=12))
        message = insert_sms(sql, org, appointment_id=appointment)
        sql.execute(
            "UPDATE appointments SET confirmation_message_id = %s WHERE id = %s", [message, appointment]
        )
    row = sql.execute(
        "SELECT resource_id, ends_at - scheduled_at FROM appointments WHERE id = %s", [appointment]
    ).fetchone()
    assert row == ("room 4", timedelta(minutes=45))
    assert taken(sql, org) == [(slot(), "hold"), (slot(hour=12), "appointment")]


@pytest.mark.parametrize("make", [insert_hold, insert_appointment])
@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"resource_id": "another room", "ends_at": slot(hour=11)}, errors.ForeignKeyViolation),
        ({"resource_id": "another room"}, errors.ForeignKeyViolation),
        ({"calendar_id": "cal-2"}, errors.NotNullViolation),
        (
            {"calendar_id": "cal-2", "resource_id": "cal-1", "ends_at": slot(hour=11)},
            errors.ForeignKeyViolation,
        ),
        ({"seat": 1}, errors.CheckViolation),
        ({"seat": -1}, errors.CheckViolation),
        ({"ends_at": slot(hour=10)}, errors.CheckViolation),
        ({"ends_at": slot(hour=9)}, errors.CheckViolation),
        ({"ends_at": slot(days=15, hour=10, minute=1)}, errors.CheckViolation),
        ({"status": "half"}, errors.CheckViolation),
        ({"contact_id": uuid.uuid4()}, errors.ForeignKeyViolation),
    ],
)
def test_raw_rows_cannot_get_round_the_constraint(
    sql: Sql, make: Any, changes: dict[str, Any], refusal: type[psycopg.Error]
) -> None:
    org = create_clinic()
    with pytest.raises(refusal):
        make(sql, org, **changes)
    assert taken(sql, org) == []


@pytest.mark.parametrize("change", ["seat = 1", "resource_id = 'elsewhere'", "ends_at = scheduled_at"])
def test_an_appointment_cannot_be_changed_out_of_the_way(sql: Sql, change: str) -> None:
    org = create_clinic()
    appointment = booked(sql, org)
    with pytest.raises(errors.IntegrityError):
        sql.execute(f"UPDATE appointments SET {change} WHERE id = %s".encode(), [appointment])
    assert taken(sql, org) == [(slot(), "appointment")]


def test_a_calendars_resource_cannot_change_under_its_bookings(sql: Sql) -> None:
    org = create_clinic()
    booked(sql, org)
    with pytest.raises(errors.ForeignKeyViolation):
        sql.execute("UPDATE calendars SET resource_id = 'elsewhere' WHERE org_id = %s", [org])


# An appointment and its confirmation


def test_an_appointment_without_its_confirmation_cannot_commit(sql: Sql) -> None:
    org = create_clinic()
    sql.execute("BEGIN")
    appointment = insert_appointment(sql, org)
    assert taken(sql, org) == [(slot(), "appointment")]  # it exists until the commit
    with pytest.raises(errors.ForeignKeyViolation):
        sql.execute("COMMIT")
    assert one(sql, "SELECT count(*) FROM appointments WHERE id = %s", appointment) == 0
    assert taken(sql, org) == []
    with pytest.raises(errors.NotNullViolation):
        insert_appointment(sql, org, confirmation_message_id=None)


def test_the_confirmation_of_another_appointment_is_not_accepted(sql: Sql) -> None:
    org = create_clinic()
    other = booked(sql, org)
    others = one(sql, "SELECT confirmation_message_id FROM appointments WHERE id = %s", other)
    with pytest.raises(errors.ForeignKeyViolation), sql.transaction():
        insert_appointment(sql, org, scheduled_at=slot(hour=12), confirmation_message_id=others)
    mine = booked(sql, org, slot=slot(hour=14))
    with pytest.raises(errors.ForeignKeyViolation):
        sql.execute("UPDATE appointments SET confirmation_message_id = %s WHERE id = %s", [others, mine])


def test_a_confirmation_cannot_be_deleted_or_given_away_later(sql: Sql) -> None:
    org = create_clinic()
    appointment, other = booked(sql, org), booked(sql, org, slot=slot(hour=12))
    for statement in (
        "DELETE FROM sms_messages WHERE appointment_id = %(id)s",
        "UPDATE sms_messages SET appointment_id = %(other)s WHERE appointment_id = %(id)s",
        "UPDATE sms_messages SET id = gen_random_uuid() WHERE appointment_id = %(id)s",
        "UPDATE appointments SET confirmation_message_id = NULL WHERE id = %(id)s",
        "DELETE FROM appointments WHERE id = %(id)s",
    ):
        with pytest.raises(errors.IntegrityError):
            sql.execute(statement, {"id": appointment, "other": other})
    found = one(
        sql,
        "SELECT count(*) FROM appointments a JOIN sms_messages m ON m.id = a.confirmation_message_id"
        " AND m.appointment_id = a.id WHERE a.org_id = %s",
        org,
    )
    assert found == 2


@pytest.mark.parametrize("kind", ["hot_lead_alert", "otp"])
def test_only_a_confirmation_counts_as_one(sql: Sql, kind: str) -> None:
    org = create_clinic()
    appointment, hold = booked(sql, org), held(sql, org, slot=slot(hour=12))
    with pytest.raises(errors.IntegrityError):
        sql.execute(
            "UPDATE sms_messages SET kind = %s, hold_id = %s WHERE appointment_id = %s",
            [kind, hold, appointment],
        )
    with pytest.raises(errors.IntegrityError):
        insert_sms(sql, org, kind=kind, hold_id=hold, appointment_id=appointment)


def test_no_row_of_one_clinic_points_at_one_of_another(sql: Sql) -> None:
    org, other = create_clinic(), create_clinic()
    mine, theirs = booked(sql, org), booked(sql, other)
    strange = {
        "appointment_holds": ("contact_id",),
        "appointments": ("contact_id", "hold_id", "confirmation_message_id"),
    }
    for table, columns in strange.items():
        for column in columns:
            strangers = f"(SELECT {column} FROM {table} WHERE org_id = %s)"
            statement = f"UPDATE {table} SET {column} = {strangers} WHERE org_id = %s"
            with pytest.raises(errors.IntegrityError):
                sql.execute(statement.encode(), [other, org])
    hold = one(sql, "SELECT hold_id FROM appointments WHERE id = %s", theirs)
    with pytest.raises(errors.ForeignKeyViolation):
        insert_sms(sql, org, appointment_id=theirs)
    with pytest.raises(errors.ForeignKeyViolation):
        insert_sms(sql, org, kind="otp", hold_id=hold)
    assert insert_sms(sql, org, appointment_id=mine)


def test_a_hold_becomes_one_appointment_also_by_hand(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    confirm(sql, org, hold)
    with pytest.raises(errors.UniqueViolation):
        insert_appointment(sql, org, scheduled_at=slot(hour=12), hold_id=hold)


def test_the_row_of_a_code_holds_no_text(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    with pytest.raises(errors.CheckViolation):
        insert_sms(sql, org, kind="otp", hold_id=hold, body="1234 is your code")
    message = insert_sms(sql, org, kind="otp", hold_id=hold)
    with pytest.raises(errors.CheckViolation):
        sql.execute("UPDATE sms_messages SET body = '1234 is your code' WHERE id = %s", [message])
    with pytest.raises(errors.CheckViolation):
        insert_sms(sql, org, kind="otp")
    with pytest.raises(errors.CheckViolation):
        insert_sms(sql, org, kind="confirmation")


# Enums


def enum_columns() -> list[tuple[str, str, list[str]]]:
    assert models.booking.holds  # the import fills the metadata
    return [
        (table.name, column.name, [member.value for member in column.type.enum])
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, EnumText)
    ]


@pytest.mark.parametrize(("table", "column", "values"), enum_columns(), ids=lambda part: str(part)[:20])
def test_the_check_of_a_column_knows_exactly_the_values_of_its_enum(
    sql: Sql, table: str, column: str, values: list[str]
) -> None:
    definition = one(
        sql,
        "SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
        " WHERE t.relname = %s AND c.conname = %s AND c.contype = 'c' AND c.convalidated",
        table,
        f"ck_{table}_{column}",
    )
    assert f"({column} = ANY" in definition
    assert sorted(re.findall(r"'([^']*)'", definition)) == sorted(values)


def test_every_enum_column_was_walked() -> None:
    assert {(table, column) for table, column, _ in enum_columns()} == {
        ("appointments", "status"),
        ("appointment_changes", "change"),
        ("appointment_holds", "status"),
        ("opt_outs", "source"),
        ("patient_links", "outcome"),
        ("sms_messages", "cause"),
        ("sms_messages", "error_meaning"),
        ("sms_messages", "kind"),
        ("sms_messages", "status"),
        ("sms_senders", "stopped_meaning"),
        ("staff_users", "role"),
        ("vapi_credentials", "algorithm"),
        ("vapi_credentials", "encoding"),
        ("vapi_credentials", "kind"),
        ("vapi_credentials", "payload_format"),
    }


@pytest.mark.parametrize(
    ("table", "column"),
    [("appointments", "status"), ("appointment_holds", "status"), ("sms_messages", "status")],
)
@pytest.mark.parametrize("value", ["HELD", "", "confirmed ", "booked"])
def test_a_status_outside_its_enum_is_refused(sql: Sql, table: str, column: str, value: str) -> None:
    org = create_clinic()
    booked(sql, org)
    with pytest.raises(errors.CheckViolation):
        sql.execute(f"UPDATE {table} SET {column} = %s WHERE org_id = %s".encode(), [value, org])
