"""What a late code of Twilio's means for its message, and which messages a person may send again."""

from __future__ import annotations

import uuid

import pytest

from models.base.session import Door, system_transaction, transaction
from models.messaging import messages, outcomes
from models.notices import retries
from models.notices.retries import Retry
from tasks.messaging import check_receipts
from tests.conftest import Clock
from tests.tasks.bookings import Booking, ended, inbox
from tests.tasks.reconcile.asking import Faults, sent
from tests.tasks.sendings import alerts


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
    assert one != other  # each SMS has a link of its own
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
    """The appointment's columns about its confirmation."""
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
    sent(second)  # Twilio accepts it as it accepted the first one, which proves nothing
    assert booking.sender("stopped_code") == ("30034",)
    third = second.next()
    clock.forward(601)
    sent(third)
    ended(twilio, third.phone)
    clock.forward(301)
    check_receipts.run()
    assert third.state() == "delivered"
    assert booking.sender("stopped_at") == (None,)
    assert len(alerts(caplog)) == 1
