"""What the agent is told of an SMS that does not arrive, while the patient is on the line."""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
import redis
from flask.testing import FlaskClient

from celeryconfig import Queue
from models.base.session import transaction
from models.messaging import opt_outs
from tests.conftest import Clock
from tests.factories import bare, code_of, create_clinic, phone_number, reserve, slot
from tests.stack import eventually
from tests.surroundings import environment
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.agents.lines import Line
from tests.webapp.agents.lines import line as line  # the fixture  # noqa: PLC0414

TROUBLES = [
    ("undelivered", "30006", "cannot_receive_sms", "landline"),
    ("failed", "21614", "cannot_receive_sms", "cannot receive text messages"),
    ("failed", "21408", "cannot_receive_sms", "cannot be sent to that number"),
    ("failed", "21211", "cannot_receive_sms", "does not seem to exist"),
    ("failed", "21610", "opted_out", "START"),
    ("undelivered", "30004", "opted_out", "START"),
    ("undelivered", "30003", "sms_failed", "switched off"),
    ("failed", "29999", "sms_failed", "send it again"),
    ("failed", None, "sms_failed", "send it again"),
    ("failed", "30002", "sms_failed", "book this by hand"),
    ("undelivered", "30032", "sms_failed", "book this by hand"),
    ("undelivered", "63038", "sms_failed", "that it may send today"),
    ("undelivered", "30040", "cannot_receive_sms", "cannot be sent to that number"),
    ("undelivered", "30038", "cannot_receive_sms", "special one"),
    ("failed", "21266", "cannot_receive_sms", "the clinic's own"),
    ("undelivered", "30023", "sms_failed", "takes no more text messages"),
]


@pytest.mark.parametrize(("status", "error", "code", "words"), TROUBLES)
def test_verify_says_that_the_code_never_came_where_it_cannot_have_come(
    line: Line, status: str, error: str | None, code: str, words: str
) -> None:
    line.send()
    line.became(status, error)
    for said in (line.wrong(), "I have no code"):
        answer = line.verify(said)
        assert (answer["success"], answer["code"]) == (False, code)
        assert answer["say"].startswith("NOT BOOKED: the text message with the code was not delivered")
        assert words in answer["say"]


@pytest.mark.parametrize(("status", "error", "code", "words"), TROUBLES)
def test_send_says_why_the_last_try_failed(
    line: Line, status: str, error: str | None, code: str, words: str
) -> None:
    """Told of in the same answer, while the tool watches its row: a worker takes it up by its nudge."""
    line.send()
    with environment(SMS_WATCH="10"), a_worker(line, lambda: line.became(status, error)):
        answer = line.send()
    assert (answer["success"], answer["code"], answer["codeSent"]) == (False, code, False)
    assert answer["say"].startswith("NOT BOOKED: no code reaches the number ending in")
    assert words in answer["say"]


@contextmanager
def a_worker(line: Line, work: Callable[[], None]) -> Iterator[None]:
    """Does its work once another nudge for this line is in the queue of codes, in the tests' own Redis."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as broker:

        def nudges() -> int:
            bodies = (json.loads(each)["body"] for each in broker.lrange(Queue.OTP.value, 0, -1))
            return sum(line.org in base64.b64decode(body).decode() for body in bodies)

        before = nudges()

        def wait_and_work() -> None:
            if eventually(lambda: nudges() > before):
                work()

        with ThreadPoolExecutor(1) as worker:
            done = worker.submit(wait_and_work)
            yield
            done.result()


FOR_GOOD = ["21211", "21214", "21217", "21265", "21408", "21608", "21610", "21614", "21635"]
FOR_GOOD += ["30004", "30005", "30006"]


@pytest.mark.parametrize("error", FOR_GOOD)
def test_no_second_code_is_said_to_be_sent_where_the_first_could_not_arrive(line: Line, error: str) -> None:
    line.send()
    line.became("undelivered" if error.startswith("30") else "failed", error)
    for _ in range(2):
        answer = line.send()
        assert (answer["success"], answer["codeSent"]) == (False, False)
        assert answer["code"] in ("cannot_receive_sms", "opted_out")
        assert "another mobile number" in answer["say"]  # a way out
        assert "reserve" in answer["say"]
    assert line.count() == 1


@pytest.mark.parametrize("status", ["undelivered", "failed"])
def test_a_number_that_is_known_to_be_a_landline_is_not_texted_by_the_next_call_either(
    line: Line, client: FlaskClient, clock: Clock, status: str
) -> None:
    line.send()
    line.became(status, "30006")
    clock.forward(29 * 24 * 3600)
    again = reserve(client, line.org, patientPhone=line.phone, slotId=slot(days=60))
    assert again["success"]
    answer = bare(client, "booking/send-otp", holdId=again["holdId"])
    assert answer["code"] == "cannot_receive_sms"
    assert "landline" in answer["say"]
    assert "by hand" in answer["say"]
    assert line.count() == 1
    # Another number works, and so does that one elsewhere.
    for org, number in ((line.org, phone_number()), (create_clinic(), line.phone)):
        other = reserve(client, org, patientPhone=number, slotId=slot(days=61))
        assert bare(client, "booking/send-otp", holdId=other["holdId"])["success"]


def test_what_was_once_a_landline_is_tried_again_in_the_end(
    line: Line, client: FlaskClient, clock: Clock
) -> None:
    line.send()
    line.became("undelivered", "30006")
    clock.forward(31 * 24 * 3600)
    again = reserve(client, line.org, patientPhone=line.phone, slotId=slot(days=60))
    assert bare(client, "booking/send-otp", holdId=again["holdId"])["success"]


def test_a_number_that_has_received_a_text_since_is_no_landline(
    line: Line, client: FlaskClient, sql: psycopg.Connection
) -> None:
    line.send()
    line.became("undelivered", "30006")
    sql.execute(
        "INSERT INTO sms_messages (id, org_id, kind, to_phone, hold_id, status, cause, next_attempt_at,"
        " expires_at, created_at) SELECT gen_random_uuid(), org_id, 'otp', patient_phone, id, 'queued',"
        " 'created', app_clock(), expires_at, app_clock() FROM appointment_holds WHERE id = %s",
        [line.hold],
    )
    for status in ("sending", "sent", "delivered"):
        sql.execute(
            "UPDATE sms_messages SET status = %s WHERE hold_id = %s AND status <> 'undelivered'",
            [status, line.hold],
        )
    assert line.send()["success"]


def test_what_the_clinic_can_mend_binds_only_the_hold_it_happened_to(line: Line, client: FlaskClient) -> None:
    """Twilio may be allowed to send to that country by now."""
    line.send()
    line.became("failed", "21408")
    again = reserve(client, line.org, patientPhone=line.phone, slotId=slot(hour=11))
    assert bare(client, "booking/send-otp", holdId=again["holdId"])["success"]


def test_whoever_wants_texts_again_is_sent_a_code(line: Line) -> None:
    line.send()
    line.became("undelivered", "30004")
    line.opt_out()
    assert line.send()["code"] == "opted_out"
    with transaction(uuid.UUID(line.org)) as session:
        assert opt_outs.lift(session, uuid.UUID(line.org), line.phone)
    assert line.send()["success"]


@pytest.mark.parametrize(("error", "why"), [("30003", "switched off"), ("30008", "mobile network")])
def test_a_code_that_may_arrive_the_second_time_is_sent_and_the_first_is_not_concealed(
    line: Line, error: str, why: str
) -> None:
    line.send()
    line.became("undelivered", error)
    said = line.send()["say"]
    assert said.startswith("The last code did not arrive: ")
    assert why in said
    assert "another mobile number" in said
    assert line.count() == 2


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("codes_per_hold", "another mobile number"),
        ("codes_per_call", "newest text message"),
        ("codes_per_phone_a_day", "another mobile number"),
        ("wrong_codes_per_phone_a_day", "another mobile number"),
        ("codes_a_day", "by hand"),
    ],
)
def test_the_agent_is_told_what_to_do_where_no_more_codes_are_sent(
    client: FlaskClient, sql: psycopg.Connection, limit: str, words: str
) -> None:
    limits: dict[str, Any] = {limit: 1}
    call = PhoneCall(client, create_clinic(**limits), phone_number())
    held = call.say("reserve_atomic", slotId=slot(), patientName="John")
    call.say("send_otp_code")
    code = code_of(held.split("holdId=")[1].split()[0])
    call.say("verify_otp", providedOTP=f"{(int(code) + 1) % 10_000:04}")
    for before, after in (("queued", "sending"), ("sending", "sent")):
        sql.execute(
            "UPDATE sms_messages SET status = %s WHERE call_sid = %s AND status = %s",
            [after, call.id, before],
        )
    said = call.say("send_otp_code")
    assert "too_many_codes" in said
    assert words in said


def test_the_right_code_is_still_accepted_after_a_failure(line: Line) -> None:
    """Someone may have got it all the same: networks report failures that were none."""
    line.send()
    line.became("undelivered", "30008")
    assert line.verify()["success"]


def test_a_code_that_may_have_come_is_refused_as_ever(line: Line) -> None:
    line.send()
    for status in ("queued", "sending", "sent", "delivered", "unknown", "unconfirmed"):
        line.became(status)
        answer = line.verify("what")
        assert answer["code"] == "code_unreadable", status
    assert line.verify(line.wrong())["code"] == "wrong_code"


def test_only_the_newest_code_counts(line: Line) -> None:
    line.send()
    line.became("undelivered", "30003")
    line.send()
    assert line.verify(line.wrong())["code"] == "wrong_code"


def test_a_hold_that_is_over_tells_nothing_of_its_sms(line: Line, clock: Clock) -> None:
    line.send()
    line.became("failed", "30006")
    clock.forward(601)
    assert line.verify(line.wrong())["code"] == "wrong_code"
    assert line.verify("what")["code"] == "code_unreadable"


def test_another_clinics_hold_tells_nothing(line: Line, client: FlaskClient) -> None:
    line.send()
    line.became("failed", "30006")
    answer = bare(
        client, "booking/verify-otp", tenantId=create_clinic(), holdId=line.hold, providedOTP=line.wrong()
    )
    assert answer["code"] == "wrong_code"


def test_whoever_wants_no_sms_is_told_at_once_and_no_code_is_spent(line: Line) -> None:
    line.opt_out()
    answer = line.send()
    assert (answer["success"], answer["code"], answer["codeSent"]) == (False, "opted_out", False)
    assert "START" in answer["say"]
    assert line.count() == 0
    with transaction(uuid.UUID(line.org)) as session:
        opt_outs.lift(session, uuid.UUID(line.org), line.phone)
    assert line.send()["success"]


def test_a_hold_that_is_over_is_said_to_be_over_whoever_opted_out(line: Line, clock: Clock) -> None:
    line.opt_out()
    clock.forward(601)
    assert line.send()["code"] == "hold_expired"


def test_a_code_that_may_or_may_not_come_can_be_asked_for_again(line: Line) -> None:
    line.send()
    lost = partial(line.became, "unknown", cause="its answer was lost")
    with environment(SMS_WATCH="10"), a_worker(line, lost):
        answer = line.send()
    assert (answer["success"], answer["codeSent"], answer["status"]) == (True, False, "unknown")
    assert "may or may not arrive" in answer["say"]
    assert line.count() == 1
    line.send()
    assert line.count() == 2
