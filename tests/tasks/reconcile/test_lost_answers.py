"""Reconciliation of an SMS whose answer was lost: which of Twilio's messages it is, and which not."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from datetime import datetime, timedelta

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import Door, system_transaction, transaction
from models.messaging import matching, messages, outbox, outcomes, reconciling
from tasks.delivery import words_of
from tasks.messaging import reconcile_sms
from tests.conftest import Clock
from tests.tasks.bookings import Booking, inbox
from tests.tasks.reconcile.asking import Faults, lost, post_directly, sent
from tests.webapp.staff.rows import now


def test_what_is_found_keeps_its_id_and_says_how_it_was_learnt(
    booking: Booking, faults: Faults, clock: Clock, twilio: str
) -> None:
    lost(booking, faults)
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, cause, error_reason, unknown_since") == (
        "sent",
        "the provider has it",
        None,
        None,
    )
    assert booking.causes() == [
        ("queued", "created"),
        ("sending", "claimed by a worker"),
        ("unknown", "its answer was lost"),
        ("sent", "the provider has it"),
    ]
    assert len(inbox(twilio, booking.phone)) == 1


def test_a_code_is_found_by_its_words_though_they_are_kept_nowhere(
    booking: Booking, faults: Faults, clock: Clock
) -> None:
    lost(booking, faults, message=booking.otp)
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, body", booking.otp) == ("sent", None)


def asked_for_again(booking: Booking) -> str:
    """Insert another row with the same code to the same number; returns its id."""
    again = booking.sql.execute(
        "INSERT INTO sms_messages (id, org_id, kind, to_phone, hold_id, expires_at, created_at)"
        " SELECT gen_random_uuid(), org_id, kind, to_phone, hold_id, expires_at, app_clock()"
        " FROM sms_messages WHERE id = %s RETURNING id::text",
        [booking.otp],
    ).fetchone()
    assert again
    return str(again[0])


def test_the_same_code_sent_twice_is_not_taken_for_the_other_message(
    booking: Booking, faults: Faults, clock: Clock
) -> None:
    lost(booking, faults, "drop-before", booking.otp)
    again = asked_for_again(booking)
    booking.deliver(again)
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, provider_id", booking.otp) == ("expired", None)
    assert booking.state("status", again) == "sent"


@pytest.mark.parametrize("asked_first", ["otp", "again"])
@pytest.mark.parametrize(
    ("faults_of_both", "states"),
    [
        (("drop-before", "drop-after-accept"), ("expired", "sent")),
        (("drop-after-accept", "drop-before"), ("sent", "expired")),
        (("drop-after-accept", "drop-after-accept"), ("sent", "sent")),
    ],
)
def test_of_two_lost_answers_with_the_same_words_each_row_gets_its_own(
    booking: Booking,
    faults: Faults,
    clock: Clock,
    twilio: str,
    faults_of_both: tuple[str, str],
    states: tuple[str, str],
    asked_first: str,
) -> None:
    began = time.time()
    lost(booking, faults, faults_of_both[0], booking.otp)
    time.sleep(
        max(0.0, began + 2.5 - time.time())
    )  # Twilio's clock is the machine's, and knows whole seconds
    again = asked_for_again(booking)
    lost(booking, faults, faults_of_both[1], again)
    rows = {"otp": booking.otp, "again": again}
    clock.forward(91)
    booking.sql.execute(
        "UPDATE sms_messages SET check_at = check_at - interval '1 min' WHERE id = %s", [rows[asked_first]]
    )
    reconcile_sms.run()
    assert (booking.state(message=booking.otp), booking.state(message=again)) == states
    ids = [sid for sid in (booking.state("provider_id", row) for row in rows.values()) if sid]
    assert sorted(ids) == sorted(sids(twilio, booking.phone))
    if states == ("sent", "sent"):
        assert ids == list(reversed(sids(twilio, booking.phone)))  # the inbox has the newest first


def test_a_code_that_is_just_being_sent_again_is_not_taken_for_the_first(
    client: FlaskClient, sql: psycopg.Connection, faults: Faults, clock: Clock, twilio: str
) -> None:
    """Twilio shows the new message before its answer arrives."""
    clock.forward(-91)  # Twilio's clock is the machine's, and dates its messages now
    booking = Booking(client, sql)
    lost(booking, faults, "drop-before", booking.otp)
    clock.forward(91)
    again, org = asked_for_again(booking), uuid.UUID(booking.org)
    with transaction(org) as session:
        claimed = outbox.claim_for_sending(session, org, uuid.UUID(again))
        assert claimed
        [words] = words_of(session, claimed)
    post_directly(twilio, booking.phone, words)
    reconcile_sms.run()
    assert booking.state("status, provider_id", booking.otp) == ("expired", None)
    assert booking.state(message=again) == "sending"


def attempted(booking: Booking, message: str, clock: Clock, seconds: float) -> messages.SmsMessage:
    """Make an attempt that ended after `seconds` with an unknown outcome."""
    org = uuid.UUID(booking.org)
    with transaction(org) as session:
        claimed = outbox.claim_for_sending(session, org, uuid.UUID(message))
    assert claimed
    clock.forward(seconds)
    with transaction(org) as session:
        outcomes.record_unknown(session, claimed, "no answer")
        outcomes.record_end(session, claimed, slow=False)
    return claimed


def own(booking: Booking, message: messages.SmsMessage, at: datetime) -> bool:
    """Whether an SMS that the provider accepted at that time is this message's."""
    with transaction(uuid.UUID(booking.org)) as session:
        return bool(matching.own_of(session, message, {"SM1": at}, longest=timedelta(seconds=10)))


def test_a_whole_second_is_not_taken_for_the_attempt_that_had_just_ended(
    booking: Booking, clock: Clock
) -> None:
    """Twilio dates 4.95 as 4, which means the attempt that began at 4.9, not the one that ended at 4.2."""
    clock.stop()
    begun = now(booking.sql)
    first = attempted(booking, booking.otp, clock, 4.2)
    again = asked_for_again(booking)
    clock.forward(0.7)
    second = attempted(booking, again, clock, 1)
    told = begun + timedelta(seconds=4)
    assert [own(booking, each, told) for each in (first, second)] == [False, True]


def test_a_confirmation_is_never_taken_for_the_cancellation_after_it(booking: Booking, clock: Clock) -> None:
    """Both belong to one appointment but differ in words, so each is found at any time that Twilio tells."""
    clock.stop()
    confirmation = attempted(booking, booking.confirmation, clock, 0.5)
    clock.forward(3)
    booking.sql.execute("SELECT * FROM cancel_appointment(%s, %s)", [booking.appointment, booking.org])
    row = booking.sql.execute(
        "SELECT id::text FROM sms_messages WHERE appointment_id = %s AND kind = 'cancellation'",
        [booking.appointment],
    ).fetchone()
    assert row
    at = now(booking.sql)
    cancellation = attempted(booking, row[0], clock, 1)
    assert own(booking, confirmation, at)
    assert own(booking, cancellation, at)


@pytest.mark.parametrize(
    ("status", "price", "again"),
    [
        ("sent", None, True),
        ("sent", "0.0079", True),
        ("delivered", None, True),
        ("delivered", "0.0079", False),
    ],
)
def test_the_provider_is_asked_until_it_has_said_what_became_of_it_and_what_it_cost(
    booking: Booking,
    status: str,
    price: str | None,
    again: bool,  # noqa: FBT001 (a parameter)
) -> None:
    sent(booking)
    booking.sql.execute(
        "UPDATE sms_messages SET status = %s, price = %s WHERE id = %s", [status, price, booking.confirmation]
    )
    org = uuid.UUID(booking.org)
    with transaction(org) as session:
        reconciling.record_checked(
            session, session.get_one(messages.SmsMessage, uuid.UUID(booking.confirmation))
        )
    assert booking.state("check_at IS NOT NULL") is again


def test_a_clinic_of_which_one_is_answered_in_between_is_not_left(
    booking: Booking, faults: Faults, clock: Clock
) -> None:
    """Three failures in a row are too many, but not three in total."""
    bookings = [booking]
    for _ in range(5):
        bookings.append(bookings[-1].next())
    for each in bookings:
        lost(each, faults)
        booking.sql.execute("DELETE FROM sms_senders WHERE org_id = %s", [booking.org])
    for number in (0, 1, 3, 4):
        faults("ask-500", to=bookings[number].phone)
    clock.forward(91)
    reconcile_sms.run()
    failed, found = ["unknown"] * 2, ["sent"]
    assert [each.state() for each in bookings] == failed + found + failed + found


def test_the_same_words_of_long_before_are_nobodys(
    booking: Booking, faults: Faults, clock: Clock, twilio: str
) -> None:
    with system_transaction(Door.OPERATOR) as session:
        [words] = words_of(session, session.get_one(messages.SmsMessage, booking.otp))
    post_directly(twilio, booking.phone, words)
    clock.forward(300)
    booking.sql.execute("UPDATE sms_messages SET created_at = app_clock() WHERE id = %s", [booking.otp])
    lost(booking, faults, "drop-before", booking.otp)
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state("status, provider_id", booking.otp) == ("expired", None)


def test_of_two_that_twilio_has_of_one_message_the_row_keeps_the_first(
    booking: Booking, faults: Faults, clock: Clock, twilio: str
) -> None:
    lost(booking, faults)
    booking.sql.execute(
        "UPDATE sms_messages SET status = 'queued', next_attempt_at = app_clock() WHERE id = %s",
        [booking.confirmation],
    )
    lost(booking, faults)
    clock.forward(91)
    reconcile_sms.run()
    newest, first = sids(twilio, booking.phone)
    assert booking.state("status, provider_id") == ("sent", first)
    assert booking.sql.execute(
        "SELECT cause, provider_id FROM sms_events WHERE message_id = %s ORDER BY id DESC LIMIT 1",
        [booking.confirmation],
    ).fetchone() == ("the provider accepted it twice", newest)


def sids(twilio: str, number: str) -> list[str]:
    """The ids of all of Twilio's messages to this number, newest first."""
    with urllib.request.urlopen(f"{twilio}/inbox.json") as response:
        return [message["sid"] for message in json.load(response) if message["to"] == number]
