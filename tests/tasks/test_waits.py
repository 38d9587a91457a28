"""How long an SMS, its sender and a question to the provider wait.

The seconds are written here a second time, to reveal a slip in one of the product's tables.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import pairwise

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.messaging import outbox
from tasks import providers
from tasks.delivery import record_accepted
from tasks.messaging import _record, check_receipts, reconcile_sms
from tasks.providers import Accepted
from tests.conftest import Clock
from tests.tasks.bookings import Booking, ended

Faults = Callable[..., None]

MINUTE, HOUR = 60, 3600


def wait_of(booking: Booking, column: str = "next_attempt_at", message: str | None = None) -> float:
    """The seconds until the time in this column of a message."""
    return round(float(booking.state(f"extract(epoch FROM {column} - app_clock())", message)), 3)


def pause_of(booking: Booking) -> int:
    """The seconds until the clinic's sender may try again; 0 if it may now."""
    [wait] = booking.sender("coalesce(extract(epoch FROM retry_at - app_clock()), 0)")
    return round(float(wait))


# --- a message that was certainly not sent --------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code", "waits"),
    [
        # Twilio asks to slow down. Celery repeats the first three, a second apart at most.
        ("confirmation", 20429, (1, 1, 1, 15, 30, 60, 60, 60)),
        ("otp", 20429, (1, 1, 1, 5, 5, 5)),
        # Twilio's queue for the number is full, for minutes.
        ("confirmation", 21611, (90, 180, 300, 600, 900, 900)),
        ("otp", 21611, (90, 180, 300, 600, 900, 900)),
    ],
)
def test_each_wait_after_an_attempt_that_was_certainly_not_sent(
    booking: Booking, faults: Faults, clock: Clock, kind: str, code: int, waits: tuple[int, ...]
) -> None:
    """Each wait is up to a quarter shorter, so that many do not come back together, and never longer."""
    clock.stop()
    booking.sql.execute("UPDATE integration_settings SET sms_per_second = 0 WHERE org_id = %s", [booking.org])
    message = getattr(booking, kind)
    faults("refuse", code=code, times=len(waits))
    for number, longest in enumerate(waits, 1):
        booking.due_now(message)
        with suppress(providers.Unavailable):  # Celery would repeat it
            booking.deliver(message)
        assert booking.state("status, attempt", message) == ("queued", number)
        assert 0.75 * longest <= wait_of(booking, message=message) <= longest, number


# --- a sender that gets no answer, or is refused ---------------------------------------------------


def test_a_silent_provider_is_tried_after_ever_longer_pauses(
    booking: Booking, faults: Faults, clock: Clock
) -> None:
    """From the third attempt in a row that gets no answer."""
    clock.stop()
    bookings = [booking]
    for _ in range(3):
        bookings.append(bookings[-1].next())
    faults("drop-before", times=100)
    pauses = []
    for each, kind in [(each, kind) for each in bookings for kind in ("otp", "confirmation")]:
        message = getattr(each, kind)
        each.due_now(message)
        each.deliver(message)
        assert each.state(message=message) == "unknown"
        pauses.append(pause_of(booking))
        clock.forward(pauses[-1])
    assert pauses == [0, 0, 5, 15, 30, 60, 60, 60]


def test_a_sender_that_is_refused_only_by_receipts_is_tried_rarely_from_the_start(
    booking: Booking, faults: Faults, clock: Clock, twilio: str
) -> None:
    """Each try costs a message that is billed and lost: after one minute, five, and then every ten."""
    clock.stop()
    bookings = [booking]
    for _ in range(4):
        bookings.append(bookings[-1].next())
    faults("undelivered", code=30034, times=100)
    booking.deliver()
    ended(twilio, booking.phone)
    clock.forward(5 * MINUTE + 1)
    check_receipts.run()
    assert booking.sender("stopped_code") == ("30034",)
    pauses = [pause_of(booking)]
    for each in bookings[1:]:
        clock.forward(pauses[-1] - 1)
        each.due_now()
        each.deliver()
        assert each.state("status, attempt") == ("queued", 0)  # not a second too early
        clock.forward(1)
        each.due_now()
        each.deliver()
        assert each.state() == "sent"
        pauses.append(pause_of(booking))
    assert pauses == [MINUTE, 5 * MINUTE, 10 * MINUTE, 10 * MINUTE, 10 * MINUTE]


@pytest.mark.parametrize(("took", "slow"), [(1.0, False), (2.1, True)])
def test_an_answer_that_took_more_than_two_seconds_was_slow(
    booking: Booking,
    took: float,
    slow: bool,  # noqa: FBT001 (a parameter)
) -> None:
    """Then the clinic's messages go one at a time, and do not hold up other clinics."""
    with transaction(uuid.UUID(booking.org)) as session:
        message = outbox.claim_for_sending(session, uuid.UUID(booking.org), uuid.UUID(booking.confirmation))
    assert message
    accepted = Accepted("SM" + uuid.uuid4().hex, 1)
    _record(message, partial(record_accepted, accepted=accepted), time.monotonic() - took)
    assert booking.sender("slow") == (slow,)


# --- asking the provider ---------------------------------------------------------------------------


def test_a_message_without_a_receipt_is_asked_about_four_times_in_three_days(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock
) -> None:
    del twilio
    clock.stop()
    booking = Booking(client, sql, "+15005550012")  # its carrier never sends a receipt
    booking.deliver()
    asked = [0, 5 * MINUTE, HOUR, 24 * HOUR, 72 * HOUR]
    for before, then in pairwise(asked):
        assert wait_of(booking, "check_at") == then - before
        clock.forward(then - before)
        assert booking.state() == "sent"
        check_receipts.run()
    assert booking.state("status, check_at") == ("unconfirmed", None)


def test_a_provider_that_cannot_be_asked_for_a_receipt_is_asked_ever_more_rarely(
    booking: Booking, faults: Faults, clock: Clock
) -> None:
    """After half the age of the message, but at least five minutes and at most an hour."""
    clock.stop()
    booking.deliver()
    faults("ask-500", times=100)
    age = wait_of(booking, "check_at")
    clock.forward(age)
    for _ in range(12):
        check_receipts.run()
        wait = wait_of(booking, "check_at")
        assert wait == pytest.approx(min(max(age / 2, 5 * MINUTE), HOUR), abs=0.01)
        clock.forward(wait)
        age += wait
    assert wait == HOUR


def test_what_may_have_been_sent_is_asked_about_after_a_minute_and_a_half(
    booking: Booking, faults: Faults, clock: Clock
) -> None:
    """Twilio may take that long to show a message; a "no" before would make us send it twice."""
    clock.stop()
    faults("drop-after-accept")
    booking.deliver()
    assert (booking.state(), wait_of(booking, "check_at")) == ("unknown", 90)
    clock.forward(89.9)
    reconcile_sms.run()
    assert booking.state() == "unknown"
    clock.forward(0.1)
    reconcile_sms.run()
    assert booking.state() == "sent"


def test_what_nobody_can_be_asked_about_is_looked_at_again_every_hour(
    booking: Booking, faults: Faults, clock: Clock
) -> None:
    """The clinic has changed its account, and may return to the old one."""
    clock.stop()
    faults("drop-after-accept")
    booking.deliver()
    account = booking.sql.execute(
        "SELECT twilio_account_sid FROM integration_settings WHERE org_id = %s", [booking.org]
    ).fetchone()
    assert account
    for sid in ("AC" + "11" * 16, *account):
        booking.sql.execute(
            "UPDATE integration_settings SET twilio_account_sid = %s WHERE org_id = %s", [sid, booking.org]
        )
        assert booking.state() == "unknown"
        clock.forward(wait_of(booking, "check_at"))
        reconcile_sms.run()
        if sid != account[0]:
            assert wait_of(booking, "check_at") == HOUR
    assert booking.state() == "sent"
