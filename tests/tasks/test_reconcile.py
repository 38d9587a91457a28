"""Asking Twilio afterwards: about SMS whose outcome was lost, and about those without a receipt."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlencode

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import Door, system_transaction, transaction
from models.messaging import matching, messages, outbox, outcomes, reconciling
from models.notices import retries
from models.notices.retries import Retry
from tasks.delivery import words_of
from tasks.messaging import check_receipts, reconcile_sms
from tests.conftest import Clock
from tests.factories import ACCOUNT_SID, AUTH_TOKEN
from tests.tasks.bookings import Booking, ended, inbox
from tests.webapp.staff.rows import now

Faults = Callable[..., None]


@pytest.fixture(autouse=True)
def nobody_elses_messages(sql: psycopg.Connection) -> None:
    """Other tests leave messages to be asked about; a run is short."""
    sql.execute("UPDATE sms_messages SET check_at = NULL WHERE check_at IS NOT NULL")


def lost(
    booking: Booking, faults: Faults, kind: str = "drop-after-accept", message: str | None = None
) -> None:
    faults(kind)
    booking.deliver(message)
    assert booking.state("status", message) == "unknown"


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
    """Another row with the same code to the same number."""
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
    """Twilio shows it before its answer has come."""
    clock.forward(-91)  # Twilio's clock is the machine's, and what it shows is of now
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
    """An attempt that ended after so many seconds with nobody knowing what came of it."""
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
    """Whether what the provider took at that moment is this message's."""
    with transaction(uuid.UUID(booking.org)) as session:
        return bool(matching.own_of(session, message, {"SM1": at}, longest=timedelta(seconds=10)))


def test_a_whole_second_is_not_taken_for_the_attempt_that_had_just_ended(
    booking: Booking, clock: Clock
) -> None:
    """What was taken at 4.95 is told as 4: the attempt that began at 4.9 is meant, not the one until 4.2."""
    clock.stop()
    begun = now(booking.sql)
    first = attempted(booking, booking.otp, clock, 4.2)
    again = asked_for_again(booking)
    clock.forward(0.7)
    second = attempted(booking, again, clock, 1)
    told = begun + timedelta(seconds=4)
    assert [own(booking, each, told) for each in (first, second)] == [False, True]


def test_a_confirmation_is_never_taken_for_the_cancellation_after_it(booking: Booking, clock: Clock) -> None:
    """They are of one appointment and have other words: whichever moment is told, it is the one's own."""
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
    """Three failures in a row are too many, and not three in all."""
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
    """Of all that Twilio has to this number, the newest first."""
    with urllib.request.urlopen(f"{twilio}/inbox.json") as response:
        return [message["sid"] for message in json.load(response) if message["to"] == number]


@pytest.mark.parametrize("kind", ["ask-500", "ask-drop", "ask-slow"])
def test_a_provider_that_cannot_be_asked_is_asked_again_in_a_minute(
    booking: Booking, faults: Faults, clock: Clock, twilio: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.messaging.PATIENCE", 0.3)
    lost(booking, faults)
    clock.forward(91)
    faults(kind, seconds=1)
    reconcile_sms.run()
    assert booking.state() == "unknown"
    reconcile_sms.run()
    assert booking.state() == "unknown"  # not yet
    clock.forward(61)
    reconcile_sms.run()
    assert booking.state() == "sent"
    assert len(inbox(twilio, booking.phone)) == 1


def test_an_account_that_cannot_be_asked_does_not_take_the_others_turn(
    client: FlaskClient,
    sql: psycopg.Connection,
    faults: Faults,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("tasks.messaging.PATIENCE", 0.3)
    broken = Booking(client, sql)
    later = broken.next()
    sound = Booking(client, sql)
    for booking in (broken, later, sound):
        lost(booking, faults)
    sql.execute(
        "UPDATE integration_settings SET twilio_auth_token_sealed = NULL WHERE org_id = %s", [broken.org]
    )
    clock.forward(91)
    faults("ask-slow", seconds=5, times=5, to=later.phone)
    begun = time.monotonic()
    reconcile_sms.run()
    assert time.monotonic() - begun < 3
    assert [each.state() for each in (broken, later, sound)] == ["unknown", "unknown", "sent"]
    assert later.state("check_at > app_clock()") is True
    asked = [record for record in caplog.records if "cannot be asked about" in record.getMessage()]
    assert len(asked) == 1  # not once for each of its messages


def test_one_message_that_cannot_be_asked_about_holds_up_none_of_its_clinics(
    booking: Booking, faults: Faults, clock: Clock
) -> None:
    clock.stop()
    others = [booking.next()]
    others.append(others[0].next())
    for each in (booking, *others):
        lost(each, faults)
        booking.sql.execute("DELETE FROM sms_senders WHERE org_id = %s", [booking.org])
    faults("ask-500", times=100, to=booking.phone)
    clock.forward(91)
    reconcile_sms.run()
    assert [each.state() for each in (booking, *others)] == ["unknown", "sent", "sent"]
    waits = []
    for _ in range(6):
        waits.append(round(booking.state("extract(epoch FROM check_at - app_clock())"), 1))
        clock.forward(waits[-1] + 1)
        reconcile_sms.run()
    assert waits == sorted(waits)
    assert 55 < waits[0] <= 60
    assert 170 < waits[-1] <= 180


def test_one_that_hangs_gives_the_others_their_turn_in_the_next_run(
    booking: Booking, faults: Faults, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.messaging.PATIENCE", 0.3)
    other, stranger = booking.next(), Booking(booking.client, booking.sql)
    for each in (booking, other, stranger):
        lost(each, faults)
    faults("ask-slow", seconds=1, times=100, to=booking.phone)
    clock.forward(91)
    reconcile_sms.run()
    assert [each.state() for each in (booking, other, stranger)] == ["unknown", "unknown", "sent"]
    clock.forward(31)
    reconcile_sms.run()
    assert (booking.state(), other.state()) == ("unknown", "sent")


def test_a_clinic_that_fails_three_times_in_a_row_is_left_for_a_while(
    booking: Booking, faults: Faults, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    bookings = [booking]
    for _ in range(4):
        bookings.append(bookings[-1].next())
    for each in bookings:
        lost(each, faults)
        booking.sql.execute("DELETE FROM sms_senders WHERE org_id = %s", [booking.org])
    faults("ask-500", times=3)
    clock.forward(91)
    reconcile_sms.run()
    assert {each.state() for each in bookings} == {"unknown"}
    assert len([record for record in caplog.records if "cannot be asked about" in record.getMessage()]) == 3
    clock.forward(31)
    reconcile_sms.run()
    assert [each.state() for each in bookings].count("sent") == 2  # those that were not asked about yet
    clock.forward(31)
    reconcile_sms.run()
    assert {each.state() for each in bookings} == {"sent"}


def test_a_run_is_short_however_much_there_is_to_ask(
    booking: Booking, faults: Faults, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = booking.next()
    for each in (booking, other):
        lost(each, faults)
    clock.forward(91)
    monkeypatch.setattr("tasks.messaging.RUN", 0.0)
    reconcile_sms.run()
    assert {booking.state(), other.state()} == {"unknown"}
    monkeypatch.setattr("tasks.messaging.RUN", 8.0)
    reconcile_sms.run()
    assert {booking.state(), other.state()} == {"sent"}


def test_after_five_lost_attempts_a_person_decides(
    booking: Booking, faults: Faults, clock: Clock, twilio: str
) -> None:
    for attempt in range(1, 6):
        lost(booking, faults, "drop-before")
        assert booking.state("attempt") == attempt
        clock.forward(91)
        reconcile_sms.run()
        booking.sql.execute("DELETE FROM sms_senders WHERE org_id = %s", [booking.org])
    assert booking.state("status, check_at") == ("unknown", None)
    assert inbox(twilio, booking.phone) == []


def test_what_the_provider_hid_until_a_person_asked_is_not_sent_again(
    booking: Booking, faults: Faults, clock: Clock, twilio: str
) -> None:
    for attempt in range(1, 6):
        lost(booking, faults, "drop-after-accept" if attempt == 5 else "drop-before")
        clock.forward(91)
        faults("ask-hidden")
        reconcile_sms.run()
        booking.sql.execute("DELETE FROM sms_senders WHERE org_id = %s", [booking.org])
    assert booking.state("status, check_at") == ("unknown", None)
    with transaction(uuid.UUID(booking.org)) as session:
        assert retries.retry(session, uuid.UUID(booking.org), uuid.UUID(booking.confirmation)).done
    booking.deliver()
    assert booking.state() == "unknown"
    reconcile_sms.run()
    assert booking.state() == "sent"
    assert len(inbox(twilio, booking.phone)) == 1


def test_what_is_found_late_was_sent_when_the_provider_took_it(
    booking: Booking, faults: Faults, clock: Clock, twilio: str
) -> None:
    lost(booking, faults)
    ended(twilio, booking.phone)
    clock.forward(3600)
    reconcile_sms.run()
    assert booking.state("status, sent_at BETWEEN created_at AND created_at + interval '5 s'") == (
        "sent",
        True,
    )
    assert booking.sql.execute(
        "SELECT a.confirmation_sms_sent_at = m.sent_at FROM appointments a, sms_messages m"
        " WHERE a.id = %s AND m.id = a.confirmation_message_id",
        [booking.appointment],
    ).fetchone() == (True,)
    check_receipts.run()
    assert booking.state("status, delivered_at BETWEEN sent_at AND created_at + interval '5 s'") == (
        "delivered",
        True,
    )


def test_two_that_ask_at_once_do_not_give_one_sms_to_two_messages(booking: Booking) -> None:
    taken = "SM" + uuid.uuid4().hex
    with system_transaction(Door.OPERATOR) as session:
        one, other = (
            session.get_one(messages.SmsMessage, each) for each in (booking.otp, booking.confirmation)
        )
        session.expunge_all()
    seen: list[set[str]] = []

    def look() -> None:
        with system_transaction(Door.OPERATOR) as session:
            seen.append(outcomes.find_other(session, other, [taken]))

    looking = threading.Thread(target=look)
    with system_transaction(Door.OPERATOR) as session:
        assert outcomes.find_other(session, one, [taken]) == set()
        looking.start()
        while booking.sql.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
        ).fetchone() == (0,):
            assert not seen
        outcomes.record_sent(session, one, provider_id=taken, segments=1)
    looking.join()
    assert seen == [{taken}]


def test_an_id_that_another_message_has_already_stays_with_that_one(booking: Booking) -> None:
    booking.deliver(booking.otp)
    theirs = booking.state("provider_id", booking.otp)
    with system_transaction(Door.OPERATOR) as session:
        message = session.get_one(messages.SmsMessage, booking.confirmation)
        assert not outcomes.record_sent(session, message, provider_id=theirs, segments=1)
    assert booking.state("status, provider_id") == ("sent", None)
    with pytest.raises(psycopg.errors.UniqueViolation):
        booking.sql.execute(
            "UPDATE sms_messages SET provider_id = %s WHERE id = %s", [theirs, booking.confirmation]
        )


def test_attempts_that_were_certainly_not_sent_are_not_counted_as_lost(
    booking: Booking, faults: Faults, clock: Clock
) -> None:
    booking.sql.execute("UPDATE sms_messages SET attempt = 20 WHERE id = %s", [booking.confirmation])
    lost(booking, faults, "drop-before")
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state() == "queued"


def test_a_no_that_comes_too_early_proves_nothing(booking: Booking, faults: Faults, clock: Clock) -> None:
    lost(booking, faults, "drop-before")
    booking.sql.execute(
        "UPDATE sms_messages SET check_at = app_clock() WHERE id = %s", [booking.confirmation]
    )
    reconcile_sms.run()
    assert booking.state("status, check_at = unknown_since + interval '90 s'") == ("unknown", True)
    clock.forward(91)
    reconcile_sms.run()
    assert booking.state() == "queued"


def test_an_answer_that_comes_after_the_next_attempt_is_in_sight_still_counts(
    booking: Booking, twilio: str
) -> None:
    """Its worker was frozen so long that it was given up; what it learnt at last is that it was sent."""
    with system_transaction(Door.OPERATOR) as session:
        message = session.get_one(messages.SmsMessage, booking.confirmation)
        session.expunge(message)
    message.attempt = 1
    booking.sql.execute("UPDATE sms_messages SET attempt = 1 WHERE id = %s", [booking.confirmation])
    with system_transaction(Door.OPERATOR) as session:
        outcomes.record_sent(session, message, provider_id="SM" + "7" * 32, segments=1)
    booking.deliver()
    assert booking.state("status, provider_id") == ("sent", "SM" + "7" * 32)
    assert inbox(twilio, booking.phone) == []


def test_two_runs_at_once_ask_about_different_messages(
    booking: Booking, faults: Faults, clock: Clock
) -> None:
    lost(booking, faults)
    clock.forward(91)
    with system_transaction(Door.OPERATOR) as one, system_transaction(Door.OPERATOR) as other:
        assert len(reconciling.find_unsettled(one)) == 1
        assert reconciling.find_unsettled(other) == []
    with system_transaction(Door.OPERATOR) as later:
        assert reconciling.find_unsettled(later) == []


# --- messages without a receipt -----------------------------------------------------------------


def sent(booking: Booking) -> None:
    booking.deliver()
    assert booking.state() == "sent"


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
    booking = Booking(client, sql, "+15005550012")  # its network never says anything
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
    faults("ask-500")  # for the one that is asked for first
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


# --- what a late code says ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (30006, "the number is a landline, or its network takes no SMS"),
        (30003, "the phone was switched off or had no signal"),
        (30008, "the mobile network did not deliver it and did not say why"),
    ],
)
def test_a_message_that_was_not_delivered_is_not_sent_again_by_itself(
    booking: Booking, faults: Faults, clock: Clock, twilio: str, code: int, reason: str
) -> None:
    faults("undelivered", code=code)
    sent(booking)
    ended(twilio, booking.phone)
    clock.forward(301)
    check_receipts.run()
    assert booking.state("status, error_code, error_reason") == ("undelivered", str(code), reason)
    booking.deliver()
    assert len(inbox(twilio, booking.phone)) == 1


@pytest.mark.parametrize("code", [30001, 30003, 30008, 30022, 30023, 30450, 30610])
def test_what_failed_for_a_reason_that_passes_may_be_sent_anew_by_a_person_once(
    booking: Booking, faults: Faults, clock: Clock, twilio: str, code: int
) -> None:
    faults("undelivered", code=code)
    sent(booking)
    ended(twilio, booking.phone)
    clock.forward(301)
    check_receipts.run()
    first = booking.state("status, provider_id, error_code")
    assert first[0::2] == ("undelivered", str(code))
    outcome = retried(booking)
    assert outcome.done
    assert outcome.due
    assert retried(booking) == Retry(
        done=False, why="it is not to be sent any more: it was sent anew as another message"
    )
    assert confirmed_by(booking) == (str(outcome.due.message_id), False, None, None)
    booking.deliver(str(outcome.due.message_id))
    [provider_id] = booking.sql.execute(
        "SELECT provider_id FROM sms_confirmation_logs l JOIN sms_messages m USING (id)"
        " WHERE l.appointment_id = %s AND l.status = 'sent'",
        [booking.appointment],
    ).fetchall()
    assert confirmed_by(booking)[1:3] == (True, provider_id[0])
    assert booking.state("status, provider_id, error_code") == first
    one, other = inbox(twilio, booking.phone)
    assert one.split("http")[0] == other.split("http")[0]
    assert one != other  # each has a link of its own
    assert booking.sql.execute(
        "SELECT count(*) FROM sms_trouble WHERE org_id = %s AND kind = 'confirmation'", [booking.org]
    ).fetchone() == (0,)


def test_what_is_said_by_a_later_message_or_may_have_arrived_is_not_sent_anew(
    booking: Booking, faults: Faults, clock: Clock, twilio: str
) -> None:
    faults("undelivered", code=30003)
    sent(booking)
    ended(twilio, booking.phone)
    clock.forward(301)
    check_receipts.run()
    with system_transaction(Door.OPERATOR) as session:
        message = session.get_one(messages.SmsMessage, booking.confirmation)
        assert outcomes.record_second(session, message, "SM" + uuid.uuid4().hex)
    assert not retried(booking).done
    booking.sql.execute("DELETE FROM sms_events WHERE provider_id IS NOT NULL")
    booking.sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [booking.appointment])
    assert not retried(booking).done
    assert len(inbox(twilio, booking.phone)) == 1


def retried(booking: Booking) -> Retry:
    org = uuid.UUID(booking.org)
    with transaction(org) as session:
        return retries.retry(session, org, uuid.UUID(booking.confirmation))


def confirmed_by(booking: Booking) -> tuple[object, ...]:
    """What the appointment says of its confirmation."""
    row = booking.sql.execute(
        "SELECT confirmation_message_id::text, confirmation_sms_sent, confirmation_sms_id,"
        " confirmation_sms_sent_at FROM appointments WHERE id = %s",
        [booking.appointment],
    ).fetchone()
    assert row
    return row


def test_a_number_that_blocks_the_clinic_is_left_in_peace(
    booking: Booking,
    faults: Faults,
    clock: Clock,
    twilio: str,
) -> None:
    faults("undelivered", code=30004)
    sent(booking)
    ended(twilio, booking.phone)
    clock.forward(301)
    check_receipts.run()
    assert booking.opted_out() == "provider"


def test_a_sender_that_is_refused_only_later_stops_until_something_is_delivered(
    booking: Booking,
    faults: Faults,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    twilio: str,
) -> None:
    second = booking.next()
    faults("undelivered", code=30034, times=2)
    sent(booking)
    ended(twilio, booking.phone)
    clock.forward(301)
    check_receipts.run()
    assert booking.sender("stopped_code, stopped_at IS NOT NULL") == ("30034", True)
    second.deliver()
    assert second.state() == "queued"
    clock.forward(601)
    second.due_now()
    sent(second)  # Twilio takes it as it took the first one: that proves nothing
    assert booking.sender("stopped_code") == ("30034",)
    third = second.next()
    clock.forward(601)
    sent(third)
    ended(twilio, third.phone)
    clock.forward(301)
    check_receipts.run()
    assert third.state() == "delivered"
    assert booking.sender("stopped_at") == (None,)
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


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
    booking = Booking(client, sql, "+15005550013")  # what goes there never leaves
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


def post_directly(twilio: str, number: str, body: str) -> None:
    """An SMS of the same account that is not ours."""
    form = urlencode({"To": number, "From": "+447700900001", "Body": body}).encode()
    request = urllib.request.Request(f"{twilio}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json", form)
    token = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    request.add_header("Authorization", f"Basic {token}")
    urllib.request.urlopen(request).close()


def post_as_sent(twilio: str, number: str, body: str) -> None:
    """An SMS to that number which has left already: the sandbox sends nothing out to it by itself."""
    said = json.dumps({"from": "+447700900001", "to": number, "body": body}).encode()
    request = urllib.request.Request(f"{twilio}/sandbox/inbound", said, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()
