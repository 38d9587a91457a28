"""Which messages wait for others: accounts, processes and the pace of a clinic."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from models.base.session import Door, system_transaction
from models.messaging import messages, outbox, outcomes
from tests.conftest import Clock
from tests.tasks.bookings import Booking, PatientWorker, inbox
from tests.tasks.sendings import sendings


def test_an_account_that_does_not_answer_pauses_and_holds_up_no_other(
    client: FlaskClient, sql: psycopg.Connection, faults: Any
) -> None:
    silent, other = Booking(client, sql), Booking(client, sql)
    second = silent.next()
    faults("drop-before", times=3)
    silent.deliver(silent.otp)
    silent.deliver()
    second.deliver()
    assert silent.sender("failures, retry_at > app_clock()") == (3, True)
    second.deliver(second.otp)
    assert second.state("status, attempt", second.otp) == ("queued", 0)
    other.deliver()
    assert other.state() == "sent"


def at_once(*bookings: Booking) -> None:
    """Deliver all at once, each by a worker of its own."""
    threads = [threading.Thread(target=each.deliver) for each in bookings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_clinic_whose_answers_are_slow_leaves_a_process_to_the_others(
    client: FlaskClient, sql: psycopg.Connection, faults: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.messaging.SLOW", 1.0)
    slow, other = [Booking(client, sql)], Booking(client, sql)
    for _ in range(5):
        slow.append(slow[-1].next())
    for each in slow:
        faults("slow", seconds=1.5, to=each.phone)
    at_once(*slow, other)
    states = [each.state() for each in slow]
    assert (states.count("sent"), states.count("queued"), other.state()) == (2, 4, "sent")
    assert slow[0].sender("slow") == (True,)
    clock.forward(2)
    waiting = [each for each in slow if each.state() == "queued"]
    at_once(*waiting)
    assert [each.state() for each in waiting].count("sent") == 1  # the provider is now known to be slow
    waiting = [each for each in slow if each.state() == "queued"]
    PatientWorker(sql, clock).run(10, *waiting)
    assert {each.state() for each in slow} == {"sent"}
    slow[0].deliver(slow[0].otp)  # this one is answered at once
    assert slow[0].sender("slow") == (False,)


def test_a_message_waits_for_its_clinics_others_without_a_process_and_not_for_a_dead_worker(
    booking: Booking, clock: Clock
) -> None:
    others = [booking.next()]
    others.append(others[0].next())
    org = uuid.UUID(booking.org)
    worker = PatientWorker(booking.sql, clock)
    claimed = []
    for each in others:
        with system_transaction(Door.OPERATOR) as session:
            claimed.append(outbox.claim_for_sending(session, org, uuid.UUID(each.confirmation)))
    worker.run(1, booking)
    for _ in range(15):
        for message in filter(None, claimed):
            with system_transaction(Door.OPERATOR) as session:
                outbox.keep_alive(session, message)
        worker.run(1)  # the message looks repeatedly, and holds no process meanwhile
        assert booking.state("status, attempt") == ("queued", 0)
    worker.run(2.5)  # neither attempt shows a sign of life any more
    assert booking.state() == "sent"
    assert [each.state() for each in others] == ["sending", "sending"]
    worker.run(34)
    assert [each.state() for each in others] == ["unknown", "unknown"]


def test_a_receipt_that_comes_before_a_slow_answer_does_not_free_its_process(
    booking: Booking, clock: Clock
) -> None:
    clock.stop()
    waiting = booking.next()
    sent_first = waiting.next()
    org = uuid.UUID(booking.org)
    for each in (booking, sent_first):
        with system_transaction(Door.OPERATOR) as session:
            assert outbox.claim_for_sending(session, org, uuid.UUID(each.confirmation))
        booking.sql.execute(
            "UPDATE sms_messages SET provider_id = 'SM' || replace(id::text, '-', '') WHERE id = %s",
            [each.confirmation],
        )
        each.receipt("delivered")
    waiting.deliver()
    assert waiting.state("status, attempt") == ("queued", 0)
    clock.forward(31)
    waiting.deliver()
    assert waiting.state() == "sent"


def test_a_code_waits_for_a_code_and_not_for_confirmations(booking: Booking, clock: Clock) -> None:
    clock.stop()
    others = [booking.next()]
    others.append(others[0].next())
    org = uuid.UUID(booking.org)

    def claim(message: str) -> messages.SmsMessage | None:
        with system_transaction(Door.OPERATOR) as session:
            return outbox.claim_for_sending(session, org, uuid.UUID(message))

    assert all(claim(each.confirmation) for each in others)
    code = claim(booking.otp)
    assert code
    assert claim(others[0].otp) is None
    with system_transaction(Door.OPERATOR) as session:
        outcomes.record_end(session, code, slow=False)
    clock.forward(0.3)
    assert claim(others[0].otp)


@pytest.fixture
def sixty(client: FlaskClient, sql: psycopg.Connection, twilio: str) -> list[Booking]:
    """Sixty bookings of one clinic that sends five SMS a second."""
    del twilio
    bookings = [Booking(client, sql)]
    bookings += [Booking(client, sql, org=bookings[0].org, days=15 + n) for n in range(59)]
    org = bookings[0].org
    sql.execute("UPDATE sms_messages SET status = 'expired' WHERE org_id = %s AND kind = 'otp'", [org])
    sql.execute("UPDATE integration_settings SET sms_per_second = 5 WHERE org_id = %s", [org])
    return bookings


def most_in_a_second(moments: list[float]) -> int:
    return max(sum(first <= each < first + 1 for each in moments) for first in moments)


def test_a_clinics_pace_is_kept_in_every_second(sixty: list[Booking], clock: Clock) -> None:
    PatientWorker(sixty[0].sql, clock).run(20, *sixty)
    assert {each.state() for each in sixty} == {"sent"}
    moments = sendings(sixty[0])
    assert len(moments) == 60
    assert most_in_a_second(moments) <= 8  # five, plus early ones and a pause
    assert moments[-1] - moments[0] < 60 / 5 + 3  # hardly any time is wasted


def test_moments_that_were_missed_are_not_all_made_up_for_at_once(sixty: list[Booking], clock: Clock) -> None:
    worker = PatientWorker(sixty[0].sql, clock)
    worker.run(1, *sixty)
    worker.forget()
    clock.forward(22)
    before = len(sendings(sixty[0]))
    worker.run(25)
    assert {each.state() for each in sixty} == {"sent"}
    moments = sendings(sixty[0])[before:]
    assert most_in_a_second(moments) <= 8
    assert moments[-1] - moments[0] < len(moments) / 5 + 3


def test_a_broken_off_request_is_not_held_against_a_database_that_comes_back(
    booking: Booking, monkeypatch: pytest.MonkeyPatch, twilio: str
) -> None:
    real, calls = outcomes.record_sent, []

    def away_at_first(*args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OperationalError("UPDATE", {}, psycopg.OperationalError("gone"))
        real(*args, **kwargs)

    monkeypatch.setattr("tasks.messaging.outcomes.record_sent", away_at_first)
    booking.deliver()
    assert booking.state() == "sent"
    assert len(inbox(twilio, booking.phone)) == 1
