"""deliver and sweep with the sandbox Twilio over real HTTP: an SMS is sent once, or tried again."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from flask.testing import FlaskClient

from models.base.session import Door, system_transaction, transaction
from models.messaging import outbox, timing
from tasks import providers
from tasks.delivery import prepare
from tasks.messaging import RETRIES, RETRY_LONGEST, RETRY_ON, deliver_sms, reconcile_sms, sweep_sms
from tests.conftest import Clock
from tests.factories import bare, phone_number, reserve, slot
from tests.tasks.bookings import Booking, PatientWorker, inbox
from tests.tasks.sendings import wait_of


def test_a_queued_message_is_sent_once_however_often_it_is_nudged(booking: Booking, twilio: str) -> None:
    for _ in range(3):
        booking.deliver()
    assert booking.state("status, attempt, provider_id LIKE 'SM%%', segments") == ("sent", 1, True, 1)
    assert len(inbox(twilio, booking.phone)) == 1
    row = booking.sql.execute(
        "SELECT confirmation_sms_sent, confirmation_sms_id, confirmation_sms_sent_at IS NOT NULL"
        " FROM appointments WHERE id = %s",
        [booking.appointment],
    ).fetchone()
    assert row == (True, booking.state("provider_id"), True)


def test_the_code_is_in_the_sms_and_nowhere_in_the_row(booking: Booking, twilio: str) -> None:
    booking.deliver(booking.otp)
    [text] = inbox(twilio, booking.phone)
    assert booking.code in text
    row = booking.sql.execute("SELECT m::text FROM sms_messages m WHERE id = %s", [booking.otp]).fetchone()
    assert row
    assert text not in row[0]


@pytest.mark.parametrize(
    ("kind", "left", "seconds"),
    [("otp", 900, 300), ("otp", 5, 5), ("confirmation", 9 * 3600, 4 * 3600), ("confirmation", 120, 120)],
)
def test_the_provider_holds_on_to_it_no_longer_than_it_is_of_use(
    booking: Booking, kind: str, left: int, seconds: int
) -> None:
    org, message_id = uuid.UUID(booking.org), uuid.UUID(getattr(booking, kind))
    booking.sql.execute(
        "UPDATE sms_messages SET expires_at = app_clock() + make_interval(secs => %s + 0.9) WHERE id = %s",
        [left, message_id],
    )
    with transaction(org) as session:
        message = outbox.claim_for_sending(session, org, message_id)
        assert message
        outgoing = prepare(session, message)
    assert outgoing
    assert outgoing.text.valid_for == seconds


def test_too_many_requests_means_not_sent(booking: Booking, faults: Any, twilio: str) -> None:
    faults("429")
    with pytest.raises(providers.Unavailable):
        booking.deliver()
    assert booking.state() == "queued"
    booking.sql.execute(
        "UPDATE sms_messages SET next_attempt_at = now() WHERE id = %s", [booking.confirmation]
    )
    booking.deliver()
    assert booking.state() == "sent"
    assert len(inbox(twilio, booking.phone)) == 1


@pytest.mark.parametrize("fault", ["500-after-accept", "drop-after-accept"])
def test_a_lost_answer_is_looked_up_and_not_sent_again(
    booking: Booking, faults: Any, twilio: str, clock: Clock, fault: str
) -> None:
    faults(fault)
    booking.deliver()
    assert booking.state() == "unknown"
    booking.deliver()
    reconcile_sms.run()
    assert booking.state() == "unknown"  # too early to ask
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, provider_id LIKE 'SM%%'") == ("sent", True)
    assert len(inbox(twilio, booking.phone)) == 1


@pytest.mark.parametrize("fault", ["500", "drop-before"])
def test_what_the_provider_never_had_is_sent_again(
    booking: Booking, faults: Any, twilio: str, clock: Clock, fault: str
) -> None:
    faults(fault)
    booking.deliver()
    assert booking.state() == "unknown"
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state() == "queued"
    booking.deliver()
    assert booking.state("status, attempt") == ("sent", 2)
    assert len(inbox(twilio, booking.phone)) == 1


def test_a_code_whose_fate_is_unknown_is_never_sent_again_by_itself(
    booking: Booking, faults: Any, clock: Clock
) -> None:
    faults("500")
    booking.deliver(booking.otp)
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, cause", booking.otp) == ("expired", "the provider does not have it")


def test_a_number_that_twilio_refuses_is_final(
    client: FlaskClient, sql: psycopg.Connection, twilio: str
) -> None:
    del twilio
    booking = Booking(client, sql, "+15005550001")
    booking.deliver()
    assert booking.state("status, error_code") == ("failed", "21211")
    booking.deliver()
    assert booking.state("attempt") == 1


def test_a_clinic_without_an_account_has_a_message_that_says_so(booking: Booking) -> None:
    booking.sql.execute(
        "UPDATE integration_settings SET twilio_auth_token_sealed = NULL WHERE org_id = %s", [booking.org]
    )
    booking.deliver()
    assert booking.state("status, error_reason") == (
        "queued",
        "the clinic has no auth token and no API key for Twilio set",
    )


def test_a_code_that_is_too_old_expires_instead_of_arriving_late(
    booking: Booking, clock: Clock, twilio: str
) -> None:
    clock.forward(601)
    booking.deliver(booking.otp)
    assert booking.state(message=booking.otp) == "expired"
    assert inbox(twilio, booking.phone) == []


def test_a_claim_whose_worker_died_becomes_unknown(booking: Booking, clock: Clock, database_url: str) -> None:
    with psycopg.connect(database_url, options="-c app.scope=system") as dying:
        dying.execute(
            "UPDATE sms_messages SET status = 'sending', attempt = 1,"
            " lease_until = app_clock() + %s WHERE id = %s",
            [timing.ALIVE, booking.confirmation],
        )
    sweep_sms.run()
    assert booking.state() == "sending"
    clock.forward(31)
    sweep_sms.run()
    assert booking.state() == "unknown"
    booking.sql.execute(
        "UPDATE sms_messages SET body = 'as it was sent' WHERE id = %s", [booking.confirmation]
    )
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state() == "queued"  # Twilio has no such message


def test_the_sweep_nudges_what_no_nudge_reached_and_not_too_often(booking: Booking, clock: Clock) -> None:
    def due() -> list[str]:
        with system_transaction(Door.OPERATOR) as session:
            return [str(row.message_id) for row in outbox.sweep(session) if str(row.org_id) == booking.org]

    assert due() == []  # its first nudge is still recent
    clock.forward(3)
    assert set(due()) == {booking.otp, booking.confirmation}
    assert due() == []
    clock.forward(31)
    assert set(due()) == {booking.otp, booking.confirmation}


def test_retries_are_few_and_short() -> None:
    assert (deliver_sms.max_retries, RETRIES) == (3, 3)
    assert RETRY_LONGEST <= 10
    assert providers.Unavailable in RETRY_ON
    assert not any(issubclass(providers.OutcomeUnknown, kind) for kind in RETRY_ON)


def fail(booking: Booking, faults: Any, message: str | None = None, **fault: Any) -> None:
    """Make an attempt that was certainly not sent, later than the first ones, which Celery repeats."""
    faults(**({"kind": "429"} | fault))
    booking.sql.execute(
        "UPDATE sms_messages SET attempt = greatest(attempt, 3) WHERE id = %s",
        [message or booking.confirmation],
    )
    booking.sql.execute("UPDATE integration_settings SET sms_per_second = 0 WHERE org_id = %s", [booking.org])
    booking.due_now(message)
    booking.deliver(message)
    assert booking.state(message=message) == "queued"


def test_no_wait_is_longer_than_a_minute_and_none_of_a_code_longer_than_seconds(
    booking: Booking, faults: Any, clock: Clock
) -> None:
    clock.stop()
    waits, of_code = [], []
    for _ in range(6):
        fail(booking, faults)
        waits.append(wait_of(booking))
        fail(booking, faults, booking.otp)
        of_code.append(wait_of(booking, booking.otp))
    assert 40 < max(waits) <= 60
    assert 3 < max(of_code) <= 5
    assert len({round(each, 1) for each in of_code}) > 1  # the waits differ, so not all come back together


def test_what_twilio_takes_brings_forward_what_it_could_not_take(
    client: FlaskClient, booking: Booking, faults: Any, clock: Clock, twilio: str
) -> None:
    clock.stop()
    full = booking.next()
    well, stranger = full.next(), Booking(client, booking.sql)
    for each in (booking, stranger):
        for _ in range(3):
            fail(each, faults)
        assert wait_of(each) > 40
    fail(full, faults, kind="refuse", code=21611)
    well.deliver()
    assert well.state() == "sent"
    assert wait_of(booking) <= 0
    assert wait_of(stranger) > 40
    assert wait_of(full) > 60  # Twilio asks for minutes
    PatientWorker(booking.sql, clock).run(10)
    assert booking.state() == "sent"
    assert len(inbox(twilio, booking.phone)) >= 1


def test_a_code_that_could_not_be_sent_and_is_asked_for_again_is_tried_at_once(
    booking: Booking, client: FlaskClient, faults: Any, clock: Clock, twilio: str
) -> None:
    clock.stop()
    phone = phone_number()
    hold = reserve(client, booking.org, slotId=slot(days=30), patientPhone=phone)["holdId"]
    bare(client, "booking/send-otp", holdId=hold)
    [row] = booking.sql.execute("SELECT id::text FROM sms_messages WHERE hold_id = %s", [hold]).fetchall()
    fail(booking, faults, row[0])
    assert wait_of(booking, row[0]) > 3
    bare(client, "booking/send-otp", holdId=hold)
    booking.deliver(row[0])
    assert len(inbox(twilio, phone)) == 1


@pytest.mark.parametrize(
    ("left", "valid_for"), [(0.4, 1), (1.9, 1), (5.9, 5), (4 * 3600 - 1, 4 * 3600 - 1), (9 * 3600, 4 * 3600)]
)
def test_the_provider_holds_on_to_a_message_no_longer_than_it_is_of_use(
    booking: Booking, clock: Clock, left: float, valid_for: int
) -> None:
    """In whole seconds, at least one, because the provider refuses zero."""
    clock.stop()
    booking.sql.execute(
        "UPDATE sms_messages SET expires_at = app_clock() + make_interval(secs => %s) WHERE id = %s",
        [left, booking.confirmation],
    )
    org = uuid.UUID(booking.org)
    with transaction(org) as session:
        claimed = outbox.claim_for_sending(session, org, uuid.UUID(booking.confirmation))
        assert claimed
        outgoing = prepare(session, claimed)
    assert outgoing
    assert outgoing.text.valid_for == valid_for


def test_a_worker_that_froze_after_its_claim_sends_nothing(
    booking: Booking, monkeypatch: pytest.MonkeyPatch, twilio: str
) -> None:
    monkeypatch.setattr("tasks.messaging.STALE", -1.0)
    booking.deliver()
    assert booking.state() == "sending"
    assert inbox(twilio, booking.phone) == []


def test_a_task_that_ran_out_of_time_in_a_request_has_an_unknown_outcome(
    booking: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drips(*_: object) -> None:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr("tasks.providers.twilio.TwilioSms.send", drips)
    booking.deliver()
    assert booking.state("status, cause") == ("unknown", "its answer was lost")
    assert booking.sender("failures") == (1,)
