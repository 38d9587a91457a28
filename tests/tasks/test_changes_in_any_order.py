"""For all events of a booking and its SMS, in any order: the last SMS is true, and none comes twice."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.messaging import messages
from tasks.delivery import Outgoing
from tasks.messaging import reconcile_sms
from tasks.providers import Problem
from tests.factories import create_clinic, slot
from tests.tasks.bookings import clear
from tests.tasks.diary import Diary, Faults, retry, spoken, texts


class Life:
    """One booking, with all events in random order."""

    def __init__(self, diary: Diary, twilio: str, faults: Faults, seed: int) -> None:
        self.diary, self.twilio, self.faults = diary, twilio, faults
        self.random = random.Random(seed)  # noqa: S311 (no secret)
        self.in_flight: list[tuple[messages.SmsMessage, Outgoing]] = []
        self.done = Counter[str]()

    def step(self) -> None:
        often = (self.move, self.take, self.deliver, self.lose)
        verb = self.random.choice((*often, *often, self.cancel, self.send, self.ask, self.insist))
        self.done[verb.__name__] += 1
        verb()

    def move(self) -> None:
        self.done["moved"] += self.diary.move(slot(hour=self.random.randrange(9, 17))).success

    def cancel(self) -> None:
        if self.random.random() < 0.3:
            self.done["cancelled"] += self.diary.cancel().success

    def take(self) -> None:
        if taken := self.diary.take(self.any()):
            self.in_flight.append(taken)

    def send(self) -> None:
        if self.in_flight:
            self.diary.send(self.in_flight.pop(self.random.randrange(len(self.in_flight))))

    def deliver(self) -> None:
        with suppress(Problem):  # Celery would try again; here another step does
            self.diary.deliver(self.any())

    def lose(self) -> None:
        self.faults(self.random.choice(("drop-before", "drop-after-accept", "429", "500", "refuse")))

    def ask(self) -> None:
        """Ask Twilio a minute and a half later, when all attempts have ended, because a lease is shorter.
        The rows' times move back instead of the clock, because Twilio's clock cannot move.
        """
        while self.in_flight:
            self.send()
        self.diary.sql.execute(
            "UPDATE sms_messages SET unknown_since = unknown_since - interval '91 s', check_at = app_clock()"
            " WHERE appointment_id = %s AND status = 'unknown'",
            [self.diary.appointment],
        )
        reconcile_sms.run()

    def insist(self) -> None:
        retry(self.diary, self.any())

    def any(self, *statuses: str) -> uuid.UUID:
        rows = self.messages(*statuses)
        return self.random.choice(rows)  # type: ignore[no-any-return]

    def messages(self, *statuses: str) -> list[Any]:
        found = self.diary.sql.execute(
            "SELECT id, status FROM sms_messages WHERE appointment_id = %s ORDER BY created_at",
            [self.diary.appointment],
        ).fetchall()
        return [message for message, status in found if not statuses or status in statuses]

    def settle(self) -> None:
        """Move the booking once more while a worker has claimed what waited. Then without faults: the worker
        sends last, and an operator sends failed messages again.
        """
        clear(self.twilio)
        self.in_flight += filter(None, map(self.diary.take, self.messages("queued")))
        self.move()
        for message in self.messages("queued"):
            self.diary.deliver(message)
        for _ in range(10):
            self.ask()
            for message in self.messages("failed", "expired"):
                retry(self.diary, message)
            for message in self.messages("queued"):
                self.diary.deliver(message)
            if not self.messages("queued", "sending", "unknown"):
                return
        raise AssertionError(self.diary.rows("confirmation") + self.diary.rows("cancellation"))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_the_last_text_is_true_and_none_comes_twice(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, faults: Faults, seed: int
) -> None:
    diary = Diary(client, sql, create_clinic(sandbox=True))
    life = Life(diary, twilio, faults, seed)
    for _ in range(12):
        life.step()
    life.settle()
    got = texts(twilio, diary)
    starts_at, status = diary.row("scheduled_at, status")
    now = spoken(starts_at.isoformat())
    last = got[-1]
    if status == "cancelled":
        assert last.startswith(f"Cancelled: {now}, "), got
    elif life.done["moved"]:
        assert last.startswith("Moved from "), got
        assert f" to {now}, " in last, got
    else:
        assert last.startswith(f"Confirmed: {now}, "), got
    assert max(Counter(got).values()) == 1, got
    assert len(diary.rows("confirmation")) == 1 + life.done["moved"]
    assert len(diary.rows("cancellation")) == life.done["cancelled"]
