"""The tools in Vapi's form: what a call knows by itself, repeats, and numbers that are not read."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.conftest import Clock
from tests.factories import bare, code_of, create_clinic, phone_number, reserve, slot
from tests.models.wrong_codes import wrong
from tests.webapp.agents.calls import PhoneCall, tool_call
from tests.webapp.agents.refusals import refused


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
