"""The life of an SMS: the changes of status that the database allows, and its record of them."""

from __future__ import annotations

import itertools
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from models.base.session import Door, system_transaction, transaction
from models.messaging import opt_outs, outbox, outcomes, reconciling
from models.messaging.meanings import Failure
from models.messaging.messages import SmsMessage
from models.messaging.opt_outs import OptOutSource
from models.messaging.states import MOVES, Cause, SmsStatus
from tests.conftest import Clock
from tests.models.messaging.claiming import booking as booking  # the fixture  # noqa: PLC0414
from tests.models.messaging.claiming import claim, message_of
from tests.tasks.bookings import Booking

PAIRS = list(itertools.product(SmsStatus, SmsStatus))


# --- moves --------------------------------------------------------------------------------------


def test_the_table_here_is_the_databases_own(sql: psycopg.Connection) -> None:
    for before, after in PAIRS:
        row = sql.execute("SELECT sms_move_is_legal(%s, %s)", [before.value, after.value]).fetchone()
        assert row == (before is after or after in MOVES[before],), (before, after)


def test_illegal_moves_are_refused_to_raw_sql_too(booking: Booking, sql: psycopg.Connection) -> None:
    refused = 0
    for before, after in PAIRS:
        sql.execute("ALTER TABLE sms_messages DISABLE TRIGGER legal_moves")
        try:
            sql.execute(
                "UPDATE sms_messages SET status = %s WHERE id = %s", [before.value, booking.confirmation]
            )
        finally:
            sql.execute("ALTER TABLE sms_messages ENABLE TRIGGER legal_moves")
        if before is after or after in MOVES[before]:
            continue
        with pytest.raises(
            psycopg.errors.CheckViolation, match=f"{before.value} cannot become {after.value}"
        ):
            sql.execute(
                "UPDATE sms_messages SET status = %s WHERE id = %s", [after.value, booking.confirmation]
            )
        refused += 1
    assert refused > 30


def test_what_was_delivered_stays_delivered_and_everything_may_turn_out_to_be() -> None:
    assert MOVES[SmsStatus.DELIVERED] == frozenset()
    assert {before for before, after in MOVES.items() if SmsStatus.DELIVERED in after} == set(SmsStatus) - {
        SmsStatus.DELIVERED
    }


def test_every_cause_is_one_that_the_database_knows(sql: psycopg.Connection) -> None:
    row = sql.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'sms_messages'::regclass AND conname LIKE '%cause'"
    ).fetchone()
    assert row
    assert all(f"'{cause.value}'" in row[0] for cause in Cause)


def test_every_move_is_noted_with_its_cause_attempt_and_code(booking: Booking) -> None:
    message = claim(booking)
    assert message
    with transaction(message.org_id) as session:
        outcomes.record_refused(session, message, Failure("no such number", "21211"))
    rows = booking.sql.execute(
        "SELECT from_status, to_status, cause, attempt, error_code FROM sms_events"
        " WHERE message_id = %s ORDER BY id",
        [booking.confirmation],
    ).fetchall()
    assert rows == [
        (None, "queued", "created", 0, None),
        ("queued", "sending", "claimed by a worker", 1, None),
        ("sending", "failed", "refused by the provider", 1, "21211"),
    ]


def test_a_fence_keeps_an_older_attempt_from_recording_a_failure(booking: Booking, clock: Clock) -> None:
    old = claim(booking)
    assert old
    with system_transaction(Door.OPERATOR) as session:
        outcomes.record_unknown(session, old, "lost")
    clock.forward(91)
    with system_transaction(Door.OPERATOR) as session:
        reconciling.record_never_sent(session, message_of(booking))
    new = claim(booking)
    assert new
    assert new.attempt == old.attempt + 1
    with system_transaction(Door.OPERATOR) as session:
        outcomes.record_refused(session, old, Failure("late", "21211"))
        outcomes.record_unavailable(session, old, Failure("late"))
        outcomes.record_unknown(session, old, "late")
    assert booking.state() == "sending"


# --- walls behind the walls ---------------------------------------------------------------------


def test_what_the_provider_says_of_an_attempt_says_nothing_of_a_later_one(booking: Booking) -> None:
    first = claim(booking)
    assert first
    with transaction(first.org_id) as session:
        outcomes.record_unknown(session, first, "lost")
    stale = message_of(booking)
    later = "next_attempt_at = app_clock(), unknown_since = app_clock() - interval '2 min'"
    for status, more in (("queued", f", {later}"), ("sending", ", attempt = 2"), ("unknown", "")):
        booking.sql.execute(
            f"UPDATE sms_messages SET status = '{status}'{more} WHERE id = %s".encode(),
            [booking.confirmation],
        )
    booking.sql.execute(
        "UPDATE sms_messages SET cause = %s WHERE id = %s", [stale.cause.value, booking.confirmation]
    )
    stale.unknown_since = stale.created_at - timedelta(minutes=2)
    with transaction(first.org_id) as session:
        reconciling.record_never_sent(session, stale)
    assert booking.state("status, attempt") == ("unknown", 2)
    with transaction(first.org_id) as session:
        reconciling.record_never_sent(session, session.get_one(SmsMessage, stale.id))
    assert booking.state() == "queued"


def test_a_confirmation_whose_appointment_was_cancelled_while_it_was_being_sent_is_not_tried_again(
    booking: Booking,
) -> None:
    message = claim(booking)
    assert message
    assert booking.sql.execute(
        "SELECT success FROM cancel_appointment(%s, %s)", [booking.appointment, booking.org]
    ).fetchone() == (True,)
    assert booking.state() == "sending"
    with transaction(message.org_id) as session:
        outcomes.record_unavailable(session, message, Failure("slower, please"))
    assert booking.state("status, cause") == ("expired", "a later message says something else")


def test_a_second_stop_changes_nothing_of_the_first(booking: Booking, clock: Clock) -> None:
    org = uuid.UUID(booking.org)

    def stop(source: OptOutSource) -> Any:
        with transaction(org) as session:
            opt_outs.record(session, org, booking.phone, source)
        return booking.sql.execute(
            "SELECT source, opted_out_at FROM opt_outs WHERE org_id = %s AND phone = %s", [org, booking.phone]
        ).fetchone()

    first = stop(OptOutSource.KEYWORD)
    clock.forward(3600)
    assert stop(OptOutSource.PROVIDER) == first
    with transaction(org) as session:
        opt_outs.lift(session, org, booking.phone)
    assert stop(OptOutSource.WORDS) > first


def test_an_attempt_that_is_over_comes_to_life_no_more(booking: Booking) -> None:
    """A late sign of life of the attempt would hold up the clinic's other messages."""
    claimed = claim(booking)
    assert claimed
    with transaction(uuid.UUID(booking.org)) as session:
        outbox.keep_alive(session, claimed)
    assert booking.state("lease_until IS NOT NULL")
    with transaction(uuid.UUID(booking.org)) as session:
        outcomes.record_end(session, claimed, slow=False)
        outbox.keep_alive(session, claimed)
    assert booking.state("lease_until") is None
