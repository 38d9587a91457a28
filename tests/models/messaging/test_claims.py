"""The conditions of a claim of an SMS, and the time that each message gets."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from models.base.session import Door, system_transaction, transaction
from models.messaging import opt_outs, outbox, outcomes, senders
from models.messaging.meanings import Failure, Meaning
from models.messaging.opt_outs import OptOutSource
from tests.conftest import Clock
from tests.factories import bare, create_clinic, phone_number, reserve, slot
from tests.models.messaging.claiming import booking as booking  # the fixture  # noqa: PLC0414
from tests.models.messaging.claiming import claim, message_of
from tests.tasks.bookings import Booking

STOP = Failure("credentials", "20003", Meaning.MISCONFIGURED)


def test_only_one_of_two_claims_has_it(booking: Booking) -> None:
    assert claim(booking)
    assert claim(booking) is None


def test_a_claim_waits_while_another_is_being_made(booking: Booking) -> None:
    org, message = uuid.UUID(booking.org), uuid.UUID(booking.confirmation)
    with transaction(org) as one, transaction(org) as other:
        assert outbox.claim_for_sending(one, org, message)
        assert outbox.claim_for_sending(other, org, message) is None


def test_a_claim_respects_expiry(booking: Booking, clock: Clock) -> None:
    booking.sql.execute(
        "UPDATE sms_messages SET expires_at = app_clock() + interval '5 s' WHERE id = %s",
        [booking.confirmation],
    )
    clock.forward(6)
    assert claim(booking) is None
    assert booking.state("status, cause") == ("expired", "it could not be sent in time")


def test_a_claim_respects_an_opt_out_and_its_end(booking: Booking) -> None:
    org = uuid.UUID(booking.org)
    with transaction(org) as session:
        opt_outs.record(session, org, booking.phone, OptOutSource.STAFF)
    assert claim(booking) is None
    assert booking.state("status, cause, error_code") == ("failed", "the patient has opted out", "opted_out")
    with transaction(org) as session:
        assert opt_outs.lift(session, org, booking.phone)
        assert not opt_outs.lift(session, org, booking.phone)
    assert claim(booking, booking.otp)


def test_a_claim_respects_a_pause_and_says_until_when(booking: Booking, clock: Clock) -> None:
    clock.stop()
    message = message_of(booking)
    with transaction(message.org_id) as session:
        for _ in range(3):
            senders.record_silence(session, message.org_id)
    assert claim(booking, booking.otp) is None
    assert booking.state("next_attempt_at > app_clock() + interval '4 s'", booking.otp) is True
    clock.forward(6)
    assert claim(booking, booking.otp)
    assert claim(booking) is None  # one message tries, the others wait for its outcome


def test_an_answer_ends_a_silence(booking: Booking) -> None:
    message = message_of(booking)
    with transaction(message.org_id) as session:
        for _ in range(3):
            senders.record_silence(session, message.org_id)
        senders.record_answer(session, message.org_id)
    assert claim(booking)


def test_a_refused_message_does_not_undo_a_stop(booking: Booking) -> None:
    message = message_of(booking)
    with transaction(message.org_id) as session:
        assert senders.record_stop(session, message.org_id, STOP)
        assert not senders.record_stop(session, message.org_id, STOP)
        senders.record_answer(session, message.org_id)
    assert claim(booking) is None


def test_resuming_a_sender_brings_forward_what_waited_for_it(booking: Booking) -> None:
    message = message_of(booking)
    with transaction(message.org_id) as session:
        senders.record_stop(session, message.org_id, STOP)
    assert claim(booking) is None
    with transaction(message.org_id) as session:
        senders.resume(session, message.org_id)
    assert claim(booking)


@pytest.fixture
def hundreds(client: FlaskClient, sql: psycopg.Connection) -> Iterator[tuple[str, list[str]]]:
    """A clinic with 300 waiting messages, inserted by SQL and deleted afterwards."""
    org = create_clinic(sandbox=True)
    rows = sql.execute(
        "INSERT INTO sms_messages (id, org_id, kind, to_phone, created_at)"
        " SELECT gen_random_uuid(), %s, 'hot_lead_alert', '+447700900000', app_clock()"
        " FROM generate_series(1, 300) RETURNING id::text",
        [org],
    ).fetchall()
    yield org, [row[0] for row in rows]
    sql.execute("DELETE FROM sms_messages WHERE org_id = %s", [org])


def test_hundreds_of_messages_get_a_moment_each_and_a_code_overtakes_them(
    client: FlaskClient, sql: psycopg.Connection, hundreds: tuple[str, list[str]]
) -> None:
    org, queued = hundreds
    with transaction(uuid.UUID(org)) as session:
        went = [outbox.claim_for_sending(session, uuid.UUID(org), uuid.UUID(each)) for each in queued]
    at_once = sum(message is not None for message in went)
    assert 1 <= at_once <= 40  # messages whose time came while the others were being put back
    rows = sql.execute(
        "SELECT slot_at FROM sms_messages WHERE org_id = %s AND status = 'queued' ORDER BY slot_at", [org]
    ).fetchall()
    moments = [row[0] for row in rows]
    assert len(set(moments)) == len(moments) == 300 - at_once
    assert min(later - earlier for earlier, later in itertools.pairwise(moments)) >= timedelta(seconds=0.0999)
    hold = reserve(client, org, slotId=slot(days=9), patientPhone=phone_number())["holdId"]
    bare(client, "booking/send-otp", holdId=hold)
    [code] = sql.execute("SELECT id FROM sms_messages WHERE hold_id = %s", [hold]).fetchall()
    with transaction(uuid.UUID(org)) as session:
        assert outbox.claim_for_sending(session, uuid.UUID(org), code[0])


def test_whoever_has_waited_for_his_moment_is_not_given_another(booking: Booking, clock: Clock) -> None:
    org = uuid.UUID(booking.org)
    with transaction(org) as session:
        for _ in range(50):
            senders.take_moment(session, org, per_second=10)
    assert claim(booking) is None
    moment = booking.state("slot_at")
    clock.forward(5.1)
    assert claim(booking)
    assert moment is not None
    assert booking.state("slot_at") is None


def test_a_claim_that_is_kept_waiting_between_its_statements_is_not_put_back(
    booking: Booking, clock: Clock
) -> None:
    """On a busy machine a second may pass between reading the clock and taking a time in the pace."""
    org = uuid.UUID(booking.org)

    def wait(_c: object, _k: object, statement: str, *_: object) -> None:
        if "sms_per_second" in statement:
            clock.forward(1)

    with transaction(org) as session:
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", wait)
        claimed = outbox.claim_for_sending(session, org, uuid.UUID(booking.confirmation))
    assert claimed is not None


def test_a_pace_of_nothing_leaves_it_to_twilio(booking: Booking) -> None:
    booking.sql.execute("UPDATE integration_settings SET sms_per_second = 0 WHERE org_id = %s", [booking.org])
    assert claim(booking)
    assert booking.sender("next_at, full_until") == (None, None)


def test_the_sweep_finds_codes_before_all_else(
    client: FlaskClient, sql: psycopg.Connection, hundreds: tuple[str, list[str]], clock: Clock
) -> None:
    org, _ = hundreds
    sql.execute(
        "UPDATE sms_messages SET nudged_at = app_clock() + interval '1 day' WHERE org_id <> %s", [org]
    )
    clock.forward(60)
    hold = reserve(client, org, slotId=slot(days=9), patientPhone=phone_number())["holdId"]
    bare(client, "booking/send-otp", holdId=hold)
    clock.forward(3)
    with system_transaction(Door.OPERATOR) as session:
        due = outbox.sweep(session, limit=50)
    [code] = sql.execute("SELECT id FROM sms_messages WHERE hold_id = %s", [hold]).fetchall()
    assert code[0] in {row.message_id for row in due}


def test_senders_of_different_clinics_do_not_wait_for_each_other(
    booking: Booking, client: FlaskClient, sql: psycopg.Connection
) -> None:
    other = Booking(client, sql)
    with transaction(uuid.UUID(booking.org)) as session:
        assert outbox.claim_for_sending(session, uuid.UUID(booking.org), uuid.UUID(booking.confirmation))
        assert claim(other)


def test_the_views_show_what_somebody_should_look_at(booking: Booking, clock: Clock) -> None:
    message = claim(booking)
    assert message
    with transaction(message.org_id) as session:
        outcomes.record_unknown(session, message, "lost")
    clock.forward(61)

    def trouble(which: str) -> Any:
        row = booking.sql.execute("SELECT trouble FROM sms_trouble WHERE id = %s", [which]).fetchone()
        return row and row[0]

    assert (trouble(booking.confirmation), trouble(booking.otp)) == ("unknown", "late")


@pytest.mark.parametrize(("hours", "of_today"), [(23, 1), (25, 0)])
def test_the_health_of_a_clinic_is_of_24_hours_and_of_all_that_is_still_open(
    booking: Booking, hours: int, of_today: int
) -> None:
    other = booking.next()
    for message, status in (
        (booking.otp, "failed"),
        (booking.confirmation, "delivered"),
        (other.otp, "sending"),
        (other.otp, "unknown"),
    ):
        booking.sql.execute("UPDATE sms_messages SET status = %s WHERE id = %s", [status, message])
    booking.sql.execute(
        "UPDATE sms_messages SET created_at = app_clock() - make_interval(hours => %s) WHERE org_id = %s",
        [hours, booking.org],
    )
    assert booking.sql.execute(
        "SELECT failed_today, delivered_today, unknown, waiting, late FROM sms_health WHERE org_id = %s",
        [booking.org],
    ).fetchone() == (of_today, of_today, 1, 1, 1)
