"""What the agent is told of an SMS that waits, and how many wait for its outcome."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice

import psycopg
import pytest
from flask import Flask

import settings
from models.base.session import transaction
from models.messaging import senders
from models.messaging.meanings import Failure, Meaning
from tests.factories import bare, create_clinic, reserve, slot
from tests.webapp.agents.lines import Line
from tests.webapp.agents.lines import line as line  # the fixture  # noqa: PLC0414
from webapp.agents.watching import MOST_WATCHERS

STOP = Failure("credentials", "20003", Meaning.MISCONFIGURED)


def test_a_clinics_share_of_threads_watches_texts_and_the_others_answer_at_once(
    app: Flask, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, watching = MOST_WATCHERS, MOST_WATCHERS // 2
    org, neighbour = create_clinic(), create_clinic()
    holds = [reserve(app.test_client(), org, slotId=slot(days=20 + n))["holdId"] for n in range(threads)]
    other = reserve(app.test_client(), neighbour, slotId=slot(days=20))["holdId"]
    monkeypatch.setenv("SMS_WATCH", "10")  # no worker runs: each would be watched for so long
    settings.of_process.cache_clear()
    try:
        with ThreadPoolExecutor(threads + 1) as pool:
            asked = [
                pool.submit(lambda hold: bare(app.test_client(), "booking/send-otp", holdId=hold), hold)
                for hold in holds
            ]
            at_once = list(islice(as_completed(asked, timeout=8), threads - watching))
            assert {each.result()["status"] for each in at_once} == {"queued"}
            assert sum(each.done() for each in asked) == threads - watching
            others = pool.submit(lambda: bare(app.test_client(), "booking/send-otp", holdId=other))
            with pytest.raises(TimeoutError):  # the neighbour's text is watched
                others.result(1)
            sql.execute("UPDATE sms_messages SET status = 'sending' WHERE org_id = %s", [neighbour])
            sql.execute("UPDATE sms_messages SET status = 'sent' WHERE org_id = %s", [neighbour])
            assert others.result(8)["status"] == "sent"
            for before, after in (("queued", "sending"), ("sending", "sent")):
                sql.execute(
                    "UPDATE sms_messages SET status = %s WHERE org_id = %s AND status = %s",
                    [after, org, before],
                )
            assert {each.result()["status"] for each in asked if each not in at_once} == {"sent"}
    finally:
        monkeypatch.undo()
        settings.of_process.cache_clear()


def test_a_stopped_sender_is_not_said_to_be_on_its_way(line: Line) -> None:
    with transaction(uuid.UUID(line.org)) as session:
        senders.record_stop(session, uuid.UUID(line.org), STOP)
    answer = line.send()
    assert (answer["success"], answer["code"], answer["status"]) == (False, "sms_failed", "queued")
    assert "not going out at the moment" in answer["say"]


def test_a_code_that_a_stopped_sender_keeps_back_is_not_asked_for_once_more(line: Line) -> None:
    with transaction(uuid.UUID(line.org)) as session:
        senders.record_stop(session, uuid.UUID(line.org), STOP)
    line.send()
    for said in (line.wrong(), "I have no code"):
        answer = line.verify(said)
        assert (answer["code"], answer["status"]) == ("sms_failed", "queued")
        assert answer["say"].startswith("NOT BOOKED: no code has reached the patient yet: ")
        assert "by hand" in answer["say"]


def test_an_earlier_code_that_came_is_still_asked_for_where_the_sender_stopped_since(line: Line) -> None:
    line.send()
    line.became("delivered")
    with transaction(uuid.UUID(line.org)) as session:
        senders.record_stop(session, uuid.UUID(line.org), STOP)
    line.send()
    assert line.verify(line.wrong())["code"] == "wrong_code"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("63038", "has sent all the text messages that it may send today"),
        ("30454", "has sent all the text messages that it may send today"),
        ("30032", "not going out at the moment"),
        ("20003", "not going out at the moment"),
        ("21611", "held up on its way"),
    ],
)
def test_why_a_code_waits_is_said_and_not_that_it_is_on_its_way(line: Line, error: str, words: str) -> None:
    line.send()
    line.became("queued", error, "the provider could not take it")
    answer = line.send()
    assert (answer["success"], answer["code"], answer["codeSent"]) == (False, "sms_failed", False)
    assert words in answer["say"]
    assert "by hand" in answer["say"]
    assert "on its way to" not in answer["say"]


@pytest.mark.parametrize(
    ("status", "error", "code", "words"),
    [
        ("undelivered", "30006", "cannot_receive_sms", "landline"),
        ("failed", "21610", "opted_out", "no more text messages"),
        ("failed", None, "sms_failed", "could not be sent"),
        ("expired", None, "sms_failed", "could not be sent"),
        ("queued", "20003", None, "follows later"),
        ("queued", "63038", None, "that it may send today"),
        ("queued", "21611", None, "follows later"),
        ("unknown", None, None, "may or may not"),
        ("unknown", "20003", None, "may or may not"),  # a code of the attempt before
        ("queued", None, None, "on its way"),
        ("unconfirmed", None, None, "has been sent"),
    ],
)
def test_the_truth_about_a_confirmation(
    line: Line, status: str, error: str | None, code: str | None, words: str
) -> None:
    line.send()
    booked = line.verify()["appointmentId"]
    line.became(status, error, kind="confirmation")
    answer = bare(line.client, "booking/send-confirmation", appointmentId=booked)
    assert answer.get("code") == code
    assert answer["success"] == (code is None)
    assert answer["messageSent"] == (status == "unconfirmed")
    assert words in answer["say"]
    assert code is None or answer["say"].startswith("The appointment is booked, but")
