"""Reconciliation of an SMS that Twilio accepted, and for which no receipt came."""

from __future__ import annotations

import psycopg
import pytest
from flask.testing import FlaskClient

from tasks.messaging import check_receipts
from tests.conftest import Clock
from tests.tasks.bookings import Booking, ended
from tests.tasks.reconcile.asking import Faults, sent


def test_what_no_receipt_told_is_asked_after_five_minutes_with_its_price(
    booking: Booking,
    clock: Clock,
    twilio: str,
) -> None:
    sent(booking)
    check_receipts.run()
    assert booking.state() == "sent"
    ended(twilio, booking.phone)
    clock.forward(301)
    check_receipts.run()
    assert booking.state("status, cause, price::text, price_unit, check_at, delivered_at IS NOT NULL") == (
        "delivered",
        "the provider has it",
        "0.00790",
        "USD",
        None,
        True,
    )
    assert booking.sql.execute(
        "SELECT status, cost IS NOT NULL, segments FROM sms_confirmation_logs WHERE id = %s",
        [booking.confirmation],
    ).fetchone() == ("delivered", True, booking.state("segments"))


def test_after_three_days_without_a_word_it_is_unconfirmed(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock
) -> None:
    del twilio
    booking = Booking(client, sql, "+15005550012")  # its carrier never sends a receipt
    sent(booking)
    for seconds, expected in ((301, "sent"), (3600, "sent"), (24 * 3600, "sent"), (48 * 3600, "unconfirmed")):
        clock.forward(seconds)
        check_receipts.run()
        assert booking.state() == expected
    assert booking.state("check_at, cause") == (None, "no receipt in three days")


@pytest.mark.parametrize("kind", ["ask-500", "ask-drop"])
def test_a_receipt_that_cannot_be_asked_for_is_asked_for_in_five_minutes(
    booking: Booking,
    faults: Faults,
    clock: Clock,
    kind: str,
    twilio: str,
) -> None:
    sent(booking)
    ended(twilio, booking.phone)
    clock.forward(301)
    faults(kind)
    check_receipts.run()
    assert booking.state("status, check_at > app_clock() + interval '4 min'") == ("sent", True)
    clock.forward(301)
    check_receipts.run()
    assert booking.state() == "delivered"


def test_one_receipt_that_cannot_be_asked_for_holds_up_none_of_its_clinics(
    booking: Booking, faults: Faults, clock: Clock, twilio: str
) -> None:
    others = [booking.next()]
    others.append(others[0].next())
    for each in (booking, *others):
        sent(each)
        ended(twilio, each.phone)
    faults("ask-500")  # for the first question
    clock.forward(301)
    check_receipts.run()
    assert [each.state() for each in (booking, *others)] == ["sent", "delivered", "delivered"]


def test_a_provider_that_can_never_be_asked_ends_in_a_state_with_a_name_too(
    booking: Booking, faults: Faults, clock: Clock
) -> None:
    sent(booking)
    clock.forward(3 * 24 * 3600 + 1)
    faults("ask-500")
    check_receipts.run()
    assert booking.state() == "unconfirmed"


def test_a_message_that_twilio_has_forgotten_is_not_asked_about_for_ever(
    booking: Booking, clock: Clock
) -> None:
    sent(booking)
    booking.sql.execute(
        "UPDATE sms_messages SET provider_id = %s WHERE id = %s", ["SM" + "0" * 32, booking.confirmation]
    )
    clock.forward(301)
    check_receipts.run()
    assert booking.state("status, check_at = sent_at + interval '1 hour'") == ("sent", True)


def test_a_broken_account_does_not_keep_the_others_from_their_receipts(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock
) -> None:
    broken, sound = Booking(client, sql), Booking(client, sql)
    for booking in (broken, sound):
        sent(booking)
        ended(twilio, booking.phone)
    sql.execute("UPDATE integration_settings SET twilio_account_sid = NULL WHERE org_id = %s", [broken.org])
    clock.forward(301)
    check_receipts.run()
    assert (broken.state(), sound.state()) == ("sent", "delivered")
