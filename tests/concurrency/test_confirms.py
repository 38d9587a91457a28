"""P2 and P4 under pressure: one hold becomes at most one appointment; guessing in parallel gains nothing."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from models.base.session import sqlalchemy_url
from models.booking import holds
from models.booking.appointments import Confirmation
from tests.claimed import Claimed
from tests.concurrency.racing import (
    RIGHT,
    SLOT,
    WRONG,
    Connection,
    claim,
    confirm,
    connections,
    count_live,
    double_bookings,
    errors_in,
    hold_with_code,
    make_clinic,
    meanwhile,
    race,
    release,
    stray_occupancies,
    wait_until_blocked,
)

NOT_YET = timedelta(minutes=10)
OVER = timedelta(seconds=-1)


@pytest.fixture(scope="module")
def fifty(database_url: str) -> Iterator[list[Connection]]:
    with connections(database_url, 50) as opened:
        yield opened


@pytest.fixture(scope="module")
def engine(database_url: str) -> Iterator[Engine]:
    made = create_engine(
        sqlalchemy_url(database_url),
        isolation_level="READ COMMITTED",
        connect_args={"options": "-c app.scope=system"},
    )
    yield made
    made.dispose()


def expire(engine: Engine) -> int:
    with Session(engine) as session, session.begin():
        return holds.expire(session)


def confirmed(results: Sequence[object]) -> list[Confirmation]:
    return [answer for answer in results if isinstance(answer, Confirmation) and answer.success]


def rows_of(sql: Connection, org: str) -> tuple[list[Any], int, list[Any]]:
    """Appointments with their confirmation's kind and number, confirmations in all, and holds."""
    appointments = sql.execute(
        "SELECT a.id, a.hold_id, m.kind, m.to_phone = a.patient_phone FROM appointments a"
        " JOIN sms_messages m ON m.id = a.confirmation_message_id WHERE a.org_id = %s",
        [org],
    ).fetchall()
    confirmations = sql.execute(
        "SELECT 1 FROM sms_messages WHERE org_id = %s AND kind = 'confirmation'", [org]
    ).fetchall()
    held = sql.execute(
        "SELECT id, status, code_tries FROM appointment_holds WHERE org_id = %s ORDER BY created_at", [org]
    ).fetchall()
    return appointments, len(confirmations), held


@pytest.mark.parametrize("_round", range(3))
def test_fifty_confirmations_of_one_hold_make_one_appointment_and_one_sms(
    fifty: list[Connection], sql: Connection, _round: int
) -> None:
    org = make_clinic(sql)
    hold = hold_with_code(sql, org)
    results = race(fifty, lambda connection, _: confirm(connection, org, hold))
    assert errors_in(results) == []
    answers = [answer for answer in results if isinstance(answer, Confirmation)]
    (winner,) = [answer for answer in answers if answer.success]
    others = {
        (answer.code, answer.appointment_id, answer.message_id) for answer in answers if not answer.success
    }
    assert others == {("hold_confirmed", winner.appointment_id, winner.message_id)}
    appointments, confirmations, held = rows_of(sql, org)
    assert appointments == [(winner.appointment_id, hold, "confirmation", True)]
    assert confirmations == 1
    assert held == [(hold, "confirmed", 1)]
    assert stray_occupancies(sql, org) == []


def test_fifty_wrong_guesses_at_once_count_as_three_and_lock_the_hold(
    fifty: list[Connection], sql: Connection
) -> None:
    org = make_clinic(sql)
    hold = hold_with_code(sql, org)
    results = race(fifty, lambda connection, _: confirm(connection, org, hold, WRONG))
    assert errors_in(results) == []
    answers = Counter(
        (answer.code, answer.tries_left) for answer in results if isinstance(answer, Confirmation)
    )
    # The two that leave tries, the one that takes the last, and 47 that come too late.
    assert answers == {
        ("wrong_code", 2): 1,
        ("wrong_code", 1): 1,
        ("hold_locked", 0): 1,
        ("hold_locked", None): 47,
    }
    right = confirm(sql, org, hold, RIGHT)
    assert (right.success, right.code, right.appointment_id) == (False, "hold_locked", None)
    assert rows_of(sql, org) == ([], 0, [(hold, "locked", 3)])
    assert claim(sql, org, caller=1).success  # the slot is free again


@pytest.mark.parametrize("_round", range(8))
def test_the_right_code_among_parallel_guesses_wins_only_within_the_tries(
    fifty: list[Connection], sql: Connection, _round: int
) -> None:
    org = make_clinic(sql)
    hold = hold_with_code(sql, org)
    results = race(
        fifty[:6], lambda connection, n: confirm(connection, org, hold, RIGHT if n == 3 else WRONG)
    )
    assert errors_in(results) == []
    booked = [answer.appointment_id for answer in confirmed(results)]
    appointments, confirmations, held = rows_of(sql, org)
    assert [row[0] for row in appointments] == booked
    assert confirmations == len(booked)
    ((_, status, tries),) = held
    assert (status, len(booked)) in {("confirmed", 1), ("locked", 0)}
    assert tries <= 3
    assert count_live(sql, org) == len(booked)
    assert stray_occupancies(sql, org) == []


EXPIRIES = pytest.mark.parametrize(
    "expires_in", [NOT_YET, OVER, timedelta(milliseconds=2)], ids=["alive", "over", "ending"]
)


@EXPIRIES
@pytest.mark.parametrize("_round", range(12))
def test_confirm_release_and_expire_agree_on_what_became_of_the_hold(
    fifty: list[Connection], engine: Engine, sql: Connection, expires_in: timedelta, _round: int
) -> None:
    org = make_clinic(sql)
    hold = hold_with_code(sql, org, expires_in=expires_in)

    def act(connection: Connection, n: int) -> object:
        if n % 3 == 0:
            return confirm(connection, org, hold)
        if n % 3 == 1:
            return release(connection, org, hold)
        return expire(engine)

    results = race(fifty[:6], act)
    assert errors_in(results) == []
    won = confirmed(results)
    given_back = [answer for answer in results if isinstance(answer, tuple) and answer[0]]
    appointments, confirmations, ((_, status, _),) = rows_of(sql, org)
    assert [row[0] for row in appointments] == [answer.appointment_id for answer in won]
    assert confirmations == len(appointments)
    # Exactly one of the three ends the hold, and it was told so.
    ends = {("confirmed", 1, 0), ("released", 0, 1), ("expired", 0, 0)}
    ends -= {("expired", 0, 0)} if expires_in == NOT_YET else set()
    ends -= {("confirmed", 1, 0)} if expires_in == OVER else set()
    assert (status, len(won), len(given_back)) in ends
    assert count_live(sql, org) == len(won)
    assert stray_occupancies(sql, org) == []


@EXPIRIES
@pytest.mark.parametrize("_round", range(12))
def test_a_slot_at_its_expiry_goes_to_the_one_who_confirms_or_to_the_one_who_claims(
    fifty: list[Connection], sql: Connection, expires_in: timedelta, _round: int
) -> None:
    org = make_clinic(sql)
    hold = hold_with_code(sql, org, expires_in=expires_in)

    def act(connection: Connection, n: int) -> Claimed | Confirmation:
        return confirm(connection, org, hold) if n % 2 else claim(connection, org, caller=n)

    results = race(fifty[:4], act)
    assert errors_in(results) == []
    booked = len(confirmed(results))
    claimed = sum(isinstance(answer, Claimed) and answer.success for answer in results)
    assert booked + claimed <= 1
    if expires_in == NOT_YET:
        assert (booked, claimed) == (1, 0)
    if expires_in == OVER:
        assert (booked, claimed) == (0, 1)
    assert len(rows_of(sql, org)[0]) == booked
    assert double_bookings(sql, org) == 0
    assert count_live(sql, org) == booked + claimed
    assert stray_occupancies(sql, org) == []


# In slow motion: each order that the races above may take, made to happen.


def test_a_confirmation_that_waited_for_a_claim_of_its_expired_hold_is_refused(
    fifty: list[Connection], sql: Connection
) -> None:
    first, second = fifty[:2]
    org = make_clinic(sql)
    hold = hold_with_code(sql, org, expires_in=OVER)
    with first.transaction():
        assert claim(first, org, caller=2).success
        waiting = meanwhile(lambda: confirm(second, org, hold))
        wait_until_blocked(sql, second, by="advisory")
    refused = waiting.result(120)
    assert (refused.success, refused.code, refused.appointment_id) == (False, "hold_expired", None)
    assert rows_of(sql, org)[:2] == ([], 0)
    assert count_live(sql, org) == 1


def test_a_confirmation_judges_the_hold_by_the_clock_after_its_wait(
    fifty: list[Connection], sql: Connection
) -> None:
    first, second = fifty[:2]
    org = make_clinic(sql)
    hold = hold_with_code(sql, org)
    with first.transaction():
        assert claim(first, org, slot=SLOT + timedelta(hours=2), caller=2).success  # has the lock
        waiting = meanwhile(lambda: confirm(second, org, hold))
        wait_until_blocked(sql, second, by="advisory")
        sql.execute("UPDATE appointment_holds SET expires_at = clock_timestamp() WHERE id = %s", [hold])
    assert waiting.result(120).code == "hold_expired"
    assert rows_of(sql, org)[:2] == ([], 0)


def test_a_confirmation_waits_for_the_beat_that_is_expiring_its_hold(
    fifty: list[Connection], engine: Engine, sql: Connection
) -> None:
    org = make_clinic(sql)
    hold = hold_with_code(sql, org, expires_in=OVER)
    with Session(engine) as session:
        with session.begin():
            assert holds.expire(session) >= 1
            waiting = meanwhile(lambda: confirm(fifty[0], org, hold))
            wait_until_blocked(sql, fifty[0], by="transactionid")
        assert waiting.result(120).code == "hold_expired"
    assert rows_of(sql, org) == ([], 0, [(hold, "expired", 0)])
    assert stray_occupancies(sql, org) == []


@pytest.mark.parametrize("give_back", ["expire", "release"])
def test_a_claim_that_waited_for_its_stale_hold_to_be_given_back_has_the_slot(
    fifty: list[Connection], engine: Engine, sql: Connection, give_back: str
) -> None:
    """By the beat, which takes no lock, or by an operator's hand: either way nobody has it any more."""
    org = make_clinic(sql)
    hold = hold_with_code(sql, org, expires_in=OVER)
    with Session(engine) as session, session.begin():
        if give_back == "expire":
            assert holds.expire(session) >= 1
        else:
            session.execute(
                text("UPDATE appointment_holds SET status = 'released' WHERE id = :id"), {"id": hold}
            )
        waiting = meanwhile(lambda: claim(fifty[0], org, caller=2))
        wait_until_blocked(sql, fifty[0], by="transactionid")
    answer = waiting.result(120)
    assert (answer.success, answer.code) == (True, None)
    assert count_live(sql, org) == 1
    assert stray_occupancies(sql, org) == []


def test_the_beat_steps_over_a_hold_that_is_being_decided(
    fifty: list[Connection], engine: Engine, sql: Connection, clock: Any
) -> None:
    first, second = fifty[:2]
    org = make_clinic(sql)
    hold = hold_with_code(sql, org)
    with first.transaction():
        assert confirm(first, org, hold).success
        waiting = meanwhile(lambda: release(second, org, hold))
        wait_until_blocked(sql, second, by="advisory")
        clock.forward(3600)  # to everybody else it is still held, and over by now
        with Session(engine) as session, session.begin():
            session.execute(text("SET LOCAL lock_timeout = '500ms'"))
            holds.expire(session)  # it does not wait, which would be an error
    assert waiting.result(120) == (False, "hold_confirmed")
    assert rows_of(sql, org)[2] == [(hold, "confirmed", 1)]
    assert count_live(sql, org) == 1


def test_a_confirmation_that_waited_for_a_release_is_refused(
    fifty: list[Connection], sql: Connection
) -> None:
    first, second = fifty[:2]
    org = make_clinic(sql)
    hold = hold_with_code(sql, org)
    with first.transaction():
        assert release(first, org, hold) == (True, None)
        waiting = meanwhile(lambda: confirm(second, org, hold))
        wait_until_blocked(sql, second, by="advisory")
    assert waiting.result(120).code == "hold_released"
    assert rows_of(sql, org) == ([], 0, [(hold, "released", 0)])


def test_a_process_that_dies_before_it_commits_has_confirmed_nothing(
    database_url: str, fifty: list[Connection], sql: Connection
) -> None:
    org = make_clinic(sql)
    hold = hold_with_code(sql, org)
    with connections(database_url, 1) as (dying,):
        dying.execute("BEGIN")
        assert confirm(dying, org, hold).success
        waiting = meanwhile(lambda: confirm(fifty[0], org, hold, WRONG))
        wait_until_blocked(sql, fifty[0], by="advisory")
        sql.execute("SELECT pg_terminate_backend(%s)", [dying.info.backend_pid])
        dying.close()
        answer = waiting.result(120)
    assert (answer.code, answer.tries_left) == ("wrong_code", 2)
    assert rows_of(sql, org) == ([], 0, [(hold, "held", 1)])
    assert confirm(sql, org, hold).success


def test_confirmations_of_different_calendars_do_not_wait_for_each_other(
    fifty: list[Connection], sql: Connection
) -> None:
    first, second = fifty[:2]
    org = make_clinic(sql, one={}, two={})
    here, there = hold_with_code(sql, org, "one"), hold_with_code(sql, org, "two")
    with first.transaction(), second.transaction():
        second.execute("SET LOCAL lock_timeout = '2s'")
        assert confirm(first, org, here).success
        assert confirm(second, org, there).success
    assert count_live(sql, org) == 2


def test_the_hold_of_another_clinic_is_unknown_even_with_its_code(sql: Connection) -> None:
    org, other = make_clinic(sql), make_clinic(sql)
    hold = hold_with_code(sql, org)
    assert confirm(sql, other, hold).code == "unknown_hold"
    assert release(sql, other, hold) == (False, "unknown_hold")
    assert confirm(sql, org, uuid.uuid4()).code == "unknown_hold"
    assert rows_of(sql, org) == ([], 0, [(hold, "held", 0)])


def test_an_appointment_that_has_begun_is_not_confirmed(sql: Connection) -> None:
    """Held two minutes before its start for ten: its confirmation would have expired before it was sent."""
    org = make_clinic(sql)
    hold = hold_with_code(sql, org)
    sql.execute(
        "UPDATE appointment_holds SET starts_at = clock_timestamp(),"
        " ends_at = clock_timestamp() + interval '30 min' WHERE id = %s",
        [hold],
    )
    assert confirm(sql, org, hold).code == "hold_expired"
    assert rows_of(sql, org) == ([], 0, [(hold, "expired", 0)])
    assert count_live(sql, org) == 0
