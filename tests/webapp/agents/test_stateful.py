"""Arbitrary sequences of the five tools, of time, workers and hang-ups; P1, P2, P4 and P6 after each step.

Every answer is also foretold from the answers before it (`Agent.foretell`), so that a refusal without a
reason is a failure, too. HOLDLINE_EXAMPLES=500 hunts longer.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from models.base.session import Door, system_transaction
from models.booking import holds as hold_verbs
from models.messaging import outbox, outcomes, receipts
from models.messaging.meanings import Failure
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsStatus
from models.notices import registry
from tests.webapp.agents import agent
from tests.webapp.agents.agent import Line, Request
from tests.webapp.agents.books import assert_books_agree
from tests.webapp.agents.stateful.asking import Asking
from tests.webapp.agents.stateful.callers import Ears
from tests.webapp.agents.stateful.wishes import SOME

EXAMPLES = int(os.environ.get("HOLDLINE_EXAMPLES", "80"))
STEPS = 25

_OUTCOMES = ("sent", "sent", "sent", "refused", "unavailable", "unknown")  # of handing an SMS to Twilio
_receipts = st.lists(
    st.sampled_from((SmsStatus.DELIVERED, SmsStatus.SENT, SmsStatus.UNDELIVERED, SmsStatus.FAILED)),
    max_size=3,
)

#: Columns that count, and could count past a code.
_COUNTERS = {"audit_log": "id", "sms_events": "id", "calls": "richness"}


class Agent(Asking):
    """Two clinics and all who call them, one step after the other."""

    # --- the world goes on ----------------------------------------------------------------------

    @rule(minutes=st.sampled_from((9, 1, 4, 5, 9, 10, 11, 30, 24 * 60)))
    def time_passes(self, minutes: int) -> None:
        self.clock.forward(minutes * 60)
        self._books = None

    @rule()
    def beat(self) -> None:
        with system_transaction(Door.OPERATOR) as session:
            hold_verbs.expire(session)
            outbox.sweep(session)
        self._books = None
        for hold in self.holds:  # what was held after its call had ended does not stand for long
            late = hold.live(self.books.now) and (hold.clinic, hold.call) in self.ended
            if late and self.books.now - (hold.until - agent.HOLD) >= timedelta(minutes=1):
                hold.give_back(self.books.now)

    @rule(
        clinic=st.integers(0, 1),
        call=st.integers(0, 2),
        event=st.sampled_from(("ended", "ringing", "report")),
    )
    def hang_up(self, clinic: int, call: int, event: str) -> None:
        message: dict[str, Any] = {"type": "status-update", "status": event, "call": {"id": self.calls[call]}}
        if event == "report":
            message = {
                "type": "end-of-call-report",
                "call": {"id": self.calls[call]},
                "endedReason": "x\u0000y",
            }
        line = Line(clinic, call, vapi=True, auth="credential")
        other, before = self.clinics[1 - clinic].org_id, self.books
        head = agent.headers(self.clinics[clinic], line)
        answer = Request("webhook", head, json.dumps({"message": message}).encode()).post(self.client)
        assert answer == {"results": []}
        self._books = None
        self._assert_same_side_of_time(before.now, self.books.now)
        assert before.of[other] == self.books.of[other], "P5: another clinic's rows changed"
        if event == "ringing":
            was, is_now = (
                [row for row in books.lines if not row.startswith("calls ")] for books in (before, self.books)
            )
            assert was == is_now
        else:
            rows = self.books.by_id("appointment_holds")
            self.ended.add((clinic, call))
            for hold in self._own(line):
                hold.give_back(self.books.now)
                assert rows[hold.id]["status"] in ("released", "expired"), "a hung-up call still holds"

    @precondition(lambda self: self.booked)
    @rule(n=SOME)
    def the_staff_cancels(self, n: int) -> None:
        hold = self.booked[n % len(self.booked)]
        self.sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [hold.appointment])
        hold.cancelled = True
        self._books = None

    @precondition(lambda self: self.books["sms_messages"])
    @rule(
        n=SOME,
        nudges=st.integers(1, 2),
        outcome=st.sampled_from((None, None, *_OUTCOMES)),
        receipts=_receipts,
    )
    def workers_are_nudged(self, n: int, nudges: int, outcome: str | None, receipts: list[SmsStatus]) -> None:
        """A message is claimed, by one of them; handed to Twilio, at once or later; and reported on."""
        row = self._message(n)
        before = len(self.claimed)
        for _ in range(nudges):
            self._claim(row["id"])
        if len(self.claimed) > before and outcome is not None:
            self.a_worker_reports(-1, outcome)
            if outcome in ("sent", "unknown"):
                self.receipts_come(list(self.sent).index(row["id"]), receipts, "own")

    def _claim(self, message_id: str) -> None:
        row = self.books.by_id("sms_messages")[message_id]
        with system_transaction(Door.OPERATOR) as session:
            message = outbox.claim_for_sending(session, uuid.UUID(row["org_id"]), uuid.UUID(row["id"]))
            words = registry.render(session, message) if message else None
        self._books = None
        if message is None:
            return
        assert row["status"] == "queued", "P3: claimed twice"
        if words is None:
            # What it would confirm was cancelled: nobody is told that it stands.
            assert [
                hold for hold in self.booked if hold.appointment == row["appointment_id"] and hold.cancelled
            ]
            with system_transaction(Door.OPERATOR) as session:
                outcomes.record_refused(session, message, Failure("it was cancelled"))
            return
        if row["kind"] == "otp":
            [hold] = [each for each in self.holds if each.id == row["hold_id"]]
            assert message.to_phone == hold.phone, "P4: another telephone gets the code"
            assert words.split()[0] == hold.code
        self.claimed.append(message)

    @precondition(lambda self: self.claimed)
    @rule(n=SOME, outcome=st.sampled_from(_OUTCOMES))
    def a_worker_reports(self, n: int, outcome: str) -> None:
        message = self.claimed.pop(n % len(self.claimed))
        if outcome in ("sent", "unknown"):
            self.sent[str(message.id)] += 1
            assert self.sent[str(message.id)] == 1, "P3: sent twice"
        with system_transaction(Door.OPERATOR) as session:
            match outcome:
                case "sent":
                    outcomes.record_sent(session, message, provider_id=_provider_id(message), segments=1)
                case "refused":
                    outcomes.record_refused(session, message, Failure("not a mobile", "landline"))
                case "unavailable":
                    outcomes.record_unavailable(session, message, Failure("503"))
                    self.clock.forward(60)  # or chance would say whether the next attempt is due
                case _:
                    outcomes.record_unknown(session, message, "the answer was lost")
        self._books = None

    @precondition(lambda self: self.sent)
    @rule(
        n=SOME,
        statuses=_receipts,
        whose=st.sampled_from(("own", "own", "own", "other clinic", "other message")),
    )
    def receipts_come(self, n: int, statuses: list[SmsStatus], whose: str) -> None:
        message_id = list(self.sent)[n % len(self.sent)]
        row = self.books.by_id("sms_messages")[message_id]
        org_id = row["org_id"]
        if whose == "other clinic":
            org_id = next(clinic.org_id for clinic in self.clinics if clinic.org_id != org_id)
        foreign = whose == "other clinic" or (whose == "other message" and row["provider_id"])
        provider_id = "SM" + "0" * 32 if foreign else "SM" + uuid.UUID(message_id).hex
        for status in statuses:
            with system_transaction(Door.OPERATOR) as session:
                moved = receipts.apply_receipt(
                    session,
                    org_id=uuid.UUID(org_id),
                    message_id=uuid.UUID(message_id),
                    provider_id=provider_id,
                    status=status,
                )
            assert not (moved and foreign), "a receipt for another message moved this one"
            self._books = None
            self.a_message_only_moves_forward()

    def _message(self, n: int) -> dict[str, Any]:
        rows = sorted(self.books["sms_messages"], key=lambda row: (row["created_at"], row["id"]))
        return rows[-1 - n % len(rows)]

    # --- after every step -----------------------------------------------------------------------

    @invariant()
    def the_books_agree(self) -> None:
        assert_books_agree(self.books)

    @invariant()
    def what_was_said_is_so(self) -> None:
        """P2 and P4: what the callers were told is what the rows say."""
        rows = self.books.by_id("appointment_holds")
        assert set(rows) == {hold.id for hold in self.holds}
        appointments = self.books["appointments"]
        assert len(appointments) == len(self.booked), "P2: not as many bookings as were told"
        assert {row["id"] for row in appointments} == {hold.appointment for hold in self.booked}
        for hold in self.holds:
            row = rows[hold.id]
            over = hold.status in ("held", "stale")
            assert row["status"] == hold.status or (over and row["status"] in ("expired", "released"))
            assert row["status"] == "held" or not hold.live(self.books.now), "a live hold was taken away"
            assert row["code_tries"] == hold.tries + (hold.status == "confirmed"), "P4: tries"
            assert (row["code_digest"] is not None) == hold.code_sent
            assert row["patient_phone"] == hold.phone, "P4: the phone of a hold has changed"
        codes: dict[tuple[int, str], list[str]] = {}
        for hold in self.holds:
            codes.setdefault((hold.clinic, hold.phone), []).append(hold.code)
        for (clinic, _), of_phone in codes.items():  # by chance once in a million times
            assert len(of_phone) < 3 - clinic or len(set(of_phone)) > 1, "P4: one code for several holds"

    @invariant()
    def no_code_is_at_rest_or_logged(self) -> None:
        for line in self.books.lines:
            if line not in self.checked:
                self.checked.add(line)
                table, text = line.split(" ", 1)
                row = json.loads(text)
                row.pop(_COUNTERS.get(table), None)
                for each in agent.texts(row):
                    assert agent.code_in(each) is None, f"P4: {each!r} in {table}"
        for said in self.ears.heard:
            assert agent.code_in(said) is None, f"P4: {said!r} in the log"
        self.ears.heard.clear()

    @invariant()
    def a_message_only_moves_forward(self) -> None:
        for row in self.books["sms_messages"]:
            if self.last_status.get(row["id"]) == "delivered":
                assert row["status"] == "delivered", "P3: a delivery was forgotten"
            self.last_status[row["id"]] = row["status"]


def _provider_id(message: SmsMessage) -> str:
    return "SM" + message.id.hex


@contextmanager
def _listening() -> Iterator[Ears]:
    ears = Ears()
    loggers = [logging.getLogger(name) for name in ("webapp", "models", "tasks")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(ears)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False  # pytest would print the log of every example
    try:
        yield ears
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(ears)
            logger.setLevel(level)
            logger.propagate = propagate


@pytest.mark.timeout(900 + 3 * EXAMPLES)
@pytest.mark.usefixtures("clock")
def test_any_sequence_of_tools_and_time(client: FlaskClient, sql: psycopg.Connection) -> None:
    with _listening() as ears:

        class OneAgent(Agent):
            def __init__(self) -> None:
                super().__init__(client, sql, ears)

        run_state_machine_as_test(
            OneAgent,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                derandomize=True,
                print_blob=True,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
