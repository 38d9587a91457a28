"""The SMS about a booking that is moved and cancelled: each change once, and the final state last."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.booking import links
from models.booking.appointments import Change
from models.insight import privacy
from models.messaging import opt_outs, outcomes, timing
from models.messaging.meanings import Failure
from models.messaging.opt_outs import OptOutSource
from models.messaging.states import SmsKind
from models.notices.texts import reference
from tasks.messaging import reconcile_sms
from tests.conftest import Clock
from tests.factories import slot
from tests.linked import at
from tests.tasks.diary import NEW, Diary, Faults, retry, spoken, texts
from tests.tasks.sendings import alerts

SUPERSEDED = ("expired", "a later message says something else")


@pytest.fixture
def diary(client: FlaskClient, sql: psycopg.Connection, twilio: str) -> Diary:
    del twilio
    return Diary(client, sql)


# --- the words ----------------------------------------------------------------------------------


def test_a_move_says_from_when_to_when_and_has_a_link_that_works(diary: Diary, twilio: str) -> None:
    diary.deliver(diary.message)
    moved = diary.move()
    assert moved.message_id is not None
    diary.deliver(moved.message_id)
    booked, text = texts(twilio, diary)
    ref = f"Ref {reference(uuid.UUID(diary.appointment))}"
    link = f"/a/{links.derive(moved.message_id)}"
    assert booked.startswith(f"Confirmed: {spoken(diary.start)}, Test Clinic. {ref}.")
    assert text.startswith(
        f"Moved from {spoken(diary.start)} to {spoken(NEW)}, Test Clinic. {ref}. To change or cancel: "
    )
    assert link in text
    assert diary.client.get(link).status_code == 200
    assert diary.sms(moved.message_id, "body") == links.hidden(text)


def test_a_second_move_says_from_when_as_its_patient_last_heard_it(diary: Diary, twilio: str) -> None:
    """The SMS of a move is never sent if the appointment moves again before."""
    third, fourth = slot(hour=16), slot(hour=13)
    first, second = diary.move(), diary.move(third)
    for message in (diary.message, first.message_id, second.message_id):
        diary.deliver(message)
    [text] = texts(twilio, diary)
    assert text.startswith(f"Moved from {spoken(diary.start)} to {spoken(third)}, ")
    diary.deliver(diary.move(fourth).message_id)
    assert any(
        text.startswith(f"Moved from {spoken(third)} to {spoken(fourth)}, ") for text in texts(twilio, diary)
    )


def test_one_that_is_moved_back_before_its_text_went_out_is_confirmed_as_it_was(
    diary: Diary, twilio: str
) -> None:
    """Its link was used, so the patient needs a new link."""
    first, second = diary.move(), diary.move(diary.start)
    for message in (diary.message, first.message_id, second.message_id):
        diary.deliver(message)
    [text] = texts(twilio, diary)
    assert text.startswith(f"Confirmed: {spoken(diary.start)}, ")


def test_a_cancellation_says_what_is_cancelled_and_how_to_book_again(diary: Diary, twilio: str) -> None:
    diary.deliver(diary.message)
    cancelled = diary.cancel()
    kind, to_phone, expires_at = diary.sms(cancelled.message_id, "kind, to_phone, expires_at")
    assert (kind, to_phone, expires_at) == ("cancellation", diary.phone, at(diary.start))
    diary.deliver(cancelled.message_id)
    _, text = texts(twilio, diary)
    ref = reference(uuid.UUID(diary.appointment))
    assert text == (
        f"Cancelled: {spoken(diary.start)}, Test Clinic. Ref {ref}. To book again call +44 20 7946 0958"
    )
    assert diary.sms(cancelled.message_id, "segments") == 1
    assert diary.client.get(diary.path).status_code == 410
    # The appointment still has its confirmation (P2).
    assert diary.newest() == diary.message
    assert diary.row("confirmation_sms_sent") is True


# --- a message that is on its way ----------------------------------------------------------------


def test_of_a_booking_that_is_cancelled_before_its_text_went_out_one_text_tells(
    diary: Diary, twilio: str
) -> None:
    moved = diary.move()
    cancelled = diary.cancel()
    for message in (diary.message, moved.message_id, cancelled.message_id, cancelled.message_id):
        diary.deliver(message)
    [text] = texts(twilio, diary)
    assert text.startswith(f"Cancelled: {spoken(NEW)}, ")
    assert diary.sms() == diary.sms(moved.message_id) == SUPERSEDED


@pytest.mark.parametrize("change", [Diary.move, Diary.cancel])
def test_while_the_older_text_is_being_sent_the_newer_one_waits(
    diary: Diary, twilio: str, change: Callable[[Diary], Change]
) -> None:
    taken = diary.take()
    assert taken
    newer = change(diary).message_id
    diary.deliver(newer)
    assert diary.sms(newer, "status") == "queued"
    assert texts(twilio, diary) == []
    diary.send(taken)
    diary.deliver(newer)
    first, last = texts(twilio, diary)
    assert first.startswith("Confirmed: ")
    assert last.startswith(("Moved from ", "Cancelled: "))


def test_a_worker_that_died_with_the_older_text_holds_the_newer_one_up_no_longer_than_its_lease(
    diary: Diary, twilio: str, clock: Clock
) -> None:
    assert diary.take()
    cancelled = diary.cancel().message_id
    diary.deliver(cancelled)
    assert diary.sms(cancelled, "status") == "queued"
    clock.forward(timing.LEASE.total_seconds() + 1)
    diary.deliver(cancelled)
    assert [text.partition(":")[0] for text in texts(twilio, diary)] == ["Cancelled"]


def test_texts_of_other_appointments_are_not_waited_for(diary: Diary, twilio: str) -> None:
    other = Diary(diary.client, diary.sql, diary.org, start=slot(hour=12))
    assert other.take()
    cancelled = diary.cancel().message_id
    diary.deliver(cancelled)
    assert len(texts(twilio, diary)) == 1


@pytest.mark.parametrize("change", [Diary.move, Diary.cancel])
def test_what_could_not_be_handed_over_meanwhile_is_superseded_without_an_alarm(
    diary: Diary,
    faults: Faults,
    twilio: str,
    change: Callable[[Diary], Change],
    caplog: pytest.LogCaptureFixture,
) -> None:
    taken = diary.take()
    assert taken
    newer = change(diary).message_id
    faults("429")
    diary.send(taken)
    assert diary.sms() == SUPERSEDED
    diary.deliver(diary.message)
    diary.deliver(newer)
    assert len(texts(twilio, diary)) == 1
    assert alerts(caplog) == []
    trouble = "SELECT count(*) FROM sms_trouble WHERE org_id = %s AND status <> 'queued'"
    assert diary.one(trouble, diary.org) == 0


@pytest.mark.parametrize(("fault", "got"), [("drop-after-accept", 2), ("drop-before", 1)])
@pytest.mark.parametrize("change", [Diary.move, Diary.cancel])
def test_an_older_text_whose_answer_was_lost_is_never_sent_after_the_newer_one(
    diary: Diary,
    faults: Faults,
    twilio: str,
    clock: Clock,
    change: Callable[[Diary], Change],
    fault: str,
    got: int,
) -> None:
    faults(fault)
    diary.deliver(diary.message)
    assert diary.sms(columns="status") == "unknown"
    newer = change(diary).message_id
    diary.deliver(newer)
    clock.forward(91)
    reconcile_sms.run()
    diary.deliver(diary.message)
    assert diary.sms(columns="status") == ("sent" if got == 2 else "expired")
    assert len(texts(twilio, diary)) == got
    assert texts(twilio, diary)[-1].startswith(("Moved from ", "Cancelled: "))


def test_a_cancellation_that_no_longer_holds_is_not_queued_again(diary: Diary) -> None:
    """An operator takes the cancellation back by SQL while a worker has claimed its SMS."""
    cancelled = diary.cancel().message_id
    assert diary.take(cancelled)
    diary.sql.execute("UPDATE appointments SET status = 'confirmed' WHERE id = %s", [diary.appointment])
    diary.sql.execute("UPDATE sms_messages SET status = 'queued' WHERE id = %s", [cancelled])
    assert diary.sms(cancelled) == SUPERSEDED


def test_the_confirmation_of_an_appointment_that_a_statement_cancelled_is_kept_back(
    diary: Diary, twilio: str
) -> None:
    """Only cancel_appointment() ends the waiting SMS; here the worker does, and that is no failure."""
    diary.sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [diary.appointment])
    diary.deliver(diary.message)
    assert diary.sms() == SUPERSEDED
    assert texts(twilio, diary) == []


# --- patients who get no SMS ---------------------------------------------------------------------


@pytest.mark.parametrize("change", [Diary.move, Diary.cancel])
def test_who_wants_no_texts_gets_none_and_the_row_says_so(
    diary: Diary, twilio: str, change: Callable[[Diary], Change]
) -> None:
    with transaction(diary.clinic) as session:
        opt_outs.record(session, diary.clinic, diary.phone, OptOutSource.KEYWORD)
    newer = change(diary).message_id
    diary.deliver(newer)
    assert diary.sms(newer) == ("failed", "the patient has opted out")
    assert texts(twilio, diary) == []


def test_a_landline_is_tried_once_and_the_booking_is_cancelled_all_the_same(
    diary: Diary, faults: Faults, twilio: str
) -> None:
    cancelled = diary.cancel().message_id
    faults("refuse", code=21614)
    diary.deliver(cancelled)
    assert diary.sms(cancelled, "status, error_code") == ("failed", "21614")
    assert diary.row("status") == "cancelled"
    assert texts(twilio, diary) == []


def test_an_erased_patient_gets_no_text_about_a_cancellation(diary: Diary, twilio: str) -> None:
    """No SMS about the erasure's own cancellation, and none about an earlier one that still waits."""
    other = Diary(diary.client, diary.sql, diary.org, start=slot(hour=12), patientPhone=diary.phone)
    waiting = other.cancel().message_id
    with transaction(diary.clinic, actor="operator ann") as session:
        privacy.erase(session, diary.clinic, [diary.phone], cancel=True)
    assert diary.rows("cancellation") == []
    other.deliver(waiting)
    assert diary.sms(waiting) == ("expired", "the patient was erased")
    assert texts(twilio, diary) == []
    actor = diary.one("SELECT actor FROM appointment_changes WHERE appointment_id = %s", diary.appointment)
    assert actor == "operator ann"


# --- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [Diary.move, Diary.cancel])
def test_a_failed_text_that_says_what_is_over_is_not_sent_again_by_hand(
    diary: Diary, change: Callable[[Diary], Change]
) -> None:
    taken = diary.take()
    assert taken
    change(diary)
    with transaction(diary.clinic) as session:
        outcomes.record_refused(session, taken[0], Failure("no", "21610"))
    done = retry(diary, diary.message)
    assert (done.done, done.why) == (False, "what it was about is gone, or another message says it")
    assert diary.sms(columns="status") == "failed"


def test_a_cancellation_that_was_not_delivered_is_sent_anew_and_confirms_nothing(
    diary: Diary, twilio: str
) -> None:
    cancelled = diary.cancel().message_id
    diary.deliver(cancelled)
    diary.sql.execute(
        "UPDATE sms_messages SET status = 'undelivered', error_code = '30003',"
        " error_meaning = 'switched_off' WHERE id = %s",
        [cancelled],
    )
    done = retry(diary, cancelled)
    assert done.due is not None
    assert done.due.kind is SmsKind.CANCELLATION
    diary.deliver(done.due.message_id)
    assert diary.newest() == diary.message  # P2
    assert len(texts(twilio, diary)) == 2
