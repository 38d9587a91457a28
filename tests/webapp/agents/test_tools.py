"""Every answer about a code and a confirmation, through the front door."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.conftest import Clock
from tests.factories import bare, code_of, create_clinic, phone_number, reserve, slot
from tests.models.wrong_codes import wrong
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.agents.refusals import UNKNOWN, refused

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
