"""Reconciliation of an SMS that is behind many others, has other words, or is in another account."""

from __future__ import annotations

import json
import urllib.request

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import Door, system_transaction
from models.messaging import messages
from tasks.delivery import words_of
from tasks.messaging import reconcile_sms
from tests.conftest import Clock
from tests.tasks.bookings import Booking, inbox
from tests.tasks.reconcile.asking import Faults, post_directly


def test_an_sms_that_many_newer_ones_hide_is_found_all_the_same(
    booking: Booking, clock: Clock, faults: Faults, twilio: str
) -> None:
    faults("drop-after-accept")
    booking.deliver()
    for n in range(120):
        post_directly(twilio, booking.phone, f"another text {n}")
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, attempt") == ("sent", 1)


def test_an_sms_that_more_hide_than_are_looked_through_is_not_sent_again(
    booking: Booking, clock: Clock, faults: Faults, twilio: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.providers.twilio._LOOK_THROUGH", 20)
    faults("drop-after-accept")
    booking.deliver()
    for n in range(21):
        post_directly(twilio, booking.phone, f"another text {n}")
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, attempt") == ("unknown", 1)


def test_an_sms_that_has_not_left_is_found_behind_those_that_left_long_ago(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, faults: Faults, twilio: str
) -> None:
    booking = Booking(client, sql, "+15005550013")  # SMS to this number never leave
    faults("drop-after-accept")
    booking.deliver()
    post_as_sent(twilio, booking.phone, "an older text")
    faults("ask-unsent-last", seconds=3600)
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, attempt") == ("sent", 1)


@pytest.mark.parametrize("text", ["Sent from your Twilio trial account - {}", "{} Reply STOP to opt out."])
def test_an_sms_to_which_twilio_added_its_own_words_is_found(
    booking: Booking, clock: Clock, faults: Faults, twilio: str, text: str
) -> None:
    faults("drop-before")
    booking.deliver()
    assert booking.state() == "unknown"
    with system_transaction(Door.OPERATOR) as session:
        [ours] = words_of(session, session.get_one(messages.SmsMessage, booking.confirmation))
    post_directly(twilio, booking.phone, text.format(ours))
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, attempt") == ("sent", 1)


def test_an_sms_that_another_account_has_stays_unknown(
    booking: Booking, clock: Clock, faults: Faults, twilio: str
) -> None:
    faults("drop-after-accept")
    booking.deliver()
    booking.sql.execute(
        "UPDATE integration_settings SET twilio_account_sid = %s WHERE org_id = %s",
        ["AC" + "11" * 16, booking.org],
    )
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, attempt") == ("unknown", 1)
    assert len([body for body in inbox(twilio, booking.phone) if body.startswith("Confirmed")]) == 1


def test_an_sms_whose_link_cannot_be_made_again_stays_unknown(
    booking: Booking, clock: Clock, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults("drop-after-accept")
    booking.deliver()
    booking.sql.execute(
        "UPDATE patient_links SET token_digest = md5(token_digest) WHERE message_id = %s",
        [booking.confirmation],
    )
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, attempt") == ("unknown", 1)


def post_as_sent(twilio: str, number: str, body: str) -> None:
    """Make an SMS to that number that has left; the sandbox itself never sends SMS to it."""
    said = json.dumps({"from": "+447700900001", "to": number, "body": body}).encode()
    request = urllib.request.Request(f"{twilio}/sandbox/inbound", said, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()
