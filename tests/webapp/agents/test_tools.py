"""Every answer that a tool can give, through the front door."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.conftest import Clock
from tests.factories import bare, code_of, create_clinic, phone_number, reserve, slot
from tests.webapp.agents.calls import PhoneCall, tool_call

UNKNOWN = str(uuid.uuid4())


def refused(answer: dict[str, Any], code: str) -> str:
    assert answer["success"] is False
    assert answer["code"] == code
    assert answer["error"]
    say: str = answer["say"]
    return say


# --- check_availability -------------------------------------------------------------------------


def test_check_offers_each_time_with_its_id_and_its_words(client: FlaskClient) -> None:
    org = create_clinic(calendar={"time_zone": "America/New_York"})
    answer = bare(client, "calendar/check", tenantId=org, date="2027-01-25")
    assert answer["success"]
    assert answer["slots"][2] == {
        "slotId": "2027-01-25T15:00:00Z",
        "calendarId": "cal-1",
        "label": "Monday 25 January, 10:00 in the morning",
    }
    assert len(answer["slots"]) == 16


@pytest.mark.parametrize(
    ("date", "code"),
    [("2026-01-25", "day_in_the_past"), ("2099-01-01", "day_too_far"), ("the 32nd", "invalid_date")],
)
def test_check_says_why_a_day_has_no_times(client: FlaskClient, date: str, code: str) -> None:
    answer = bare(client, "calendar/check", tenantId=create_clinic(), date=date)
    refused(answer, code)
    assert not answer.get("slots")


def test_check_offers_the_next_openings_of_a_closed_day(client: FlaskClient) -> None:
    org = create_clinic(calendar={"hours": {"wed": [["09:00", "10:00"]]}})
    monday = datetime.now(UTC).date() + timedelta(days=7 - datetime.now(UTC).weekday())
    answer = bare(client, "calendar/check", tenantId=org, date=monday.isoformat())
    say = refused(answer, "day_closed")
    assert "Wednesday" in say
    wednesdays = [monday + timedelta(days=days) for days in (2, 9, 16)]
    # Of each day that has one, the first time.
    assert [opening["slotId"] for opening in answer["nextOpenings"]] == [
        f"{day.isoformat()}T09:00:00Z" for day in wednesdays
    ]


def test_a_full_day_is_an_answer_with_other_days(client: FlaskClient) -> None:
    org = create_clinic(
        calendar={
            "hours": {day: [["10:00", "10:30"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
        }
    )
    assert reserve(client, org)["success"]
    answer = bare(client, "calendar/check", tenantId=org, date=slot()[:10])
    assert answer["success"]
    assert answer["slots"] == []
    assert answer["nextOpenings"][0]["slotId"] == slot(days=15)


@pytest.mark.parametrize(("word", "days"), [("today", 0), ("tomorrow", 1)])
def test_a_day_may_be_said(client: FlaskClient, word: str, days: int) -> None:
    answer = bare(client, "calendar/check", tenantId=create_clinic(), date=word)
    assert answer["date"] == (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def test_a_weekday_is_the_next_one(client: FlaskClient) -> None:
    answer = bare(client, "calendar/check", tenantId=create_clinic(), date="Thursday")
    day = datetime.fromisoformat(answer["date"])
    assert day.weekday() == 3
    assert 1 <= (day.date() - datetime.now(UTC).date()).days <= 7


# --- reserve_atomic -----------------------------------------------------------------------------


def test_a_taken_time_is_refused_and_others_are_offered(client: FlaskClient) -> None:
    org = create_clinic()
    assert reserve(client, org)["success"]
    answer = reserve(client, org)
    assert answer["error"] == "Slot already held"
    assert refused(answer, "slot_taken").startswith("NOT BOOKED")
    assert [near["slotId"] for near in answer["nearest"]] == [
        slot(hour=9),
        slot(hour=9, minute=30),
        slot(hour=10, minute=30),
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"slotId": "2026-01-25T10:00:00Z"}, "slot_in_the_past"),
        ({"slotId": slot(minute=7)}, "slot_not_offered"),
        ({"slotId": slot(hour=3)}, "slot_not_offered"),
        ({"slotId": slot(days=1000)}, "day_too_far"),
        ({"slotId": "10 o'clock"}, "invalid_slot"),
        ({"slotId": "2027-01-25T10:00:00"}, "invalid_slot"),
        ({"slotId": "0001-01-01T00:00:00+23:59"}, "invalid_slot"),
        ({"slotId": "0001-01-01T00:00:00Z"}, "slot_in_the_past"),
        ({"slotId": "9999-12-31T23:59:59Z"}, "day_too_far"),
        ({"calendarId": "cal-9"}, "unknown_calendar"),
        ({"patientPhone": "+1-555-1234"}, "impossible_phone"),
        ({"patientPhone": "nophone"}, "impossible_phone"),
        ({"patientPhone": ""}, "missing_argument"),
        ({"patientName": "  "}, "missing_argument"),
        ({"patientName": "x" * 500}, "invalid_argument"),
        ({"patientName": ["John"]}, "invalid_argument"),
        ({"tenantId": UNKNOWN}, "unknown_tenant"),
        ({"tenantId": "my clinic"}, "unknown_tenant"),
    ],
)
def test_what_cannot_be_held_is_refused_in_words(
    client: FlaskClient, arguments: dict[str, Any], code: str
) -> None:
    answer = reserve(client, create_clinic(), **arguments)
    assert refused(answer, code).startswith("NOT BOOKED: ")


def test_a_sandbox_clinic_takes_the_quick_references_number(client: FlaskClient) -> None:
    assert reserve(client, create_clinic(sandbox=True), patientPhone="+1-555-1234")["success"]


def test_one_call_gets_its_own_hold_back_and_moves_it_with_another_time(client: FlaskClient) -> None:
    org = create_clinic(calendar={"step_minutes": 15})
    call = PhoneCall(client, org, phone_number())
    first = call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert first == call.say("reserve_atomic", slotId=slot(), patientName="John")
    # 10:15 overlaps what this very call holds: the hold moves.
    moved = call.say("reserve_atomic", slotId=slot(minute=15), patientName="John")
    assert "holdId=" in moved
    assert moved != first
    assert reserve(client, org, slotId=slot(hour=9, minute=30))["success"]
    assert refused(reserve(client, org, slotId=slot()), "slot_taken")


def test_a_call_that_is_refused_another_time_keeps_the_one_it_has(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    org = create_clinic()
    assert reserve(client, org, slotId=slot(hour=12))["success"]
    call = PhoneCall(client, org, phone_number())
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert call.say("reserve_atomic", slotId=slot(hour=12), patientName="John").startswith("NOT BOOKED")
    held = sql.execute(
        "SELECT starts_at = %s FROM appointment_holds WHERE call_sid = %s AND status = 'held'",
        [slot(), call.id],
    )
    assert held.fetchall() == [(True,)]


def test_a_stale_hold_is_no_obstacle(client: FlaskClient, clock: Clock) -> None:
    org = create_clinic()
    assert reserve(client, org)["success"]
    clock.forward(601)
    assert slot() in str(bare(client, "calendar/check", tenantId=org, date=slot()[:10])["slots"])
    assert reserve(client, org)["success"]


# --- send_otp_code ------------------------------------------------------------------------------


def test_a_code_goes_only_to_the_number_of_the_hold(client: FlaskClient, sql: psycopg.Connection) -> None:
    number = phone_number()
    held = reserve(client, create_clinic(), patientPhone=number)
    other = bare(client, "booking/send-otp", holdId=held["holdId"], patientPhone=phone_number())
    assert refused(other, "phone_mismatch").startswith("NOT BOOKED")
    assert bare(client, "booking/send-otp", holdId=held["holdId"], patientPhone=number)["success"]
    rows = sql.execute("SELECT to_phone FROM sms_messages WHERE hold_id = %s", [held["holdId"]]).fetchall()
    assert rows == [(number,)]


def test_asking_again_while_a_code_waits_sends_no_second_one(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    held = reserve(client, create_clinic())
    for _ in range(2):
        assert bare(client, "booking/send-otp", holdId=held["holdId"])["success"]
    sql.execute(
        "UPDATE sms_messages SET status = 'sent', provider_id = 'SM1' WHERE hold_id = %s", [held["holdId"]]
    )
    assert bare(client, "booking/send-otp", holdId=held["holdId"])["success"]
    rows = sql.execute(
        "SELECT status FROM sms_messages WHERE hold_id = %s ORDER BY created_at", [held["holdId"]]
    )
    assert rows.fetchall() == [("sent",), ("queued",)]


@pytest.mark.parametrize(
    "limit", ["codes_per_hold", "codes_per_call", "codes_per_phone_a_day", "codes_a_day"]
)
def test_every_cap_on_codes_holds(client: FlaskClient, sql: psycopg.Connection, limit: str) -> None:
    limits: dict[str, Any] = {limit: 1}
    call = PhoneCall(client, create_clinic(**limits), phone_number())
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert call.say("send_otp_code").startswith("A code is on its way")
    sql.execute("UPDATE sms_messages SET status = 'sent' WHERE call_sid = %s", [call.id])
    assert "too_many_codes" in call.say("send_otp_code")


@pytest.mark.parametrize(
    "limit", ["codes_per_hold", "codes_per_call", "codes_per_phone_a_day", "codes_a_day"]
)
def test_every_cap_on_codes_forgets_after_a_day(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, limit: str
) -> None:
    limits: dict[str, Any] = {limit: 1}
    call = PhoneCall(client, create_clinic(**limits), phone_number())
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    call.say("send_otp_code")
    sql.execute("UPDATE sms_messages SET status = 'sent' WHERE call_sid = %s", [call.id])
    # A hold that lives as long as that, so that the cap on it can be seen to forget, too.
    sql.execute(
        "UPDATE appointment_holds SET expires_at = starts_at - interval '1 hour' WHERE call_sid = %s",
        [call.id],
    )
    assert "too_many_codes" in call.say("send_otp_code")
    clock.forward(23 * 3600)
    assert "too_many_codes" in call.say("send_otp_code")
    clock.forward(3600 + 1)
    assert call.say("send_otp_code").startswith("A code is on its way")


def test_no_code_is_sent_for_a_time_that_has_begun(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    starts = datetime.fromisoformat(slot())
    clock.forward((starts - datetime.now(UTC)).total_seconds() - 60)
    held = reserve(client, create_clinic())
    assert held["success"]
    clock.forward(120)  # the hold itself has eight minutes left
    refused(bare(client, "booking/send-otp", holdId=held["holdId"]), "hold_expired")
    count = sql.execute("SELECT count(*) FROM sms_messages WHERE hold_id = %s", [held["holdId"]]).fetchone()
    assert count == (0,)


# --- verify_otp ---------------------------------------------------------------------------------


def held_with_code(client: FlaskClient, **clinic: Any) -> tuple[str, str]:
    held = reserve(client, create_clinic(**clinic))
    assert bare(client, "booking/send-otp", holdId=held["holdId"])["success"]
    return held["holdId"], code_of(held["holdId"])


def wrong(code: str) -> str:
    return str((int(code) + 1) % 10 ** len(code)).zfill(len(code))


def test_three_wrong_codes_and_the_time_is_given_back(client: FlaskClient) -> None:
    hold, code = held_with_code(client)
    for _ in range(2):
        answer = bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong(code))
        assert refused(answer, "wrong_code").startswith("NOT BOOKED")
        assert "2" not in answer["say"]  # how many tries are left stays unsaid
    last = bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong(code))
    said = refused(last, "hold_locked")
    assert said.startswith("NOT BOOKED: there were too many wrong codes and the time was given back.")
    assert "choose a time again" in said
    assert "once more" not in said
    # From now on every code gets that answer, the right one, and what is none.
    for each in (code, wrong(code), "what?"):
        assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=each) == last
    assert bare(client, "booking/send-otp", holdId=hold) == last


def test_a_patient_who_was_locked_out_books_with_a_new_reservation(client: FlaskClient) -> None:
    call = PhoneCall(client, create_clinic(), phone_number())
    held = call.say("reserve_atomic", id="call_0", slotId=slot(), patientName="John")
    call.say("send_otp_code", id="call_0")
    code = code_of(held.split("holdId=")[1].split()[0])
    for n in range(1, 4):
        said = call.say("verify_otp", id="call_0", providedOTP=str((int(code) + n) % 10_000).zfill(4))
    assert "hold_locked" in said
    held = call.say("reserve_atomic", id="call_0", slotId=slot(), patientName="John")
    assert "code is on its way" in call.say("send_otp_code", id="call_0")
    code = code_of(held.split("holdId=")[1].split()[0])
    assert call.say("verify_otp", id="call_0", providedOTP=code).startswith("Booked")


def test_a_wrong_code_after_the_booking_gets_the_answer_of_any_wrong_code(client: FlaskClient) -> None:
    """Whoever guesses at a hold that was booked learns neither that nor which appointment it became."""
    hold, code = held_with_code(client)
    of_a_live_hold = bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong(code))
    assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=code)["success"]
    for said in (wrong(code), wrong(wrong(code)), wrong(wrong(wrong(code)))):
        assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=said) == of_a_live_hold
    other, other_code = held_with_code(client)
    assert bare(client, "booking/verify-otp", holdId=other, providedOTP=wrong(other_code)) == of_a_live_hold


def test_a_wrong_an_expired_and_an_unknown_code_get_the_same_answer(
    client: FlaskClient, clock: Clock
) -> None:
    org = create_clinic()
    hold, code = held_with_code(client)
    of_a_wrong_code = bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong(code))
    of_an_unknown_hold = bare(client, "booking/verify-otp", tenantId=org, holdId=UNKNOWN, providedOTP=code)
    clock.forward(600)
    of_an_expired_hold = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code)
    assert of_a_wrong_code == of_an_unknown_hold == of_an_expired_hold


def test_a_code_works_once(client: FlaskClient, sql: psycopg.Connection) -> None:
    hold, code = held_with_code(client)
    booked = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code)
    again = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code)
    assert {**booked, "say": again["say"]} == again  # what is booked is told as booked, however often
    assert again["say"] == f"Booked: {booked['label']}. It was booked before, and stands."
    of_a_wrong_code = bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong(code))
    of_no_hold = bare(
        client, "booking/verify-otp", holdId=UNKNOWN, tenantId=create_clinic(), providedOTP=code
    )
    assert of_a_wrong_code == of_no_hold  # whoever guesses learns nothing
    code_again = bare(client, "booking/send-otp", holdId=hold)
    assert not refused(code_again, "hold_confirmed").startswith("NOT BOOKED")
    count = sql.execute("SELECT count(*) FROM appointments WHERE hold_id = %s", [hold]).fetchone()
    assert count == (1,)


def test_a_code_is_over_with_its_hold(client: FlaskClient, clock: Clock) -> None:
    hold, code = held_with_code(client)
    clock.forward(600)
    refused(bare(client, "booking/verify-otp", holdId=hold, providedOTP=code), "wrong_code")
    refused(bare(client, "booking/send-otp", holdId=hold), "hold_expired")


@pytest.mark.parametrize("said", [["1"], "I forgot", True, "12345", 12.5, "one two"])
def test_what_is_no_code_costs_no_try(client: FlaskClient, said: object) -> None:
    hold, code = held_with_code(client)
    refused(bare(client, "booking/verify-otp", holdId=hold, providedOTP=said), "code_unreadable")
    for _ in range(2):
        refused(bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong(code)), "wrong_code")
    assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=code)["success"]


@pytest.mark.parametrize("form", ["digits", "spaced", "number", "words"])
def test_a_code_is_taken_as_people_say_it(client: FlaskClient, form: str) -> None:
    hold, code = held_with_code(client)
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    said: object = {
        "digits": code,
        "spaced": " ".join(code),
        "number": int(code),
        "words": " ".join(words[int(digit)] for digit in code),
    }[form]
    assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=said)["success"]


def test_verify_before_a_code_was_sent(client: FlaskClient) -> None:
    held = reserve(client, create_clinic())
    refused(bare(client, "booking/verify-otp", holdId=held["holdId"], providedOTP="1234"), "code_not_sent")


@pytest.mark.parametrize(
    ("path", "expected"), [("booking/send-otp", "unknown_hold"), ("booking/verify-otp", "wrong_code")]
)
@pytest.mark.parametrize("hold", [pytest.param(UNKNOWN, id="unknown"), "not-an-id"])
def test_an_unknown_hold(client: FlaskClient, path: str, expected: str, hold: str) -> None:
    answer = bare(client, path, tenantId=create_clinic(), holdId=hold, providedOTP="1234")
    assert refused(answer, expected).startswith("NOT BOOKED")


def test_another_clinics_hold_is_an_unknown_hold(client: FlaskClient) -> None:
    hold, code = held_with_code(client)
    answer = bare(client, "booking/verify-otp", tenantId=create_clinic(), holdId=hold, providedOTP=code)
    random_id = bare(client, "booking/verify-otp", tenantId=create_clinic(), holdId=UNKNOWN, providedOTP=code)
    assert answer == random_id


def test_the_contact_must_be_the_holds(client: FlaskClient) -> None:
    hold, code = held_with_code(client)
    answer = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code, contactId=UNKNOWN)
    refused(answer, "wrong_code")


# --- send_confirmation_sms ----------------------------------------------------------------------


def test_confirmation_is_never_a_second_sms(client: FlaskClient, sql: psycopg.Connection) -> None:
    hold, code = held_with_code(client)
    booked = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code)["appointmentId"]
    waiting = bare(client, "booking/send-confirmation", appointmentId=booked)
    assert (waiting["messageSent"], waiting["status"]) == (False, "queued")
    sql.execute(
        "UPDATE sms_messages SET status = 'sent', provider_id = 'SM2' WHERE appointment_id = %s", [booked]
    )
    sent = bare(client, "booking/send-confirmation", appointmentId=booked)
    assert (sent["messageSent"], sent["messageId"]) == (True, "SM2")
    assert "Test Clinic" in sent["content"]
    assert sql.execute(
        "SELECT count(*) FROM sms_messages WHERE appointment_id = %s", [booked]
    ).fetchone() == (1,)


def test_a_confirmation_that_failed_is_said_to_have_failed(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    hold, code = held_with_code(client)
    booked = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code)["appointmentId"]
    sql.execute("UPDATE sms_messages SET status = 'failed' WHERE appointment_id = %s", [booked])
    answer = bare(client, "booking/send-confirmation", appointmentId=booked)
    assert refused(answer, "sms_failed").startswith("The appointment is booked")
    assert answer["messageSent"] is False


def test_an_unknown_appointment(client: FlaskClient) -> None:
    answer = bare(client, "booking/send-confirmation", tenantId=create_clinic(), appointmentId=UNKNOWN)
    assert refused(answer, "unknown_appointment").startswith("NOT BOOKED")


# --- Vapi's form --------------------------------------------------------------------------------


def test_a_call_needs_no_ids_and_no_number_from_the_model(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    number = phone_number()
    call = PhoneCall(client, create_clinic(), number)
    held = call.say("reserve_atomic", slotId=slot(), patientName="John")
    hold = held.split("holdId=")[1].split()[0]
    call.say("send_otp_code")
    booked = call.say("verify_otp", providedOTP=code_of(hold))
    assert booked.startswith("Booked: ")
    assert "messageSent=false" in call.say("send_confirmation_sms")
    phones = sql.execute(
        "SELECT DISTINCT to_phone FROM sms_messages WHERE call_sid = %s", [call.id]
    ).fetchall()
    assert phones == [(number,)]


def test_the_name_decides_and_every_call_is_answered_in_order(client: FlaskClient) -> None:
    org = create_clinic()
    call = PhoneCall(client, org, phone_number())
    results = call.post(
        tool_call("check_availability", id="a", tenantId=org, date=slot()[:10]),
        tool_call("no_such_tool", id="b"),
        tool_call("reserve_atomic", id="c", tenantId=org, slotId=slot(), patientName="John"),
        tool_call("send_otp_code", id="d", tenantId=org),
        path="booking/send-confirmation",
    )
    assert [result["toolCallId"] for result in results] == ["a", "b", "c", "d"]
    assert slot() in results[0]["result"]
    assert "no_such_tool" in results[1]["error"]
    assert "holdId=" in results[2]["result"]
    assert results[3]["result"].startswith("A code is on its way")


def test_a_repeat_gets_the_first_answer_and_has_no_effect(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    call = PhoneCall(client, create_clinic(), phone_number())
    held = call.say("reserve_atomic", id="r", slotId=slot(), patientName="John")
    call.say("send_otp_code", id="s")
    code = code_of(held.split("holdId=")[1].split()[0])
    first = call.say("verify_otp", id="v", providedOTP=wrong(code))
    assert first == call.say("verify_otp", id="v", providedOTP=wrong(code))
    tries = sql.execute("SELECT code_tries FROM appointment_holds WHERE call_sid = %s", [call.id]).fetchone()
    assert tries == (1,)
    # The same id with other arguments is another call: ids repeat ("call_0").
    assert call.say("verify_otp", id="v", providedOTP=code).startswith("Booked")


def test_a_time_that_was_given_up_is_asked_for_once_more_under_the_same_id(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    """A model that calls everything call_0 takes one time, another, and the first again."""
    call = PhoneCall(client, create_clinic(), phone_number())

    def take(hour: int) -> str:
        line = call.say("reserve_atomic", id="call_0", slotId=slot(hour=hour), patientName="John")
        return line.split("holdId=")[1].split()[0]

    first, second = take(10), take(11)
    assert first != second
    third = take(10)
    live = sql.execute(
        "SELECT id::text, starts_at FROM appointment_holds WHERE call_sid = %s AND status = 'held'", [call.id]
    ).fetchall()
    assert [hold for hold, _ in live] == [third]
    assert third == take(10)  # and that is a repeat again


def test_what_was_asked_too_early_is_asked_again_under_the_same_id(client: FlaskClient) -> None:
    """A model that calls everything call_0, and leaves out what the call itself tells."""
    call = PhoneCall(client, create_clinic(), phone_number())
    assert "unknown_hold" in call.say("send_otp_code", id="call_0")
    assert "unknown_appointment" in call.say("send_confirmation_sms", id="call_0")
    held = call.say("reserve_atomic", id="call_0", slotId=slot(), patientName="John")
    first = call.say("send_otp_code", id="call_0")
    assert "unknown_hold" not in first
    assert first == call.say("send_otp_code", id="call_0")
    call.say("verify_otp", id="call_0", providedOTP=code_of(held.split("holdId=")[1].split()[0]))
    assert "The appointment is booked" in call.say("send_confirmation_sms", id="call_0")


def test_without_an_id_the_same_again_is_a_repeat_for_half_a_minute(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    org, call_id, number = create_clinic(), str(uuid.uuid4()), phone_number()

    def say(name: str, **arguments: Any) -> str:
        call = {"id": call_id, "customer": {"number": number}}
        function = {"name": name, "parameters": {"tenantId": org, **arguments}}
        body = {"message": {"type": "function-call", "call": call, "functionCall": function}}
        answer: str = client.post("/api/vapi/webhook", json=body).get_json()["result"]
        return answer

    def sent() -> int:
        sql.execute(
            "UPDATE sms_messages SET status = 'sending' WHERE org_id = %s AND status = 'queued'", [org]
        )
        sql.execute("UPDATE sms_messages SET status = 'sent' WHERE org_id = %s AND status = 'sending'", [org])
        [(count,)] = sql.execute("SELECT count(*) FROM sms_messages WHERE org_id = %s", [org]).fetchall()
        return int(count)

    say("reserve_atomic", slotId=slot(), patientName="John")
    say("send_otp_code")
    assert sent() == 1
    say("send_otp_code")
    assert sent() == 1
    clock.forward(31)
    say("send_otp_code")
    assert sent() == 2
    before = say("check_availability", date=slot()[:10])
    assert reserve(client, org, slotId=slot(hour=14))["success"]
    assert say("check_availability", date=slot()[:10]) == before
    clock.forward(31)
    assert say("check_availability", date=slot()[:10]) != before


def test_whoever_is_booked_is_not_sent_to_book_again(client: FlaskClient) -> None:
    call = PhoneCall(client, create_clinic(), phone_number())
    held = call.say("reserve_atomic", slotId=slot(), patientName="John")
    call.say("send_otp_code")
    call.say("verify_otp", providedOTP=code_of(held.split("holdId=")[1].split()[0]))
    said = call.say("send_confirmation_sms", patientPhone=phone_number())
    assert said.startswith("The appointment is booked. Its text message goes only to the number")
    assert "reserve" not in said.replace("reserved with", "")
    assert "phone_mismatch" in said


def test_a_name_that_was_misheard_is_put_right(client: FlaskClient, sql: psycopg.Connection) -> None:
    call = PhoneCall(client, create_clinic(), phone_number())
    held = call.say("reserve_atomic", slotId=slot(), patientName="John")
    again = call.say("reserve_atomic", slotId=slot(), patientName="Jon Smyth")
    assert held.split("[")[1] == again.split("[")[1]  # the same hold, until the same time
    call.say("send_otp_code")
    call.say("verify_otp", providedOTP=code_of(held.split("holdId=")[1].split()[0]))
    name = sql.execute("SELECT patient_name FROM appointments WHERE call_sid = %s", [call.id]).fetchone()
    assert name == ("Jon Smyth",)


@pytest.mark.parametrize("number", ["sip:+447700900777@sip.vapi.ai", "tel:+447700900777"])
def test_the_number_in_an_address_is_the_callers(
    client: FlaskClient, sql: psycopg.Connection, number: str
) -> None:
    call = PhoneCall(client, create_clinic(), number)
    assert "holdId=" in call.say("reserve_atomic", slotId=slot(), patientName="John")
    phone = sql.execute(
        "SELECT patient_phone FROM appointment_holds WHERE call_sid = %s", [call.id]
    ).fetchone()
    assert phone == ("+447700900777",)


def test_nobody_is_blamed_for_a_number_that_nobody_gave(client: FlaskClient) -> None:
    org = create_clinic()
    for number in ("sip:reception@pbx.example", "anonymous", None):
        call = PhoneCall(client, org, number)
        said = call.say("reserve_atomic", slotId=slot(), patientName="John")
        assert "I still need the patient's telephone number" in said
    # A variable that Vapi did not fill in is no number that somebody said.
    call = PhoneCall(client, org, phone_number())
    said = call.say("reserve_atomic", slotId=slot(), patientName="John", patientPhone="{{ customer.number }}")
    assert "holdId=" in said


@pytest.mark.parametrize("said", ["same as caller", "the number I'm calling from", "N/A"])
def test_a_number_that_is_named_as_the_callers_is_the_callers(
    client: FlaskClient, sql: psycopg.Connection, said: str
) -> None:
    call = PhoneCall(client, create_clinic(), phone_number())
    assert "holdId=" in call.say("reserve_atomic", slotId=slot(), patientName="John", patientPhone=said)
    assert "code is on its way" in call.say("send_otp_code", patientPhone=said)
    row = sql.execute("SELECT patient_phone FROM appointment_holds WHERE call_sid = %s", [call.id]).fetchone()
    assert row == (call.number,)


def test_the_callers_number_is_another_one_than_that_of_the_hold(client: FlaskClient) -> None:
    call = PhoneCall(client, create_clinic(), phone_number())
    call.say("reserve_atomic", slotId=slot(), patientName="John", patientPhone=phone_number())
    assert "phone_mismatch" in call.say("send_otp_code", patientPhone="same as caller")
    assert "code is on its way" in call.say("send_otp_code")


def test_the_callers_number_is_asked_for_where_it_is_withheld(client: FlaskClient) -> None:
    call = PhoneCall(client, create_clinic(), None)
    said = call.say("reserve_atomic", slotId=slot(), patientName="John", patientPhone="same as caller")
    assert "missing_argument" in said
    assert "number of this call is not known" in said


def test_a_number_that_cannot_be_read_is_asked_for_differently_the_second_time(client: FlaskClient) -> None:
    org = create_clinic()
    call = PhoneCall(client, org, phone_number())

    def ask(call: PhoneCall, number: str = "the blue one") -> str:
        said = call.say("reserve_atomic", slotId=slot(), patientName="John", patientPhone=number)
        assert "impossible_phone" in said
        return said

    assert "Could you repeat it with its area code?" in ask(call)
    for number in ("the blue one", "07700"):
        said = ask(call, number)
        assert "one digit at a time" in said
        assert call.number
        assert f"ends in {call.number[-2:]}" in said
        assert call.number not in said
    # Another call begins anew; and a number that is not known is not offered.
    withheld = PhoneCall(client, org, None)
    assert "Could you repeat it" in ask(withheld)
    said = ask(withheld)
    assert "one digit at a time" in said
    assert "this call comes from" not in said
    held = call.say("reserve_atomic", slotId=slot(), patientName="John", patientPhone="oh double seven")
    assert "impossible_phone" in held
    spoken = "oh seven seven double oh, nine double oh, one double two"
    assert "holdId=" in call.say("reserve_atomic", slotId=slot(), patientName="J", patientPhone=spoken)


def test_a_day_far_ahead_is_told_with_its_year(client: FlaskClient) -> None:
    org = create_clinic(calendar={"horizon_days": 730})
    year = datetime.now(UTC).year + 3
    answer = bare(client, "calendar/check", tenantId=org, date=f"{year}-02-05")
    say = refused(answer, "day_too_far")
    last = datetime.fromisoformat(answer["nextOpenings"][0]["slotId"])
    assert f"{last:%A} {last.day} {last:%B} {last.year}" in say
    assert str(last.year) in answer["nextOpenings"][0]["label"]


def test_a_call_that_names_no_tool_is_told_so(client: FlaskClient) -> None:
    call = PhoneCall(client, create_clinic(), phone_number())
    nameless = {"id": "x", "type": "function", "function": {"arguments": {}}}
    [result] = call.post(nameless)
    assert result["error"].startswith("The call names no tool. There are: check_availability")


def test_the_spoken_code_is_not_kept_with_the_call(client: FlaskClient, sql: psycopg.Connection) -> None:
    call = PhoneCall(client, create_clinic(), phone_number())
    held = call.say("reserve_atomic", slotId=slot(), patientName="Johann Zebra")
    call.say("send_otp_code")
    code = code_of(held.split("holdId=")[1].split()[0])
    call.say("verify_otp", providedOTP=code)
    rows = sql.execute(
        "SELECT reply->>'say', arguments_digest FROM tool_calls WHERE call_id = %s", [call.id]
    ).fetchall()
    assert len(rows) == 3
    for say, _ in rows:
        words = re.sub(r"\S+=\S+", "", say)  # an id may well have the same four figures in it
        assert code not in words
        assert "Zebra" not in say
    assert (
        sql.execute("SELECT body FROM sms_messages WHERE hold_id IS NOT NULL AND body IS NOT NULL").fetchall()
        == []
    )


def test_another_calls_hold_is_not_this_calls_to_confirm(client: FlaskClient) -> None:
    org = create_clinic()
    theirs = PhoneCall(client, org, phone_number())
    hold = theirs.say("reserve_atomic", slotId=slot(), patientName="John").split("holdId=")[1].split()[0]
    theirs.say("send_otp_code")
    mine = PhoneCall(client, org, phone_number())
    assert "wrong_code" in mine.say("verify_otp", holdId=hold, providedOTP=code_of(hold))


def test_a_call_that_ended_gives_its_hold_back(client: FlaskClient, sql: psycopg.Connection) -> None:
    org = create_clinic()
    call = PhoneCall(client, org, phone_number())
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    call.end()
    assert reserve(client, org)["success"]
    row = sql.execute("SELECT status FROM calls WHERE org_id = %s AND id = %s", [org, call.id]).fetchone()
    assert row == ("ended",)


# --- afterwards ---------------------------------------------------------------------------------


def test_a_cancelled_appointment_is_not_said_to_stand(client: FlaskClient, sql: psycopg.Connection) -> None:
    hold, code = held_with_code(client)
    booked = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code)["appointmentId"]
    sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [booked])
    again = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code)
    assert refused(again, "appointment_cancelled").startswith("NOT BOOKED")
    code_again = bare(client, "booking/send-otp", holdId=hold)
    assert refused(code_again, "appointment_cancelled").startswith("NOT BOOKED")
    told = bare(client, "booking/send-confirmation", appointmentId=booked)
    assert refused(told, "appointment_cancelled").startswith("NOT BOOKED")


def test_a_code_that_is_under_way_keeps_its_length(client: FlaskClient, sql: psycopg.Connection) -> None:
    hold, code = held_with_code(client)
    sql.execute(
        "UPDATE organizations SET code_length = 6"
        " WHERE id = (SELECT org_id FROM appointment_holds WHERE id = %s)",
        [hold],
    )
    assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=code)["success"]
