"""Moves against claims, cancellations and each other: one wins, and no time is lost or had twice."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg.rows import class_row

from tests.claimed import Claimed
from tests.concurrency.racing import (
    QUARTER,
    RIGHT,
    SLOT,
    Connection,
    claim,
    confirm,
    connections,
    count_live,
    double_bookings,
    errors_in,
    hold_with_code,
    insert_hold,
    make_clinic,
    meanwhile,
    race,
    stray_occupancies,
    wait_until_blocked,
    winners_of,
)

LATER = SLOT + timedelta(hours=2)


@dataclass(frozen=True)
class Answer:
    success: bool
    error: str | None
    code: str | None
    message_id: uuid.UUID | None = None


def move(
    connection: Connection, org: str, appointment: object, slot: datetime = LATER, message: object = None
) -> Answer:
    return _answer(
        connection,
        "SELECT * FROM move_appointment(%s, %s, %s, %s, 1000)",
        [appointment, org, slot, message],
    )


def cancel(connection: Connection, org: str, appointment: object, message: object = None) -> Answer:
    return _answer(connection, "SELECT * FROM cancel_appointment(%s, %s, %s)", [appointment, org, message])


def _answer(connection: Connection, call: str, values: list[object]) -> Answer:
    with connection.cursor(row_factory=class_row(Answer)) as cursor:
        cursor.execute(call.encode(), values)
        answer = cursor.fetchone()
    assert answer is not None
    return answer


def book(sql: Connection, org: str, slot: datetime = SLOT, calendar: str = "cal") -> uuid.UUID:
    booked = confirm(sql, org, hold_with_code(sql, org, calendar, slot))
    assert booked.appointment_id is not None
    return booked.appointment_id


def begins(sql: Connection, appointment: object) -> tuple[Any, ...]:
    [row] = sql.execute(
        "SELECT scheduled_at, status FROM appointments WHERE id = %s", [appointment]
    ).fetchall()
    return row


def is_free(sql: Connection, org: str, slot: datetime) -> bool:
    """Judged by a claim, which is undone."""
    with sql.transaction(force_rollback=True):
        return claim(sql, org, slot=slot, caller=999).success


def moved(results: Sequence[object]) -> list[Answer]:
    return [answer for answer in results if isinstance(answer, Answer) and answer.success]


def whole(sql: Connection, org: str) -> None:
    """What holds after every race: nobody is booked twice, and each appointment has its own confirmation."""
    assert double_bookings(sql, org) == 0
    assert stray_occupancies(sql, org) == []
    parted = sql.execute(
        "SELECT a.id FROM appointments a LEFT JOIN sms_messages m"
        " ON m.id = a.confirmation_message_id AND m.appointment_id = a.id AND m.kind = 'confirmation'"
        " WHERE a.org_id = %s AND (m.id IS NULL OR m.expires_at <> a.scheduled_at"
        " OR (a.confirmation_sms_sent, a.confirmation_sms_id)"
        " IS DISTINCT FROM (m.provider_id IS NOT NULL, m.provider_id))",
        [org],
    ).fetchall()
    assert parted == []
    # Nothing waits to be sent that is no longer so.
    stale = sql.execute(
        "SELECT m.id FROM sms_messages m JOIN appointments a ON a.id = m.appointment_id"
        " WHERE m.org_id = %s AND m.status = 'queued' AND CASE m.kind WHEN 'cancellation'"
        " THEN a.status <> 'cancelled' ELSE m.id <> a.confirmation_message_id OR a.status = 'cancelled' END",
        [org],
    ).fetchall()
    assert stale == []
    # Each change was noted once and has one SMS, which was born with it.
    untold = sql.execute(
        "SELECT a.id FROM appointments a WHERE a.org_id = %s AND"
        " (SELECT array[count(*) FILTER (WHERE kind = 'confirmation') - 1,"
        "   count(*) FILTER (WHERE kind = 'cancellation')] FROM sms_messages WHERE appointment_id = a.id)"
        " <> (SELECT array[count(*) FILTER (WHERE change = 'moved'),"
        "   count(*) FILTER (WHERE change = 'cancelled')]"
        "   FROM appointment_changes WHERE appointment_id = a.id)",
        [org],
    ).fetchall()
    assert untold == []


@pytest.fixture(scope="module")
def dozen(database_url: str) -> Iterator[list[Connection]]:
    with connections(database_url, 12) as opened:
        yield opened


@pytest.mark.parametrize("_round", range(50))
def test_a_move_and_a_claim_race_for_one_slot(dozen: list[Connection], sql: Connection, _round: int) -> None:
    org = make_clinic(sql)
    appointment = book(sql, org)

    def act(connection: Connection, n: int) -> Claimed | Answer:
        return move(connection, org, appointment) if n == 0 else claim(connection, org, slot=LATER, caller=n)

    results = race(dozen[:2] if _round % 2 else dozen[1::-1], act)
    assert errors_in(results) == []
    won_by_move, won_by_claim = (
        len(moved(results)),
        len(winners_of([r for r in results if isinstance(r, Claimed)])),
    )
    assert won_by_move + won_by_claim == 1
    assert is_free(sql, org, SLOT) == bool(won_by_move)
    assert not is_free(sql, org, LATER)
    assert begins(sql, appointment) == (LATER if won_by_move else SLOT, "confirmed")
    assert count_live(sql, org) == 1 + won_by_claim
    whole(sql, org)


def test_both_orders_of_that_race_do_happen(dozen: list[Connection], sql: Connection) -> None:
    """Else the fifty rounds above prove half of what they say."""
    org = make_clinic(sql)
    first, second = dozen[:2]
    appointment = book(sql, org)
    with first.transaction():
        assert claim(first, org, slot=LATER, caller=5).success
        waiting = meanwhile(lambda: move(second, org, appointment))
        wait_until_blocked(sql, second, by="advisory")
    assert waiting.result(120).code == "slot_taken"
    with first.transaction():
        assert move(first, org, appointment, LATER + timedelta(hours=1)).success
        late = meanwhile(lambda: claim(second, org, slot=LATER + timedelta(hours=1), caller=6))
        wait_until_blocked(sql, second, by="advisory")
    assert late.result(120).code == "slot_taken"
    whole(sql, org)


@pytest.mark.parametrize("_round", range(5))
def test_a_dozen_claims_and_moves_of_overlapping_times_have_one_winner(
    dozen: list[Connection], sql: Connection, _round: int
) -> None:
    org = make_clinic(sql)
    booked = [book(sql, org, SLOT - timedelta(hours=n + 1)) for n in range(6)]

    def act(connection: Connection, n: int) -> Claimed | Answer:
        slot = LATER + (n % 2) * QUARTER
        return (
            move(connection, org, booked[n], slot) if n < 6 else claim(connection, org, slot=slot, caller=n)
        )

    results = race(dozen, act)
    assert errors_in(results) == []
    assert len(moved(results)) + len(winners_of([r for r in results if isinstance(r, Claimed)])) == 1
    whole(sql, org)


@pytest.mark.parametrize("_round", range(10))
def test_two_that_want_each_others_time_both_stay(
    dozen: list[Connection], sql: Connection, _round: int
) -> None:
    org = make_clinic(sql)
    mine, yours = book(sql, org, SLOT), book(sql, org, LATER)

    def act(connection: Connection, n: int) -> Answer:
        return move(connection, org, yours, SLOT) if n else move(connection, org, mine, LATER)

    results = race(dozen[:2], act)
    assert [answer.code for answer in results if isinstance(answer, Answer)] == ["slot_taken"] * 2
    assert (begins(sql, mine)[0], begins(sql, yours)[0]) == (SLOT, LATER)
    whole(sql, org)


@pytest.mark.parametrize("_round", range(10))
def test_one_follows_another_into_the_time_that_it_leaves_or_stays(
    dozen: list[Connection], sql: Connection, _round: int
) -> None:
    org = make_clinic(sql)
    first, second = book(sql, org, SLOT), book(sql, org, LATER)

    def act(connection: Connection, n: int) -> Answer:
        return (
            move(connection, org, second, SLOT)
            if n
            else move(connection, org, first, SLOT - timedelta(hours=2))
        )

    ahead, behind = race(dozen[:2], act)
    assert isinstance(ahead, Answer)
    assert isinstance(behind, Answer)
    assert ahead.success
    assert behind.code in {None, "slot_taken"}
    assert begins(sql, second)[0] == (SLOT if behind.success else LATER)
    assert count_live(sql, org) == 2
    whole(sql, org)


@pytest.mark.parametrize("_round", range(20))
def test_a_move_and_a_cancellation_by_the_same_link_have_one_winner(
    dozen: list[Connection], sql: Connection, _round: int
) -> None:
    org = make_clinic(sql)
    appointment = book(sql, org)
    [(message,)] = sql.execute(
        "SELECT confirmation_message_id FROM appointments WHERE id = %s", [appointment]
    ).fetchall()

    def act(connection: Connection, n: int) -> Answer:
        if n % 2:
            return cancel(connection, org, appointment, message)
        return move(connection, org, appointment, LATER + n * QUARTER, message)

    results = race(dozen[:6], act)
    assert errors_in(results) == []
    [winner] = moved(results)
    start, status = begins(sql, appointment)
    [(kind,)] = sql.execute("SELECT kind FROM sms_messages WHERE id = %s", [winner.message_id]).fetchall()
    was_moved = kind == "confirmation"
    assert status == ("confirmed" if was_moved else "cancelled")
    assert is_free(sql, org, SLOT)
    assert count_live(sql, org) == was_moved
    refused = {answer.code for answer in results if isinstance(answer, Answer)} - {None}
    assert refused == {"superseded" if was_moved else "appointment_cancelled"}
    assert start == SLOT if status == "cancelled" else start != SLOT
    whole(sql, org)


def test_one_appointment_moved_by_twelve_at_once_is_at_one_time(
    dozen: list[Connection], sql: Connection
) -> None:
    org = make_clinic(sql)
    appointment = book(sql, org)
    results = race(dozen, lambda connection, n: move(connection, org, appointment, LATER + n * QUARTER))
    assert errors_in(results) == []
    assert len(moved(results)) == 12  # without a link anybody may move it again
    assert count_live(sql, org) == 1
    [(confirmations,)] = sql.execute(
        "SELECT count(*) FROM sms_messages WHERE appointment_id = %s AND status = 'queued'", [appointment]
    ).fetchall()
    assert confirmations == 1
    whole(sql, org)


def test_whoever_writes_past_the_lock_is_met_by_the_constraint(
    dozen: list[Connection], sql: Connection
) -> None:
    org = make_clinic(sql)
    appointment = book(sql, org)
    raw, mover = dozen[:2]
    with raw.transaction():
        insert_hold(raw, org, LATER)
        waiting = meanwhile(lambda: move(mover, org, appointment))
        wait_until_blocked(sql, mover, by="transactionid")
    answer = waiting.result(120)
    assert (answer.success, answer.code, answer.message_id) == (False, "slot_taken", None)
    assert begins(sql, appointment) == (SLOT, "confirmed")
    whole(sql, org)


@pytest.mark.parametrize("verb", [move, cancel])
def test_a_worker_that_records_an_sms_meanwhile_is_waited_for(
    dozen: list[Connection], sql: Connection, verb: Any
) -> None:
    """It goes from the message to the appointment, and so must we: else each waits for the other."""
    org = make_clinic(sql)
    appointment = book(sql, org)
    worker, mover = dozen[:2]
    [(message,)] = sql.execute(
        "SELECT confirmation_message_id FROM appointments WHERE id = %s", [appointment]
    ).fetchall()
    with worker.transaction():
        worker.execute("UPDATE sms_messages SET status = 'sending', attempt = 1 WHERE id = %s", [message])
        waiting = meanwhile(lambda: verb(mover, org, appointment))
        wait_until_blocked(sql, mover, by="transactionid")
        worker.execute(  # its trigger writes the appointment
            "UPDATE sms_messages SET status = 'sent', provider_id = 'SMx', sent_at = now() WHERE id = %s",
            [message],
        )
    assert waiting.result(120).success
    sent = sql.execute(
        "SELECT confirmation_sms_sent FROM appointments WHERE id = %s", [appointment]
    ).fetchone()
    assert sent == (verb is cancel,)


class Busybody:
    """One session that does whatever can be done, at random; to which effect is counted."""

    def __init__(self, connection: Connection, org: str, number: int) -> None:
        self.connection, self.org = connection, org
        self.random = random.Random(number)  # noqa: S311 (no secret)
        self.done = Counter[str]()

    def run(self) -> None:
        verbs = (self.book, self.book, self.book, self.move, self.move, self.move, self.cancel, self.send)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            verb = self.random.choice((*verbs, self.put_back))
            self.done[verb.__name__] += verb()  # a deadlock would be raised here

    def book(self) -> bool:
        calendar = self.random.choice(("one", "two"))
        held = claim(self.connection, self.org, calendar, self._slot(), caller=self.random.randrange(10**6))
        self.connection.execute(
            "UPDATE appointment_holds SET code_digest = %s WHERE id = %s", [RIGHT, held.hold_id]
        )
        return held.success and confirm(self.connection, self.org, held.hold_id).success

    def move(self) -> bool:
        return move(self.connection, self.org, self._any("id"), self._slot()).success

    def cancel(self) -> bool:
        return cancel(self.connection, self.org, self._any("id")).success

    def send(self) -> bool:
        return self._write(
            "queued", "status = 'sent', provider_id = gen_random_uuid()::text, sent_at = now()"
        )

    def put_back(self) -> bool:
        """A worker takes a message and cannot hand it over."""
        taken = self._write("queued", "status = 'sending', attempt = attempt + 1")
        return self._write("sending", "status = 'queued'") and taken

    def _slot(self) -> datetime:
        return SLOT + self.random.randrange(24) * QUARTER

    def _any(self, column: str) -> Any:
        rows = self.connection.execute(
            f"SELECT {column} FROM appointments WHERE org_id = %s AND status = 'confirmed'".encode(),
            [self.org],
        ).fetchall()
        return self.random.choice(rows)[0] if rows else None

    def _write(self, status: str, values: str) -> bool:
        written = self.connection.execute(
            f"UPDATE sms_messages SET {values} WHERE id = %s AND status = %s".encode(),
            [self._any("confirmation_message_id"), status],
        )
        return bool(written.rowcount)


def test_moves_claims_confirmations_cancellations_and_workers_never_deadlock(
    dozen: list[Connection], sql: Connection
) -> None:
    """Two resources, a dozen sessions, and every writer that there is, for two seconds."""
    org = make_clinic(sql, one={}, two={})
    everybody = [Busybody(connection, org, number) for number, connection in enumerate(dozen)]
    with ThreadPoolExecutor(len(dozen)) as pool:
        list(pool.map(Busybody.run, everybody))
    whole(sql, org)
    done = sum((each.done for each in everybody), Counter[str]())
    assert {verb for verb in done if done[verb] > 3} == {"book", "move", "cancel", "send", "put_back"}, done
