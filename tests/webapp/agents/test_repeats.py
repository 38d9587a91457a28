"""A tool call that comes again: the same request once more, or a new wish in the same words.

Models reuse ids: here everything is called call_0.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.base.session import transaction
from models.messaging import opt_outs
from models.messaging.opt_outs import OptOutSource
from tests.conftest import Clock
from tests.factories import code_of, create_clinic, phone_number, reserve, slot
from tests.webapp.agents.calls import PhoneCall, tool_call

#: Seconds, longer than a request can take to come again.
LATER = 34.0


class Talk(PhoneCall):
    """A telephone call whose model has one id for everything."""

    def __init__(self, client: FlaskClient, sql: psycopg.Connection, org_id: str | None = None) -> None:
        super().__init__(client, org_id or create_clinic(), phone_number())
        self.sql = sql

    def ask(self, name: str, **arguments: Any) -> str:
        return self.say(name, id="call_0", **arguments)

    def reserve(self, hour: int = 10) -> str:
        """The line that it answers, with an id of its own."""
        return self.say("reserve_atomic", slotId=slot(hour=hour), patientName="John")

    def texts(self) -> int:
        """How many SMS there are for this call; all that wait are handed to the provider first."""
        for before, after in (("queued", "sending"), ("sending", "sent")):
            self.sql.execute(
                "UPDATE sms_messages SET status = %s WHERE call_sid = %s AND status = %s",
                [after, self.id, before],
            )
        row = self.sql.execute("SELECT count(*) FROM sms_messages WHERE call_sid = %s", [self.id]).fetchone()
        assert row
        return int(row[0])

    def tries(self) -> int:
        row = self.sql.execute(
            "SELECT sum(code_tries) FROM appointment_holds WHERE call_sid = %s", [self.id]
        ).fetchone()
        assert row
        return int(row[0])


def hold_in(line: str) -> str:
    return line.split("holdId=")[1].split(maxsplit=1)[0].rstrip("]")


def wrong_of(line: str, by: int = 1) -> str:
    code = code_of(hold_in(line))
    return str((int(code) + by) % 10 ** len(code)).zfill(len(code))


@pytest.fixture
def talk(client: FlaskClient, sql: psycopg.Connection) -> Talk:
    return Talk(client, sql)


def test_a_code_that_is_asked_for_later_is_sent_again(talk: Talk, clock: Clock) -> None:
    talk.reserve()
    first = talk.ask("send_otp_code")
    assert talk.texts() == 1
    assert talk.ask("send_otp_code") == first  # the same request once more
    assert talk.texts() == 1
    clock.forward(LATER)
    talk.ask("send_otp_code")
    assert talk.texts() == 2
    talk.ask("send_otp_code")
    assert talk.texts() == 2  # a repeat of the second


@pytest.mark.parametrize(("seconds", "texts"), [(20, 1), (29, 1), (31, 2)])
def test_a_request_may_come_again_for_half_a_minute(
    talk: Talk, clock: Clock, seconds: float, texts: int
) -> None:
    """Vapi gives a tool call 20 seconds, and asks again after them."""
    clock.stop()
    talk.reserve()
    clock.forward(1)
    talk.ask("send_otp_code")
    assert talk.texts() == 1
    clock.forward(seconds)
    talk.ask("send_otp_code")
    assert talk.texts() == texts


def test_a_code_that_is_asked_for_after_something_else_is_sent_again(talk: Talk) -> None:
    held = talk.reserve()
    talk.ask("send_otp_code")
    assert talk.texts() == 1
    assert "wrong_code" in talk.ask("verify_otp", providedOTP=wrong_of(held))
    talk.ask("send_otp_code")
    assert talk.texts() == 2


def test_one_id_for_two_tools_is_two_requests(talk: Talk) -> None:
    """Both without arguments of their own: only the name of the tool tells them apart."""
    held = talk.reserve()
    talk.say("send_otp_code", id="call_1")
    talk.ask("verify_otp", providedOTP=code_of(hold_in(held)))
    assert talk.texts() == 2
    assert "messageSent=true" in talk.ask("send_confirmation_sms")
    talk.reserve(hour=12)
    assert talk.ask("send_otp_code").startswith("A code is on its way")
    assert talk.texts() == 3


def test_what_another_call_does_lies_between_nothing(talk: Talk, client: FlaskClient) -> None:
    talk.reserve()
    talk.ask("send_otp_code")
    assert talk.texts() == 1
    Talk(client, talk.sql, talk.org_id).ask("check_availability", date=slot()[:10])
    talk.ask("send_otp_code")
    assert talk.texts() == 1


def test_a_time_that_was_refused_is_held_once_it_is_free(talk: Talk, client: FlaskClient) -> None:
    other = Talk(client, talk.sql, talk.org_id)
    other.reserve()
    wanted = {"slotId": slot(), "patientName": "John"}
    assert "slot_taken" in talk.ask("reserve_atomic", **wanted)
    assert "slot_taken" in talk.ask("reserve_atomic", **wanted)
    other.end()
    held = talk.ask("reserve_atomic", **wanted)
    assert "holdId=" in held
    assert talk.ask("reserve_atomic", **wanted) == held


def test_a_full_day_is_looked_at_again(client: FlaskClient, sql: psycopg.Connection) -> None:
    morning = {day: [["10:00", "10:30"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    talk = Talk(client, sql, create_clinic(calendar={"opening": morning}))
    other = Talk(client, sql, talk.org_id)
    other.reserve()
    assert talk.ask("check_availability", date=slot()[:10]).startswith("Nothing is free")
    other.end()
    assert slot() in talk.ask("check_availability", date=slot()[:10])


def test_a_code_is_sent_once_what_stood_against_it_is_over(talk: Talk) -> None:
    org_id = uuid.UUID(talk.org_id)
    assert talk.number
    assert "unknown_hold" in talk.ask("send_otp_code")
    talk.reserve()
    with transaction(org_id) as session:
        opt_outs.record(session, org_id, talk.number, OptOutSource.KEYWORD)
    assert "opted_out" in talk.ask("send_otp_code")
    with transaction(org_id) as session:
        opt_outs.lift(session, org_id, talk.number)
    talk.sql.execute("UPDATE organizations SET codes_a_day = 0 WHERE id = %s", [org_id])
    assert "too_many_codes" in talk.ask("send_otp_code")
    talk.sql.execute("UPDATE organizations SET codes_a_day = 10 WHERE id = %s", [org_id])
    assert talk.ask("send_otp_code").startswith("A code is on its way")
    assert talk.texts() == 1


def test_a_code_that_was_lost_meanwhile_is_not_said_to_be_sent(talk: Talk) -> None:
    """The receipt may come within seconds, and nothing lies between the two requests."""
    talk.reserve()
    talk.ask("send_otp_code")
    talk.texts()
    talk.sql.execute(
        "UPDATE sms_messages SET status = 'undelivered', error_code = '30006', error_meaning = 'landline'"
        " WHERE call_sid = %s",
        [talk.id],
    )
    assert "cannot_receive_sms" in talk.ask("send_otp_code")
    assert talk.texts() == 1


def test_a_wrong_code_costs_one_try_however_often_its_request_comes(talk: Talk, clock: Clock) -> None:
    held = talk.reserve()
    talk.ask("send_otp_code")
    for _ in range(4):
        assert "wrong_code" in talk.ask("verify_otp", providedOTP=wrong_of(held))
    assert talk.tries() == 1
    clock.forward(LATER)
    assert "wrong_code" in talk.ask("verify_otp", providedOTP=wrong_of(held))
    assert talk.tries() == 2
    locked = talk.ask("verify_otp", providedOTP=wrong_of(held, 2))
    assert "hold_locked" in locked
    assert talk.ask("verify_otp", providedOTP=wrong_of(held, 2)) == locked
    assert talk.tries() == 3


def test_a_booking_is_made_once(talk: Talk, clock: Clock) -> None:
    held = talk.reserve()
    talk.ask("send_otp_code")
    code = code_of(hold_in(held))
    booked = talk.ask("verify_otp", providedOTP=code)
    assert booked.startswith("Booked")
    assert talk.ask("verify_otp", providedOTP=code) == booked
    # The same time again is no second booking, and not taken by somebody else either.
    for pause in (0.0, LATER):
        clock.forward(pause)
        again = talk.ask("reserve_atomic", slotId=slot(), patientName="John")
        assert "is already booked in this call, and that appointment stands" in again
        assert hold_in(held) == hold_in(again)
        assert "NOT BOOKED" not in again
        asked = talk.ask("send_otp_code")
        assert "already booked" in asked
        assert "NOT BOOKED" not in asked
    assert talk.texts() == 2  # the code and the confirmation
    row = talk.sql.execute("SELECT count(*) FROM appointments WHERE call_sid = %s", [talk.id]).fetchone()
    assert row == (1,)


def test_a_time_that_this_call_booked_and_that_was_cancelled_can_be_had_again(talk: Talk) -> None:
    held = talk.reserve()
    talk.ask("send_otp_code")
    talk.ask("verify_otp", providedOTP=code_of(hold_in(held)))
    talk.sql.execute("UPDATE appointments SET status = 'cancelled' WHERE call_sid = %s", [talk.id])
    assert "appointment_cancelled" in talk.ask("send_otp_code")
    again = talk.ask("reserve_atomic", slotId=slot(), patientName="John")
    assert hold_in(again) != hold_in(held)


def test_an_own_hold_is_given_back_to_who_asks_late(talk: Talk, clock: Clock) -> None:
    """Under an id that no model would use twice, too: nothing is held or sent a second time."""
    wanted = {"id": "call_RqX81b", "slotId": slot(), "patientName": "John"}
    held = talk.say("reserve_atomic", **wanted)
    clock.forward(300)
    assert talk.say("reserve_atomic", **wanted) == held
    clock.forward(301)
    assert hold_in(talk.say("reserve_atomic", **wanted)) != hold_in(held)


def test_the_truth_about_a_confirmation_is_told_as_soon_as_it_changes(talk: Talk) -> None:
    held = talk.reserve()
    talk.ask("send_otp_code")
    talk.ask("verify_otp", providedOTP=code_of(hold_in(held)))
    assert "messageSent=false" in talk.ask("send_confirmation_sms")
    assert talk.texts() == 2
    assert "messageSent=true" in talk.ask("send_confirmation_sms")
    assert talk.texts() == 2
    talk.sql.execute(
        "UPDATE sms_messages SET status = 'undelivered', error_code = '30006', error_meaning = 'landline'"
        " WHERE call_sid = %s AND kind = 'confirmation'",
        [talk.id],
    )
    assert "no text message reaches the patient" in talk.ask("send_confirmation_sms")


@pytest.mark.parametrize("said", ["a wrong one", "banana"])
def test_what_this_call_has_booked_is_not_said_to_be_not_booked(talk: Talk, said: str) -> None:
    held = talk.reserve()
    talk.ask("send_otp_code")
    code = code_of(hold_in(held))
    assert talk.ask("verify_otp", providedOTP=code).startswith("Booked")
    again = talk.ask("verify_otp", providedOTP=wrong_of(held) if said == "a wrong one" else said)
    assert again.startswith("No code is needed: that appointment is already booked")
    assert "code=hold_confirmed" in again
    stranger = PhoneCall(talk.client, talk.org_id, talk.number)
    assert "code=wrong_code" in stranger.say("verify_otp", holdId=hold_in(held), providedOTP=wrong_of(held))


def test_a_message_with_several_tool_calls_is_one_request(talk: Talk, clock: Clock) -> None:
    """What follows a tool call in its own message does not lie between it and its repeat."""
    calls = [
        tool_call("check_availability", id="call_0", tenantId=talk.org_id, date=slot()[:10]),
        tool_call("reserve_atomic", id="call_1", tenantId=talk.org_id, slotId=slot(), patientName="John"),
        tool_call("send_otp_code", id="call_2", tenantId=talk.org_id),
    ]
    first = talk.post(*calls)
    assert talk.texts() == 1
    assert talk.post(*calls) == first
    assert talk.texts() == 1
    clock.forward(LATER)
    talk.post(*calls)
    assert talk.texts() == 2


def test_what_stands_before_it_in_its_message_makes_it_a_new_wish(talk: Talk) -> None:
    talk.reserve()
    assert talk.ask("send_otp_code").startswith("A code is on its way")
    talk.texts()
    [moved, code] = talk.post(
        tool_call("reserve_atomic", tenantId=talk.org_id, slotId=slot(hour=12), patientName="John"),
        tool_call("send_otp_code", id="call_0", tenantId=talk.org_id),
    )
    assert "holdId=" in moved["result"]
    assert code["result"].startswith("A code is on its way")
    assert talk.texts() == 2


def test_two_requests_at_once_are_one(app: Flask, sql: psycopg.Connection) -> None:
    talk = Talk(app.test_client(), sql)
    held = talk.reserve()

    def ask(name: str, **arguments: Any) -> str:
        [result] = PhoneCall.post(twin(), tool_call(name, id="call_0", tenantId=talk.org_id, **arguments))
        line: str = result["result"]
        return line

    def twin() -> PhoneCall:
        same = PhoneCall(app.test_client(), talk.org_id, talk.number)
        same.id = talk.id
        return same

    def at_once(name: str, **arguments: Any) -> str:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: ask(name, **arguments), range(4)))
        assert len(set(answers)) == 1
        return answers[0]

    at_once("send_otp_code")
    assert talk.texts() == 1
    assert "wrong_code" in at_once("verify_otp", providedOTP=wrong_of(held))
    assert talk.tries() == 1
    assert at_once("verify_otp", providedOTP=code_of(hold_in(held))).startswith("Booked")
    assert talk.texts() == 2


def test_another_time_in_between_makes_it_a_new_wish(talk: Talk, client: FlaskClient) -> None:
    first = talk.ask("reserve_atomic", slotId=slot(hour=10), patientName="John")
    talk.ask("reserve_atomic", slotId=slot(hour=11), patientName="John")
    # The first is free again, and somebody else takes it.
    assert reserve(client, talk.org_id, slotId=slot(hour=10))["success"]
    again = talk.ask("reserve_atomic", slotId=slot(hour=10), patientName="John")
    assert "slot_taken" in again
    assert again != first
