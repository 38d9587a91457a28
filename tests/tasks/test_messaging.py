"""deliver, sweep and reconcile against the sandbox Twilio, over the real client and real HTTP."""

from __future__ import annotations

import threading
import uuid
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from models.base.session import Door, system_transaction, transaction
from models.messaging import messages, outbox, outcomes, senders, timing
from models.messaging.meanings import Failure, Meaning
from tasks import providers
from tasks.delivery import prepare
from tasks.messaging import RETRIES, RETRY_LONGEST, RETRY_ON, deliver_sms, reconcile_sms, sweep_sms
from tests.conftest import Clock
from tests.factories import bare, phone_number, reserve, slot
from tests.tasks.bookings import Booking, PatientWorker, inbox


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

    assert due() == []  # its own nudge is still fresh
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
    """An attempt that was certainly not sent, and not the first: those are Celery's to repeat."""
    faults(**({"kind": "429"} | fault))
    booking.sql.execute(
        "UPDATE sms_messages SET attempt = greatest(attempt, 3) WHERE id = %s",
        [message or booking.confirmation],
    )
    booking.sql.execute("UPDATE integration_settings SET sms_per_second = 0 WHERE org_id = %s", [booking.org])
    booking.due_now(message)
    booking.deliver(message)
    assert booking.state(message=message) == "queued"


def wait_of(booking: Booking, message: str | None = None) -> float:
    return float(booking.state("extract(epoch FROM next_attempt_at - app_clock())", message))


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
    assert len({round(each, 1) for each in of_code}) > 1  # they do not all come back together


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
    assert wait_of(full) > 60  # Twilio's own wish
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


# --- what Twilio's codes do ---------------------------------------------------------------------


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


def alerts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


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
    booking.deliver()  # the one that tries whether it works again
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
    refused.deliver()  # the one that tries whether it works again
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
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1


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


# --- a sender that is refused -------------------------------------------------------------------


def test_a_burst_of_refusals_costs_a_clinic_seconds(
    booking: Booking, faults: Any, clock: Clock, caplog: pytest.LogCaptureFixture, twilio: str
) -> None:
    others = [booking.next()]
    others.append(others[0].next())
    faults("refuse", code=20003, times=2)  # 401, also to the first try
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
    booking.deliver(booking.otp)  # which waits for the outcome of the try
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
    """Three attempts without an answer pause a sender for seconds; a stop by then lasts minutes."""
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


# --- who waits for whom -------------------------------------------------------------------------


def test_an_account_that_does_not_answer_pauses_and_holds_up_no_other(
    client: FlaskClient, sql: psycopg.Connection, faults: Any
) -> None:
    silent, other = Booking(client, sql), Booking(client, sql)
    second = silent.next()
    faults("drop-before", times=3)
    silent.deliver(silent.otp)
    silent.deliver()
    second.deliver()
    assert silent.sender("failures, retry_at > app_clock()") == (3, True)
    second.deliver(second.otp)
    assert second.state("status, attempt", second.otp) == ("queued", 0)
    other.deliver()
    assert other.state() == "sent"


def at_once(*bookings: Booking) -> None:
    """Each by a worker of its own."""
    threads = [threading.Thread(target=each.deliver) for each in bookings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_clinic_whose_answers_are_slow_leaves_a_process_to_the_others(
    client: FlaskClient, sql: psycopg.Connection, faults: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.messaging.SLOW", 1.0)
    slow, other = [Booking(client, sql)], Booking(client, sql)
    for _ in range(5):
        slow.append(slow[-1].next())
    for each in slow:
        faults("slow", seconds=1.5, to=each.phone)
    at_once(*slow, other)
    states = [each.state() for each in slow]
    assert (states.count("sent"), states.count("queued"), other.state()) == (2, 4, "sent")
    assert slow[0].sender("slow") == (True,)
    clock.forward(2)
    waiting = [each for each in slow if each.state() == "queued"]
    at_once(*waiting)
    assert [each.state() for each in waiting].count("sent") == 1  # now that it is known to be slow
    waiting = [each for each in slow if each.state() == "queued"]
    PatientWorker(sql, clock).run(10, *waiting)
    assert {each.state() for each in slow} == {"sent"}
    slow[0].deliver(slow[0].otp)  # answered at once
    assert slow[0].sender("slow") == (False,)


def test_a_message_waits_for_its_clinics_others_without_a_process_and_not_for_a_dead_worker(
    booking: Booking, clock: Clock
) -> None:
    others = [booking.next()]
    others.append(others[0].next())
    org = uuid.UUID(booking.org)
    worker = PatientWorker(booking.sql, clock)
    claimed = []
    for each in others:
        with system_transaction(Door.OPERATOR) as session:
            claimed.append(outbox.claim_for_sending(session, org, uuid.UUID(each.confirmation)))
    worker.run(1, booking)
    for _ in range(15):
        for message in filter(None, claimed):
            with system_transaction(Door.OPERATOR) as session:
                outbox.keep_alive(session, message)
        worker.run(1)  # which looks again and again, and holds no process meanwhile
        assert booking.state("status, attempt") == ("queued", 0)
    worker.run(2.5)  # of both nothing is heard any more
    assert booking.state() == "sent"
    assert [each.state() for each in others] == ["sending", "sending"]
    worker.run(34)
    assert [each.state() for each in others] == ["unknown", "unknown"]


def test_a_receipt_that_comes_before_a_slow_answer_does_not_free_its_process(
    booking: Booking, clock: Clock
) -> None:
    clock.stop()
    waiting = booking.next()
    sent_first = waiting.next()
    org = uuid.UUID(booking.org)
    for each in (booking, sent_first):
        with system_transaction(Door.OPERATOR) as session:
            assert outbox.claim_for_sending(session, org, uuid.UUID(each.confirmation))
        booking.sql.execute(
            "UPDATE sms_messages SET provider_id = 'SM' || replace(id::text, '-', '') WHERE id = %s",
            [each.confirmation],
        )
        each.receipt("delivered")
    waiting.deliver()
    assert waiting.state("status, attempt") == ("queued", 0)
    clock.forward(31)
    waiting.deliver()
    assert waiting.state() == "sent"


def test_a_code_waits_for_a_code_and_not_for_confirmations(booking: Booking, clock: Clock) -> None:
    clock.stop()
    others = [booking.next()]
    others.append(others[0].next())
    org = uuid.UUID(booking.org)

    def claim(message: str) -> messages.SmsMessage | None:
        with system_transaction(Door.OPERATOR) as session:
            return outbox.claim_for_sending(session, org, uuid.UUID(message))

    assert all(claim(each.confirmation) for each in others)
    code = claim(booking.otp)
    assert code
    assert claim(others[0].otp) is None
    with system_transaction(Door.OPERATOR) as session:
        outcomes.record_end(session, code, slow=False)
    clock.forward(0.3)
    assert claim(others[0].otp)


@pytest.fixture
def sixty(client: FlaskClient, sql: psycopg.Connection, twilio: str) -> list[Booking]:
    """Of one clinic that sends five a second."""
    del twilio
    bookings = [Booking(client, sql)]
    bookings += [Booking(client, sql, org=bookings[0].org, days=15 + n) for n in range(59)]
    org = bookings[0].org
    sql.execute("UPDATE sms_messages SET status = 'expired' WHERE org_id = %s AND kind = 'otp'", [org])
    sql.execute("UPDATE integration_settings SET sms_per_second = 5 WHERE org_id = %s", [org])
    return bookings


def sendings(booking: Booking) -> list[float]:
    """The moments at which the clinic's messages were claimed."""
    return [
        row[0]
        for row in booking.sql.execute(
            "SELECT extract(epoch FROM created_at)::float8 FROM sms_events"
            " WHERE org_id = %s AND to_status = 'sending' ORDER BY created_at",
            [booking.org],
        )
    ]


def most_in_a_second(moments: list[float]) -> int:
    return max(sum(first <= each < first + 1 for each in moments) for first in moments)


def test_a_clinics_pace_is_kept_in_every_second(sixty: list[Booking], clock: Clock) -> None:
    PatientWorker(sixty[0].sql, clock).run(20, *sixty)
    assert {each.state() for each in sixty} == {"sent"}
    moments = sendings(sixty[0])
    assert len(moments) == 60
    assert most_in_a_second(moments) <= 8  # five, what goes a fifth of a second early, a pause of the machine
    assert moments[-1] - moments[0] < 60 / 5 + 3  # and hardly a moment is wasted


def test_moments_that_were_missed_are_not_all_made_up_for_at_once(sixty: list[Booking], clock: Clock) -> None:
    worker = PatientWorker(sixty[0].sql, clock)
    worker.run(1, *sixty)
    worker.forget()
    clock.forward(22)
    before = len(sendings(sixty[0]))
    worker.run(25)
    assert {each.state() for each in sixty} == {"sent"}
    moments = sendings(sixty[0])[before:]
    assert most_in_a_second(moments) <= 8
    assert moments[-1] - moments[0] < len(moments) / 5 + 3


def test_a_broken_off_request_is_not_held_against_a_database_that_comes_back(
    booking: Booking, monkeypatch: pytest.MonkeyPatch, twilio: str
) -> None:
    real, calls = outcomes.record_sent, []

    def away_at_first(*args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OperationalError("UPDATE", {}, psycopg.OperationalError("gone"))
        real(*args, **kwargs)

    monkeypatch.setattr("tasks.messaging.outcomes.record_sent", away_at_first)
    booking.deliver()
    assert booking.state() == "sent"
    assert len(inbox(twilio, booking.phone)) == 1


@pytest.mark.parametrize(
    ("left", "valid_for"), [(0.4, 1), (1.9, 1), (5.9, 5), (4 * 3600 - 1, 4 * 3600 - 1), (9 * 3600, 4 * 3600)]
)
def test_the_provider_holds_on_to_a_message_no_longer_than_it_is_of_use(
    booking: Booking, clock: Clock, left: float, valid_for: int
) -> None:
    """In seconds, and never none, which the provider refuses."""
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
        for _ in range(20):  # the pace is taken for the next two seconds
            senders.take_moment(session, org, per_second=10)
    booking.due_now()
    booking.deliver()
    assert booking.state("status, attempt") == ("queued", 0)
    clock.forward(2.5)
    booking.deliver()
    assert booking.state() == "sent"
    assert booking.sender("stopped_code, retry_at") == (None, None)
