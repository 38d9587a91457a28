"""The effect of each of Twilio's codes on a message, and on the sender of its clinic."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import Door, system_transaction
from models.messaging import outbox, outcomes
from tasks.messaging import reconcile_sms
from tests.conftest import Clock
from tests.tasks.bookings import Booking, inbox
from tests.tasks.sendings import alerts, wait_of


def test_a_number_that_has_opted_out_at_twilio_is_remembered(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, faults: Any
) -> None:
    booking = Booking(client, sql)
    faults("refuse", code=21610)
    booking.deliver(booking.otp)
    assert booking.state("status, cause, error_code", booking.otp) == (
        "failed",
        "the patient has opted out",
        "21610",
    )
    assert booking.opted_out() == "provider"
    booking.deliver()
    assert booking.state("status, cause") == ("failed", "the patient has opted out")
    assert booking.state("attempt") == 0  # Twilio was not asked a second time
    assert inbox(twilio, booking.phone) == []


def test_a_broken_sender_is_one_alert_and_no_failed_message(
    booking: Booking, clock: Clock, twilio: str, caplog: pytest.LogCaptureFixture
) -> None:
    booking.from_number("+15005550007")
    booking.deliver()
    booking.deliver(booking.otp)  # waits without asking Twilio
    assert booking.state("status, attempt, error_code") == ("queued", 1, "21606")
    assert booking.state("status, attempt", booking.otp) == ("queued", 0)
    assert booking.sender("stopped_code, stopped_at IS NOT NULL") == ("21606", True)
    clock.forward(601)
    booking.due_now()
    booking.deliver()  # this message tries the sender again
    booking.deliver(booking.otp)
    assert booking.state("attempt") == 2
    assert booking.state("status, attempt", booking.otp) == ("expired", 0)
    why = "by the provider's error 21606: the number that the clinic sends from cannot send SMS"
    assert alerts(caplog) == [f"the sender of organisation {booking.org} is stopped {why}"]
    assert inbox(twilio, booking.phone) == []


def test_one_message_tries_a_stopped_sender_and_its_success_brings_the_others_forward(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock
) -> None:
    booking = Booking(client, sql)
    booking.from_number("+15005550007")
    booking.deliver()
    booking.from_number("+447700900001")
    first = booking.next()
    second = first.next()
    for other in (first, second):
        other.deliver()  # put back until the next try
    clock.forward(601)
    first.deliver()
    assert first.state() == "sent"
    assert booking.sender("stopped_at, retry_at") == (None, None)
    clock.forward(1)
    for other in (second, booking):
        other.deliver()
        assert other.state() == "sent"


@pytest.mark.parametrize("code", [21606, 20003])
def test_receipts_of_what_went_before_a_stop_do_not_start_the_sender_again(
    booking: Booking, faults: Any, clock: Clock, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    clock.stop()
    before = [booking, booking.next()]
    refused = before[-1].next()
    for each in before:
        each.deliver()
        assert each.state() == "sent"
    faults("refuse", code=code)
    refused.deliver()
    for each in before:
        each.receipt("delivered")
        assert each.state() == "delivered"
        assert booking.sender("stopped_code, retry_at > app_clock()") == (str(code), True)
        refused.deliver()
    assert refused.state("status, attempt, next_attempt_at > app_clock()") == ("queued", 1, True)
    assert len([record for record in caplog.records if "is stopped" in record.getMessage()]) == 1
    clock.forward(601)
    refused.deliver()  # this message tries the sender again
    assert refused.state() == "sent"
    assert booking.sender("stopped_at, retry_at") == (None, None)


def test_a_slow_yes_to_what_was_claimed_before_a_stop_does_not_undo_it(booking: Booking, faults: Any) -> None:
    with system_transaction(Door.OPERATOR) as session:
        early = outbox.claim_for_sending(session, uuid.UUID(booking.org), uuid.UUID(booking.confirmation))
    assert early
    refused = booking.next()
    faults("refuse", code=21606)
    refused.deliver()
    with system_transaction(Door.OPERATOR) as session:
        outcomes.record_sent(session, early, provider_id="SM" + "8" * 32, segments=1)
    assert booking.state() == "sent"
    assert booking.sender("stopped_code") == ("21606",)


def test_neither_a_receipt_nor_a_message_that_was_found_ends_a_silence(
    booking: Booking, faults: Any, clock: Clock
) -> None:
    found = booking.next()
    booking.deliver()
    faults("drop-after-accept")
    found.deliver()
    faults("drop-before", times=2)
    for message in (booking.otp, found.otp):
        found.deliver(message)
    until = booking.sender("retry_at")
    assert until != (None,)
    booking.receipt("delivered")
    clock.forward(91)
    reconcile_sms.run()
    assert (booking.state(), found.state()) == ("delivered", "sent")
    assert booking.sender("failures, retry_at") == (3, *until)


def test_while_one_message_tries_a_stopped_sender_the_others_wait(booking: Booking, clock: Clock) -> None:
    booking.from_number("+15005550007")
    booking.deliver()
    other = booking.next()
    other.deliver()
    clock.forward(601)
    booking.deliver()
    assert booking.state("attempt") == 2
    other.due_now()
    other.deliver()
    assert other.state("status, attempt") == ("queued", 0)


def test_an_unknown_code_is_final_and_somebody_hears_of_it_once(
    booking: Booking, faults: Any, caplog: pytest.LogCaptureFixture
) -> None:
    other = booking.next()
    faults("refuse", code=29999, times=2)
    booking.deliver()
    other.deliver()
    assert other.state() == "failed"
    assert booking.state("status, error_code") == ("failed", "29999")
    assert len(alerts(caplog)) == 1


def test_an_unknown_code_is_told_of_once_a_day(
    booking: Booking, faults: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    faults("refuse", code=29999, times=3)
    for hours, told in ((0, 1), (23, 1), (25, 2)):
        clock.forward(hours * 3600)
        booking = booking.next()
        booking.deliver()
        assert booking.state("status, error_code") == ("failed", "29999")
        assert len(alerts(caplog)) == told


def test_a_country_that_is_not_enabled_stops_nobody_else(
    client: FlaskClient, sql: psycopg.Connection, twilio: str
) -> None:
    del twilio
    booking = Booking(client, sql, "+15005550003")
    booking.deliver()
    assert booking.state("status, error_code") == ("failed", "21408")
    assert booking.sender("stopped_at") in (None, (None,))


def test_a_full_queue_at_twilio_is_tried_in_minutes_later_each_time_and_not_by_celery(
    booking: Booking, faults: Any, clock: Clock
) -> None:
    clock.stop()
    booking.sql.execute("UPDATE integration_settings SET sms_per_second = 0 WHERE org_id = %s", [booking.org])
    faults("refuse", code=21611, times=6)
    waits = []
    for _ in range(6):
        booking.due_now()
        booking.deliver()
        assert booking.state("status, error_code") == ("queued", "21611")
        waits.append(wait_of(booking))
    assert 60 < waits[0] <= 90  # a code lives for ten minutes
    assert waits[:4] == sorted(waits[:4])
    assert 600 < waits[-1] <= 900
    assert booking.sender("stopped_at") == (None,)


def test_a_code_that_meets_a_full_queue_waits_for_minutes_too(
    booking: Booking, faults: Any, clock: Clock
) -> None:
    clock.stop()
    faults("refuse", code=21611)
    booking.deliver(booking.otp)
    assert booking.state("status, error_code", booking.otp) == ("queued", "21611")
    assert 60 < wait_of(booking, booking.otp) <= 90
