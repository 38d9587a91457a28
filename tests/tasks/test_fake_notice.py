"""A new kind of message needs one entry: all that is done with messages works with a fake kind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from models.base.session import transaction
from models.booking import appointments
from models.insight import privacy
from models.messaging import outbox
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsKind
from tasks.app import app as celery
from tasks.delivery import prepare
from tasks.messaging import check_receipts, reconcile_sms, sweep_sms
from tests.conftest import Clock
from tests.tasks import fake_notice
from tests.tasks.bookings import Booking, PatientWorker, inbox
from tests.webapp.staff.browsers import Person, employ


@pytest.fixture
def kind(sql: psycopg.Connection) -> Iterator[SmsKind]:
    with fake_notice.known(sql) as kind:
        yield kind


@pytest.fixture
def worker(sql: psycopg.Connection, clock: Clock, twilio: str) -> PatientWorker:
    del twilio
    return PatientWorker(sql, clock)


@pytest.fixture
def booking(client: FlaskClient, sql: psycopg.Connection, twilio: str) -> Booking:
    """A booking whose code and confirmation have gone out."""
    del twilio
    booking = Booking(client, sql)
    booking.deliver(booking.otp)
    booking.deliver()
    return booking


def remind(booking: Booking, kind: SmsKind, *, within: timedelta = timedelta(hours=4)) -> str:
    """Insert a message, as a part of the product that knows this kind would, without a nudge."""
    org = uuid.UUID(booking.org)
    with transaction(org) as session:
        now: datetime = session.scalars(select(func.app_clock())).one()
        message = SmsMessage(
            id=uuid.uuid4(),
            org_id=org,
            kind=kind,
            to_phone=booking.phone,
            appointment_id=uuid.UUID(booking.appointment),
            next_attempt_at=now,
            expires_at=now + within,
            created_at=now,
        )
        session.add(message)
        return str(message.id)


def reminders(twilio: str, booking: Booking) -> list[str]:
    return [text for text in inbox(twilio, booking.phone) if text.startswith("Reminder: ")]


def signed_in(app: Flask, booking: Booking) -> Person:
    person = employ(app, booking.org)
    assert person.sign_in().status_code == 303
    return person


def test_it_is_swept_sent_kept_and_told_of_to_the_staff(
    app: Flask, booking: Booking, worker: PatientWorker, twilio: str, kind: SmsKind
) -> None:
    message = remind(booking, kind)
    worker.run(10)
    [text] = reminders(twilio, booking)
    assert booking.state("status, attempt, body", message) == ("sent", 1, text)
    assert "Reminder</th><td>sent</td>" in signed_in(app, booking).get("reports").text
    with transaction(uuid.UUID(booking.org)) as session:
        shown = privacy.export(session, uuid.UUID(booking.org), [booking.phone])["sms"]
    assert [row["body"] for row in shown if row["id"] == message] == [text]


def test_workers_of_the_release_before_leave_it_alone_and_go_on(
    booking: Booking, worker: PatientWorker, twilio: str, kind: SmsKind
) -> None:
    message, other = remind(booking, kind), booking.next()
    with fake_notice.forgotten(kind):
        worker.run(10)
        reconcile_sms.run()
        check_receipts.run()
    assert other.state() == "sent"
    assert reminders(twilio, booking) == []
    worker.run(10)
    assert booking.state("status", message) == "sent"


def test_the_staff_may_have_one_sent_again_that_the_provider_refused(
    app: Flask, booking: Booking, worker: PatientWorker, faults: Any, twilio: str, kind: SmsKind
) -> None:
    faults("refuse", code=21614)
    message = remind(booking, kind)
    worker.run(10)
    person = signed_in(app, booking)
    assert "Try again: Reminder for John" in person.get("messages").text
    assert f"{message},".encode() in person.get("messages.csv").data
    person.post(f"messages/{message}/retry")
    worker.run(10)
    assert booking.state("status, attempt", message) == ("sent", 2)
    assert len(reminders(twilio, booking)) == 1


def test_one_that_could_not_be_delivered_is_sent_anew_and_the_confirmation_stands(
    app: Flask, booking: Booking, worker: PatientWorker, twilio: str, kind: SmsKind
) -> None:
    message = remind(booking, kind)
    worker.run(10)
    booking.sql.execute(
        "UPDATE sms_messages SET status = 'undelivered', error_code = '30003', error_meaning = 'switched_off'"
        " WHERE id = %s",
        [message],
    )
    signed_in(app, booking).post(f"messages/{message}/retry")
    worker.run(10)
    assert len(reminders(twilio, booking)) == 2
    standing = "SELECT confirmation_message_id::text FROM appointments WHERE id = %s"
    assert booking.sql.execute(standing, [booking.appointment]).fetchone() == (booking.confirmation,)


def test_one_that_may_not_be_sent_again_says_so(
    app: Flask, booking: Booking, sql: psycopg.Connection
) -> None:
    why = "Somebody rings the patient"
    with fake_notice.known(sql, never_by_hand=why) as kind:
        message = remind(booking, kind)
        sql.execute("UPDATE sms_messages SET status = 'failed' WHERE id = %s", [message])
        person = signed_in(app, booking)
        page = person.get("messages").text
        assert (why in page, "Try again: Reminder" in page) == (True, False)
        person.post(f"messages/{message}/retry")
        assert booking.state(message=message) == "failed"
        assert why in person.get("messages").text


def test_one_whose_answer_was_lost_is_asked_about_and_sent_again(
    booking: Booking, worker: PatientWorker, faults: Any, twilio: str, clock: Clock, kind: SmsKind
) -> None:
    faults("500")
    message = remind(booking, kind)
    worker.run(10)
    assert booking.state(message=message) == "unknown"
    clock.forward(91)
    reconcile_sms.run()
    worker.run(10)
    assert booking.state("status, attempt", message) == ("sent", 2)
    assert len(reminders(twilio, booking)) == 1


def test_it_expires_when_it_says(
    booking: Booking, worker: PatientWorker, twilio: str, clock: Clock, kind: SmsKind
) -> None:
    message = remind(booking, kind, within=timedelta(minutes=10))
    clock.forward(601)
    worker.run(10)
    assert booking.state("status, cause", message) == ("expired", "it could not be sent in time")
    assert reminders(twilio, booking) == []


def test_the_provider_holds_on_to_it_for_as_long_as_its_entry_says(booking: Booking, kind: SmsKind) -> None:
    org, message_id = uuid.UUID(booking.org), uuid.UUID(remind(booking, kind))
    with transaction(org) as session:
        message = outbox.claim_for_sending(session, org, message_id)
        assert message
        outgoing = prepare(session, message)
    assert outgoing
    assert outgoing.text.valid_for == 3600


def test_what_is_no_longer_so_is_not_sent_and_is_nobodys_trouble(
    app: Flask, booking: Booking, worker: PatientWorker, twilio: str, kind: SmsKind
) -> None:
    message = remind(booking, kind)
    org = uuid.UUID(booking.org)
    with transaction(org) as session:
        appointments.cancel(session, org_id=org, appointment_id=uuid.UUID(booking.appointment))
    worker.run(10)
    assert booking.state("status, cause", message) == ("expired", "a later message says something else")
    assert reminders(twilio, booking) == []
    assert "Reminder" not in signed_in(app, booking).get("messages").text


@pytest.mark.parametrize("sent", [True, False])
def test_nothing_of_it_is_left_when_the_patient_is_erased(
    booking: Booking, worker: PatientWorker, twilio: str, kind: SmsKind, *, sent: bool
) -> None:
    message = remind(booking, kind)
    if sent:
        worker.run(10)
    org = uuid.UUID(booking.org)
    with transaction(org) as session:
        privacy.erase(session, org, [booking.phone], cancel=True)
    worker.run(10)
    assert booking.state("body, to_phone LIKE 'erased:%%', cause", message) == (
        None,
        True,
        "the patient was erased",
    )
    assert len(reminders(twilio, booking)) == sent


def test_an_urgent_one_that_keeps_no_text_goes_the_way_of_a_code(
    booking: Booking, sql: psycopg.Connection, worker: PatientWorker, twilio: str
) -> None:
    del worker  # it has emptied the queues, and stopped the clock
    with fake_notice.known(sql, urgent=True, keeps_text=False) as kind:
        message = remind(booking, kind)
        booking.sql.execute(
            "UPDATE sms_messages SET next_attempt_at = app_clock() - interval '1 minute' WHERE id = %s",
            [message],
        )
        sweep_sms.run()
        with celery.connection_for_read() as connection:
            channel: Any = connection.default_channel
            task = channel.basic_get("otp", no_ack=True)
        assert task.payload[1]["message_id"] == message
        booking.deliver(message)
        assert booking.state("status, body", message) == ("sent", None)
        assert len(reminders(twilio, booking)) == 1
