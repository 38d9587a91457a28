"""The SQL functions: claim_slot_atomic, confirm_held_slot and release_hold."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.base.session import Door, system_transaction
from models.booking.appointments import Confirmation
from models.booking.holds import AppointmentHold, HoldStatus
from tests.claimed import Claimed
from tests.factories import EVERY_DAY, add_calendar, create_clinic, phone_number, slot
from tests.models.by_hand import CLAIM, RIGHT, WRONG, Sql, booked, claim, confirm, held, one, release, taken


def refusal(error: str, code: str, **told: Any) -> Claimed:
    """A refused claim: everything that it does not tell is null."""
    nothing = dict.fromkeys(("hold_id", "expires_at", "held_by_call", "contact_id", "resource_id"))
    return Claimed(success=False, error=error, code=code, **(nothing | told))


def no(error: str, code: str, **told: Any) -> Confirmation:
    nothing = {"appointment_id": None, "tries_left": None, "message_id": None}
    return Confirmation(success=False, error=error, code=code, **(nothing | told))


def hold_row(sql: Sql, hold: uuid.UUID | None) -> tuple[Any, ...]:
    (row,) = sql.execute(
        "SELECT status, code_tries, released_at IS NOT NULL FROM appointment_holds WHERE id = %s", [hold]
    ).fetchall()
    return row


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
    for call in ("call-1", "call-2"):  # also for its own call: an operator asking twice is told so
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
    org = create_clinic(calendar={"minutes": 60})
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
    org = create_clinic(calendar={"room": "room 4"})
    with system_transaction(Door.OPERATOR) as session:
        values = {"name": "long", "time_zone": "UTC", "opening": EVERY_DAY, "room": "room 4", "minutes": 90}
        add_calendar(session, uuid.UUID(org), "long", **values)
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
    assert taken(sql, org) == [(slot(), "hold")] * 2  # the person and the room


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
    """Two releases that run side by side wait for each other only where they mean the same lock."""
    org = uuid.uuid4()
    key = one(sql, "SELECT hashtextextended(%s, 0)", name.format(org=org))
    values = [org] if name.startswith("holds/") else [org, "x"]
    marks = ", ".join(["%s"] * len(values))
    assert one(sql, f"SELECT {function}({marks})", *values) == key


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
    assert hold_row(sql, hold) == ("held", 0, False)  # none of them cost a try
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
    # Fewer tries than were used already: the right code comes too late too.
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
    """Neither as a success, nor with another time of its release."""
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
