"""How often Twilio is asked about a lost answer, and what happens when two ask at once."""

from __future__ import annotations

import threading
import time
import uuid

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import Door, system_transaction, transaction
from models.messaging import messages, outcomes, reconciling
from models.notices import retries
from tasks.messaging import check_receipts, reconcile_sms
from tests.conftest import Clock
from tests.tasks.bookings import Booking, ended, inbox
from tests.tasks.reconcile.asking import Faults, lost


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
    assert [each.state() for each in bookings].count("sent") == 2  # those without a question so far
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
            seen.append(outcomes.of_others(session, other.org_id, other.id, [taken]))

    looking = threading.Thread(target=look)
    with system_transaction(Door.OPERATOR) as session:
        assert outcomes.of_others(session, one.org_id, one.id, [taken]) == set()
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
    """Its worker froze so long that it was given up, and then learnt that the message was sent."""
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
