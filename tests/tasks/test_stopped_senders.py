"""A sender that Twilio refuses: when it is tried again, and with how many messages."""

from __future__ import annotations

import uuid
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.messaging import senders
from models.messaging.meanings import Failure, Meaning
from tests.conftest import Clock
from tests.tasks.bookings import Booking, PatientWorker, inbox
from tests.tasks.sendings import alerts, sendings, wait_of


def test_a_burst_of_refusals_costs_a_clinic_seconds(
    booking: Booking, faults: Any, clock: Clock, caplog: pytest.LogCaptureFixture, twilio: str
) -> None:
    others = [booking.next()]
    others.append(others[0].next())
    faults("refuse", code=20003, times=2)  # 401, also for the first try
    worker = PatientWorker(booking.sql, clock)
    worker.run(4, booking)
    assert booking.sender("stopped_code") == ("20003",)
    worker.run(26, *others)
    everything = [(each, kind) for each in (booking, *others) for kind in ("otp", "confirmation")]
    assert {each.state("status", getattr(each, kind)) for each, kind in everything} == {"sent"}
    assert len(inbox(twilio, booking.phone)) == 2
    assert booking.sender("stopped_at, retry_at, tries") == (None, None, 0)
    assert len(alerts(caplog)) == 1


def test_the_first_try_is_nudged_for_its_time_and_waits_for_no_sweep(
    booking: Booking, faults: Any, clock: Clock
) -> None:
    clock.stop()
    booking.sql.execute("UPDATE sms_messages SET nudged_at = NULL WHERE org_id = %s", [booking.org])
    faults("refuse", code=20003)
    booking.deliver()
    booking.deliver(booking.otp)  # the code waits for the outcome of the try
    for message in (booking.confirmation, booking.otp):
        assert booking.state("nudged_at = app_clock(), attempt", message)[0]
        assert wait_of(booking, message) == 5


def test_a_sender_that_stays_refused_is_tried_ever_more_rarely_with_one_message_each(
    booking: Booking, faults: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    faults("refuse", code=20003, times=100)
    PatientWorker(booking.sql, clock).run(1700, booking, booking.next())
    waits = [later - earlier for earlier, later in pairwise(sendings(booking))]
    for wait, expected in zip(waits, (5, 15, 60, 300, 600, 600), strict=True):
        assert expected <= wait < expected + 10, waits  # the sweep comes every five seconds
    assert len(alerts(caplog)) == 1


def test_a_stopped_sender_that_falls_silent_is_not_tried_any_sooner(
    booking: Booking, faults: Any, clock: Clock
) -> None:
    """Three attempts without an answer pause a sender for seconds, but a stopped sender waits for minutes."""
    clock.stop()
    tries = [booking.next()]
    for _ in range(2):
        tries.append(tries[-1].next())
    faults("refuse", code=20003)
    booking.deliver()
    faults("drop-before", times=3)
    waits = [5]
    for each in tries:
        clock.forward(waits[-1])
        each.due_now()
        each.deliver()
        [wait] = booking.sender("extract(epoch FROM retry_at - app_clock())")
        waits.append(int(wait))
    assert booking.sender("failures, stopped_code") == (3, "20003")
    assert waits == [5, 15, 60, 300]


def test_a_limit_of_the_day_stops_the_sender_and_is_no_please_slow_down(
    booking: Booking, faults: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.stop()
    faults("refuse", code=63038)  # it comes with status 429
    booking.deliver()
    assert booking.state("status, attempt, error_code") == ("queued", 1, "63038")
    assert booking.sender("stopped_code") == ("63038",)
    booking.deliver(booking.otp)
    why = "the clinic's account has sent all that it may within a day"
    assert booking.state("status, attempt, error_code, error_reason", booking.otp) == (
        "queued",
        0,
        "63038",
        why,
    )
    assert alerts(caplog) == [
        f"the sender of organisation {booking.org} is stopped by the provider's error 63038: {why}"
    ]
    clock.forward(6)
    booking.due_now()
    booking.deliver()
    assert booking.state("status, error_code") == ("sent", None)
    assert booking.state("error_code, error_reason", booking.otp) == (None, None)


def test_reasons_quote_no_number(client: FlaskClient, sql: psycopg.Connection, twilio: str) -> None:
    del twilio
    booking = Booking(client, sql, "+15005550009")
    booking.deliver()
    assert booking.state("error_reason") == "the number is not a mobile number"


def test_who_still_has_to_wait_does_not_use_up_the_one_try_of_a_stopped_sender(
    booking: Booking, clock: Clock, twilio: str
) -> None:
    org = uuid.UUID(booking.org)
    with transaction(org) as session:
        senders.record_stop(session, org, Failure("no", "21606", Meaning.MISCONFIGURED))
    booking.deliver()
    assert booking.state("status, attempt") == ("queued", 0)
    clock.forward(601)
    with transaction(org) as session:
        for _ in range(20):  # the pace is used up for the next two seconds
            senders.take_moment(session, org, per_second=10)
    booking.due_now()
    booking.deliver()
    assert booking.state("status, attempt") == ("queued", 0)
    clock.forward(2.5)
    booking.deliver()
    assert booking.state() == "sent"
    assert booking.sender("stopped_code, retry_at") == (None, None)
