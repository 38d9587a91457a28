"""Arbitrary sequences of the five tools, of time, workers and hang-ups; P1, P2, P4 and P6 after each step.

Every answer is also foretold from the answers before it (`Agent.foretell`), so that a refusal without a
reason is a failure, too. HOLDLINE_EXAMPLES=500 hunts longer.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from models.base.session import Door, system_transaction
from models.booking import holds as hold_verbs
from models.messaging import outbox, outcomes, receipts
from models.messaging.meanings import Failure
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsStatus
from models.notices import registry
from tests import afresh
from tests.conftest import Clock
from tests.factories import code_of, create_clinic
from tests.webapp.agents import agent
from tests.webapp.agents.agent import PATHS, PHONES, Ask, Clinic, Hold, Line, Request, Said
from tests.webapp.agents.books import Books, assert_books_agree, moment

EXAMPLES = int(os.environ.get("HOLDLINE_EXAMPLES", "80"))
STEPS = 25

# --- what is asked ------------------------------------------------------------------------------


@dataclass(frozen=True)
class WhichHold:
    """The n-th newest, on its own line or on a stranger's; or nothing; or an id that is nobody's."""

    how: str
    n: int = 0
    #: On the hold's own line; on "any" line; or on that of the same call id at the "other clinic".
    line: str = "own"


#: What a tool call is known by: its form, whose it is, call and tool call, tool and arguments.
Identity = tuple[bool, int | None, int | None, str, str, str]


@dataclass(frozen=True)
class Check:
    date: str
    calendar: int | str | None  # the n-th of the clinic, or a "foreign" one


@dataclass(frozen=True)
class Reserve:
    slot: str
    n: int
    calendar: int | str | None  # the n-th of the clinic, or a "foreign" one
    phone: str | None


@dataclass(frozen=True)
class Again:
    """What is held already is asked for once more, or a time that overlaps it, by its call or a stranger."""

    hold: WhichHold
    aside: int  # quarters of an hour


@dataclass(frozen=True)
class SendCode:
    hold: WhichHold
    phone: str | None


@dataclass(frozen=True)
class Verify:
    hold: WhichHold
    code: str
    n: int
    contact: str


@dataclass(frozen=True)
class Confirm:
    hold: WhichHold
    phone: str | None
    contact: str


@dataclass(frozen=True)
class Nonsense:
    tool: str
    values: tuple[Any, ...]


Wish = Check | Reserve | Again | SendCode | Verify | Confirm | Nonsense

_some = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 4, 5))
_lines = st.builds(
    Line,
    clinic=st.sampled_from((0, 0, 1)),
    call=st.sampled_from((0, 0, 1, 2, None)),
    vapi=st.booleans(),
    auth=st.sampled_from(("credential",) * 9 + ("both", "tenant", "tenant", "nobody", "clash")),
    fresh=st.sampled_from((True, True, True, False)),
)
_hold_refs = st.builds(
    WhichHold,
    how=st.sampled_from(("id",) * 12 + ("missing",) * 6 + ("unknown", "garbage")),
    n=_some,
    line=st.sampled_from(("own",) * 8 + ("any", "other clinic")),
)
_calendars = st.sampled_from((0,) * 6 + (1, 1, None, None, "foreign"))
_GOOD_PHONES = tuple(said for said, number in PHONES.items() if number)
_phones = st.sampled_from(
    (None,) * 6 + _GOOD_PHONES * 2 + tuple(said for said, number in PHONES.items() if not number)
)
_contacts = st.sampled_from(("missing",) * 12 + ("own",) * 4 + ("other", "unknown", "garbage"))
_DATES = ("the day", "today", "tomorrow", "closed", "monday", "next Friday", "past", "far", "instant")
_NO_DATES = ("the 32nd", "2026-02-30", "9999-12-31", "0001-01-01", "soon", "2026-W99-1")
_SLOTS = ("grid",) * 24 + ("other zone",) * 2 + ("off grid", "at closing", "closed", "past", "far", "no zone")
_NO_SLOTS = ("tomorrow at ten", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-13-01T10:00Z")
_RIGHT = ("plain", "spaced", "dashes", "words", "sentence", "number")
_NO_CODES: dict[str, Any] = {
    "short": "12",
    "long": "1234567890123",
    "fruit": "banana",
    "list": [1, 2, 3, 4],
    "object": {"code": "1234"},
    "true": True,
}
_GARBAGE: tuple[Any, ...] = (
    0,
    -1,
    3.5,
    1e300,
    True,
    [],
    [[]],
    {"a": {}},
    "x" * 300,
    "'; DROP TABLE holds; --",
    "\u0000x",
    "🦷\ud800",
)

_checks = st.builds(Check, date=st.sampled_from(_DATES + _NO_DATES), calendar=_calendars)
_reserves = st.builds(
    Reserve, slot=st.sampled_from(_SLOTS + _NO_SLOTS), n=_some, calendar=_calendars, phone=_phones
)
_agains = st.builds(
    Again,
    hold=st.builds(WhichHold, how=st.just("id"), n=_some, line=st.sampled_from(("own", "own", "any"))),
    aside=st.sampled_from((0, 0, 1, -1)),
)
_send_codes = st.builds(SendCode, hold=_hold_refs, phone=_phones)
_verifies = st.builds(
    Verify,
    hold=_hold_refs,
    code=st.sampled_from(_RIGHT * 4 + ("wrong",) * 12 + ("other",) * 4 + ("missing", *_NO_CODES)),
    n=_some,
    contact=_contacts,
)
_confirms = st.builds(Confirm, hold=_hold_refs, phone=_phones, contact=_contacts)
_nonsense = st.builds(
    Nonsense,
    tool=st.sampled_from((*PATHS, "book_now")),
    values=st.tuples(*[st.sampled_from(_GARBAGE)] * 3),
)
_wishes = st.one_of(
    _reserves, _reserves, _send_codes, _send_codes, _verifies, _verifies, _confirms, _checks, _nonsense
)


_OUTCOMES = ("sent", "sent", "sent", "refused", "unavailable", "unknown")  # of handing an SMS to Twilio
_receipts = st.lists(
    st.sampled_from((SmsStatus.DELIVERED, SmsStatus.SENT, SmsStatus.UNDELIVERED, SmsStatus.FAILED)),
    max_size=3,
)
_OF_NONSENSE = (
    *("invalid_argument", "missing_argument", "unknown_tenant", "unknown_tool", "unknown_calendar"),
    *("invalid_date", "invalid_slot", "unknown_hold", "unknown_appointment", "wrong_code", "code_unreadable"),
)


#: Columns that count, and could count past a code.
_COUNTERS = {"audit_log": "id", "sms_events": "id", "calls": "richness"}


class _Ears(logging.Handler):
    """Keeps what our own code logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


class Agent(RuleBasedStateMachine):
    """Two clinics and all who call them, one step after the other."""

    def __init__(self, client: FlaskClient, sql: psycopg.Connection, ears: _Ears) -> None:
        super().__init__()
        self.client, self.sql, self.ears = client, sql, ears
        ears.heard.clear()
        self.clock = Clock(sql)
        # Every example begins at the same time of day, just after a whole minute: it plays the same again
        # whenever it is played, and no quarter of an hour begins but by `time_passes`.
        begin = datetime.now(UTC).replace(hour=9, minute=6, second=5, microsecond=0) + timedelta(days=1)
        sql.execute("UPDATE test_clock SET shift = %s - clock_timestamp()", [begin])
        self.day: date = begin.date() + timedelta(days=14)
        self.closed_on = (self.day + timedelta(days=1)).isoformat()
        self.clinics = (
            self._clinic(("a1", "a2"), opens=10, closes=timedelta(hours=12), length=4, codes=100),
            self._clinic(("b1",), opens=0, closes=timedelta(hours=24), length=6, codes=1),
        )
        self.calls = [str(uuid.uuid4()) for _ in agent.CALLERS]
        self.holds: list[Hold] = []  # as they were answered, oldest first
        self.booked: list[Hold] = []
        self.ended: set[tuple[int, int | None]] = set()  # the calls that hung up, by clinic
        #: Within a call: its tool calls, each under its id.
        self.requests: list[tuple[Line, list[tuple[str, Ask]]]] = []
        self.kept: dict[Identity, tuple[Said, datetime]] = {}
        #: What the tool calls of each telephone call are known by, in the order in which they last ran.
        self.ran: dict[tuple[int | None, int | None], list[Identity]] = {}
        self.claimed: list[SmsMessage] = []  # by workers who have not reported yet
        self.sent: Counter[str] = Counter()
        self.numbers = 0
        self.checked: set[str] = set()
        self._books: Books | None = None
        self.last_status: dict[str, str] = {}

    def _clinic(
        self, calendars: tuple[str, ...], *, opens: int, closes: timedelta, length: int, codes: int
    ) -> Clinic:
        until = f"{closes // timedelta(hours=1):02}:00"
        hours = {
            day: [[f"{opens:02}:00", until]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
        }
        rules = {
            "hours": hours,
            "slot_minutes": 30,
            "step_minutes": 15,
            "horizon_days": agent.HORIZON,
            "closures": [self.closed_on],
        }
        org_id = create_clinic(calendars, calendar=rules, code_length=length, codes_per_hold=codes)
        secret = secrets.token_urlsafe()
        self.sql.execute(
            "INSERT INTO vapi_credentials (org_id, kind, secret_digest) VALUES (%s, 'bearer', %s)",
            [org_id, agent.secret_digest(secret)],
        )
        afresh.start_anew()  # or so many new ones in a few seconds would look like a flood
        return Clinic(
            org_id, secret, calendars, timedelta(hours=opens), closes, self.closed_on, length, codes
        )

    def teardown(self) -> None:
        self.sql.execute("UPDATE test_clock SET shift = '0'")

    @property
    def books(self) -> Books:
        if self._books is None:
            self._books = Books(self.sql, [clinic.org_id for clinic in self.clinics])
        return self._books

    # --- asking ---------------------------------------------------------------------------------

    @rule(line=_lines, wish=_reserves)
    def reserve(self, line: Line, wish: Reserve) -> None:
        self.ask(line, [wish])

    @precondition(lambda self: self.holds)
    @rule(line=_lines, wish=_agains, pause=st.sampled_from((0, 0, 0, 11)))
    def reserve_again(self, line: Line, wish: Again, pause: int) -> None:
        self.clock.forward(pause * 60)
        self._books = None
        self.ask(line, [wish])

    @rule(line=_lines, wish=_checks)
    def check(self, line: Line, wish: Check) -> None:
        self.ask(line, [wish])

    @precondition(lambda self: self.holds)
    @rule(line=_lines, wish=_send_codes)
    def send_code(self, line: Line, wish: SendCode) -> None:
        self.ask(line, [wish])

    @precondition(lambda self: self.holds)
    @rule(line=_lines, wish=_verifies)
    def verify(self, line: Line, wish: Verify) -> None:
        self.ask(line, [wish])

    @precondition(lambda self: self.holds)
    @rule(line=_lines, wish=_confirms)
    def send_confirmation(self, line: Line, wish: Confirm) -> None:
        self.ask(line, [wish])

    @rule(line=_lines, wish=_nonsense)
    def nonsense(self, line: Line, wish: Nonsense) -> None:
        self.ask(line, [wish])

    @rule(line=_lines, wishes=st.lists(_wishes, min_size=2, max_size=4))
    def several_in_one_message(self, line: Line, wishes: list[Wish]) -> None:
        self.ask(replace(line, vapi=True), wishes)

    @precondition(lambda self: self.holds)
    @rule(
        line=_lines,
        n=_some,
        right=st.sampled_from(_RIGHT),
        wrong=st.sampled_from((0, 0, 0, 1, 2, 3)),
        pause=st.sampled_from((0, 0, 9, 11)),
        contact=st.sampled_from(("own", "missing", "unknown")),
    )
    def code_and_guesses(self, line: Line, n: int, right: str, wrong: int, pause: int, contact: str) -> None:
        """A code is sent, guessed wrong, and said right, perhaps too late or for another patient."""
        line = replace(line, vapi=True, auth="credential")
        hold = WhichHold("id", n)
        guesses = [Verify(hold, "wrong", guess, "missing") for guess in range(wrong)]
        self.ask(line, [SendCode(hold, None), *guesses])
        self.clock.forward(pause * 60)
        self._books = None
        self.ask(line, [Verify(hold, right, 0, contact)])

    @initialize(line=_lines, booked=st.booleans())
    def somebody_was_first(self, line: Line, *, booked: bool) -> None:
        self.an_agent_without_memory(line, 0)
        if booked:
            self.ask(line, [Verify(WhichHold("id"), "plain", 0, "missing")])

    @rule(line=_lines, n=_some)
    def an_agent_without_memory(self, line: Line, n: int) -> None:
        """One slot is reserved and its code sent; a call's hold need not be named."""
        line = replace(line, auth="credential")
        hold = WhichHold("id" if line.call is None else "missing", line="any")
        for wish in (Reserve("grid", n, 0, "+447700900100"), SendCode(hold, None)):
            self.ask(line, [wish])

    @precondition(lambda self: self.requests)
    @rule(n=st.integers(0, 40), pause=st.sampled_from((0, 0, 0, 34)))
    def the_same_bytes_again(self, n: int, pause: int) -> None:
        """P6: a repeat gets the same answer and nothing happens; a new wish under an old id is worked on."""
        line, keyed = self.requests[-1 - n % len(self.requests)]
        self.clock.forward(pause)
        self._books = None
        self._send(line, keyed)

    def ask(self, line: Line, wishes: list[Wish]) -> None:
        line = self._line_for(line, wishes[0])
        asks = [
            replace(ask, arguments=ask.arguments | self._tenant(line)) for ask in self._asks(line, wishes)
        ]
        line = replace(line, vapi=line.vapi or asks[0].tool not in PATHS)  # in the bare form the path decides
        asks = asks if line.vapi else asks[:1]
        self._send(line, [(self._tool_call_id(line, n), ask) for n, ask in enumerate(asks)])

    def _send(self, line: Line, keyed: list[tuple[str, Ask]]) -> None:
        """One message with these tool calls, each under its id."""
        asks = [ask for _, ask in keyed]
        call_id = None if line.call is None else self.calls[line.call]
        number = agent.CALLERS[line.call or 0]
        form = agent.vapi_form(keyed, call_id, number) if line.vapi else agent.bare_form(asks[0], call_id)
        path = "tools/" + (PATHS.get(asks[0].tool) or "calendar/check")
        request = Request(path, agent.headers(self.clinics[line.clinic], line), json.dumps(form).encode())

        before = self.books
        self._books = None
        answer = request.post(self.client)
        note(f"{line} {form} -> {answer}")
        after = self.books
        self._assert_same_side_of_time(before.now, after.now)
        for text in agent.texts(answer):
            assert agent.code_in(text) is None, f"P4: {agent.code_in(text)!r} in {text!r}"
        heard = agent.hear_vapi(answer, keyed) if line.vapi else [agent.hear_bare(answer)]
        new = False
        for (key, ask), said in zip(keyed, heard, strict=True):
            new |= self._judge(line, keyed, key, ask, said, before, after)
        if call_id is not None:
            self.requests.append((line, keyed))
            if not new:
                assert before.lines == after.lines, "P6: a repeat had an effect"
        acted_for = self._whose(line, asks[0])
        for n, clinic in enumerate(self.clinics):
            if n != acted_for:
                assert before.of[clinic.org_id] == after.of[clinic.org_id], (
                    "P5: another clinic's rows changed"
                )
        made = {row["id"] for row in after["appointments"]} - {row["id"] for row in before["appointments"]}
        told = {hold.appointment for hold in self.booked} - {row["id"] for row in before["appointments"]}
        assert made == told, f"P2: told {told}, made {made}"

    def _judge(
        self,
        line: Line,
        message: list[tuple[str, Ask]],
        key: str,
        ask: Ask,
        said: Said,
        before: Books,
        after: Books,
    ) -> bool:
        """Hold one answer against the promises and what was foretold. False if it was a repeat."""
        assert said.say.startswith("NOT BOOKED: ") == (
            not said.success and ask.tool in agent.SAYS_NOT_BOOKED and said.code != "hold_confirmed"
        ) or (ask.tool in ("send_confirmation_sms", "book_now") and not said.success), f"P6: {said.say}"
        booked = said.success and ask.tool == "verify_otp"
        assert said.say.startswith("Booked: ") == booked, f"P2: {said.say}"
        whose = self._whose(line, ask)
        identity = self._identity(line, key, ask)
        if line.call is not None and self._stands(line, message, key, ask, before):
            assert said == self.kept[identity][0], "P6: a repeat was answered otherwise"
            return False
        if line.call is not None:
            self._note_that_it_ran(identity, said, before, after)
        foretold = self.foretell(line, whose, ask, before, after)
        assert said.code in foretold, f"{ask} was answered {said}, and not one of {foretold}"
        if ask.nonsense or whose is None:
            assert not said.success
            return True
        self._learn(replace(line, clinic=whose), ask, said, before, after)
        return True

    def _identity(self, line: Line, key: str, ask: Ask) -> Identity:
        arguments = json.dumps(ask.arguments, sort_keys=True)
        return line.vapi, self._whose(line, ask), line.call, key, ask.tool, arguments

    def _note_that_it_ran(self, identity: Identity, said: Said, before: Books, after: Books) -> None:
        """What cannot be read, or is nobody's, is answered and kept nowhere."""
        _, whose, call, key, tool, _ = identity
        known = {_row_of(row) for row in before["tool_calls"]}
        new = [row for row in after["tool_calls"] if _row_of(row) not in known]
        if any((row["tool_call_id"], row["tool"]) == (key, tool) for row in new):
            self.kept[identity] = (said, after.now)
            order = self.ran.setdefault((whose, call), [])
            if identity in order:
                order.remove(identity)
            order.append(identity)

    def _stands(self, line: Line, message: list[tuple[str, Ask]], key: str, ask: Ask, books: Books) -> bool:
        """Whether the same again is a repeat: for half a minute, if nothing was asked in the call since but
        what follows in the same message, and unless its answer may be another one by now.
        """
        identity = self._identity(line, key, ask)
        if identity not in self.kept:
            return False
        said, answered = self.kept[identity]
        if books.now - answered > timedelta(seconds=30):
            return False
        _, whose, call, *_ = identity
        order = self.ran[whose, call]
        following = [
            self._identity(line, *each) for each in message[[key for key, _ in message].index(key) + 1 :]
        ]
        if not set(order[order.index(identity) + 1 :]) <= set(following):
            return False
        return {
            "check_availability": said.success and not said.say.startswith("Nothing is free"),
            "reserve_atomic": said.success,
            "send_otp_code": said.success and not self._lost(line, ask, books),
            "verify_otp": True,
            "send_confirmation_sms": str(said.facts.get("messageSent")).lower() == "true",
        }[ask.tool]

    def _lost(self, line: Line, ask: Ask, books: Books) -> bool:
        """Whether the newest code of the hold that is meant did not arrive."""
        hold, _ = self._named(line, ask)
        codes = [
            row
            for row in books["sms_messages"]
            if hold and row["kind"] == "otp" and row["hold_id"] == hold.id
        ]
        newest = max(codes, key=lambda row: row["created_at"], default=None)
        return newest is not None and newest["status"] in ("failed", "undelivered", "expired")

    # --- what the answer must be ----------------------------------------------------------------

    def foretell(
        self, line: Line, whose: int | None, ask: Ask, before: Books, after: Books
    ) -> set[str | None]:
        """The codes of the refusals that are right, or None for success."""
        if ask.nonsense:
            return {*_OF_NONSENSE}
        if ask.tool == "verify_otp" and ask.given("providedOTP") is None:
            return {"missing_argument"}
        if whose is None:
            return {"unknown_tenant"}
        line = replace(line, clinic=whose)
        foretold = {
            "check_availability": lambda: self._foretell_check(line, ask, after.now),
            "reserve_atomic": lambda: self._foretell_reserve(line, ask, after.now),
            "send_otp_code": lambda: self._foretell_send_code(line, ask, before, after),
            "verify_otp": lambda: (
                self._foretell_undelivered(line, ask, before) or self._foretell_verify(line, ask, after.now)
            ),
            "send_confirmation_sms": lambda: self._foretell_confirm(line, ask, after),
        }
        return foretold[ask.tool]()

    def _foretell_check(self, line: Line, ask: Ask, now: datetime) -> set[str | None]:
        if self._calendar(line, ask) is None:
            return {"unknown_calendar"}
        if ask.day is None:
            return {"invalid_date"}
        if ask.day < now.date().isoformat():
            return {"day_in_the_past"}
        if ask.day > (now.date() + timedelta(days=agent.HORIZON)).isoformat():
            return {"day_too_far"}
        return {"day_closed"} if ask.day == self.closed_on else {None}

    def _foretell_reserve(self, line: Line, ask: Ask, now: datetime) -> set[str | None]:
        calendar = self._calendar(line, ask)
        if calendar is None:
            return {"unknown_calendar"}
        if ask.starts is None:
            return {"invalid_slot", "slot_in_the_past", "day_too_far"}
        number = self._number(line, ask)
        if number is None:
            return {"impossible_phone", "missing_argument"}
        if why := self.clinics[line.clinic].why_not_offered(ask.starts, now):
            return {why}
        instead_of = self._own(line)
        taken = any(
            hold.takes(ask.starts, now)
            for hold in self.holds
            if (hold.clinic, hold.calendar) == (line.clinic, calendar) and hold not in instead_of
        )
        own = self._booked_before(line, calendar, ask.starts, number)
        return {"slot_taken"} if taken and not own else {None}

    def _booked_before(self, line: Line, calendar: str, starts: datetime, phone: str) -> Hold | None:
        """What this call itself has booked at that time, if it stands."""
        wanted = (line.clinic, line.call, calendar, starts, phone)
        standing = [hold for hold in self.booked if line.call is not None and not hold.cancelled]
        return next(
            (h for h in standing if (h.clinic, h.call, h.calendar, h.starts, h.phone) == wanted), None
        )

    def _foretell_send_code(self, line: Line, ask: Ask, before: Books, after: Books) -> set[str | None]:
        hold, refused = self._named(line, ask)
        if hold is None:
            return {refused}
        given = ask.given("patientPhone")
        if given is not None and PHONES[given] != hold.phone:
            return {"phone_mismatch"}
        if hold.cancelled:
            return {"appointment_cancelled"}
        if over := self._over(hold, after.now):
            return over
        codes = [row for row in after["sms_messages"] if row["kind"] == "otp" and row["hold_id"] == hold.id]
        ids = {row["id"] for row in codes}
        waiting = any(row["status"] in ("queued", "sending") for row in codes)
        known = sum(row["id"] in ids for row in before["sms_messages"])
        used_up = len(codes) >= self.clinics[line.clinic].codes_per_hold and known == len(codes)
        if hold.starts <= after.now:
            return {"hold_expired"}  # a code for it would be of no use any more
        return {"too_many_codes"} if used_up and not waiting else {None}

    def _foretell_undelivered(self, line: Line, ask: Ask, before: Books) -> set[str | None]:
        """A code that is not right, where the last SMS with it never arrived: that is said instead."""
        hold, _ = self._named(line, ask)
        sent = [row for row in before["sms_messages"] if hold and row["hold_id"] == hold.id]
        last = max(sent, key=lambda row: row["created_at"], default=None)
        if hold is None or last is None or last["status"] not in ("failed", "undelivered"):
            return set()
        contact = ask.given("contactId")
        unread = self._digits(line, ask) is None
        wrong = not unread and contact in (None, hold.contact) and self._digits(line, ask) != hold.code
        live = hold.live(before.now) and hold.starts > before.now
        if live and wrong and hold.tries + 1 == agent.TRIES:
            return {"hold_locked"}
        if live and wrong:
            return {"sms_failed", "cannot_receive_sms"}
        return {"sms_failed", "cannot_receive_sms"} if live and unread else set()

    def _digits(self, line: Line, ask: Ask) -> str | None:
        """The code that was said, if it is one of the clinic's length."""
        digits, length = ask.digits, self.clinics[line.clinic].code_length
        if digits is not None and isinstance(ask.arguments.get("providedOTP"), int):
            digits = str(int(digits)).zfill(length)  # a number says nothing of its leading zeros
        return digits if digits is not None and len(digits) == length else None

    def _foretell_verify(self, line: Line, ask: Ask, now: datetime) -> set[str | None]:
        hold, refused = self._named(line, ask)
        contact = ask.given("contactId")
        if hold is None and refused == "missing_argument":
            return {refused}
        digits = self._digits(line, ask)
        meant = hold is not None and contact in (None, hold.contact)
        if hold and (meant or digits is None) and (told := self._past_reading(line, hold, digits)):
            return {told}
        if digits is None or hold is None or not meant:
            return {"code_unreadable" if digits is None else "wrong_code"}
        if hold.status == "confirmed":
            told = "appointment_cancelled" if hold.cancelled else None  # told as booked, however often
            return {told if digits == hold.code else "wrong_code"}  # news only for who has the telephone
        if (hold.status == "held" and hold.starts <= now) or self._over(hold, now):
            return {"wrong_code"}  # nobody can come to a time that has begun
        return self._foretell_code(hold, digits)

    def _past_reading(self, line: Line, hold: Hold, digits: str | None) -> str | None:
        """What is said in place of "wrong" or "unreadable" where it is of no use to read the code again."""
        if hold.status == "confirmed" and digits != hold.code and hold.call == line.call is not None:
            return "appointment_cancelled" if hold.cancelled else "hold_confirmed"
        return "hold_locked" if hold.status == "locked" else None

    def _foretell_code(self, hold: Hold, digits: str) -> set[str | None]:
        if not hold.code_sent:
            return {"code_not_sent"}
        if digits == hold.code:
            return {None}
        return {"hold_locked" if hold.tries + 1 == agent.TRIES else "wrong_code"}

    def _foretell_confirm(self, line: Line, ask: Ask, after: Books) -> set[str | None]:
        hold = self._named_booking(line, ask)
        if hold is None:
            nameless = ask.given("appointmentId") is None and line.call is None
            return {"missing_argument" if nameless else "unknown_appointment"}
        contact, number = ask.given("contactId"), ask.given("patientPhone")
        if contact is not None and contact != hold.contact:
            return {"unknown_appointment"}
        if number is not None and PHONES[number] != hold.phone:
            return {"phone_mismatch"}
        if hold.cancelled:
            return {"appointment_cancelled"}
        failed = self._confirmation(hold, after)["status"] in ("failed", "undelivered", "expired")
        return {"sms_failed"} if failed else {None}

    def _over(self, hold: Hold, now: datetime) -> set[str | None]:
        if hold.live(now):
            return set()
        if hold.status == "stale":
            return {"hold_expired", "hold_released"}
        if hold.status == "confirmed" and hold.cancelled:
            return {"appointment_cancelled"}
        return {"hold_expired" if hold.status == "held" else f"hold_{hold.status}"}

    # --- what is so after it --------------------------------------------------------------------

    def _learn(self, line: Line, ask: Ask, said: Said, before: Books, after: Books) -> None:
        match ask.tool:
            case "check_availability" if said.success:
                self._learn_free(line, ask, said, after.now)
            case "reserve_atomic" if said.success:
                self._learn_hold(line, ask, said, before, after)
            case "send_otp_code" if said.success:
                hold, _ = self._named(line, ask)
                assert hold
                hold.code_sent = True
                assert any(row["hold_id"] == hold.id for row in after["sms_messages"]), (
                    "P2: no SMS was queued"
                )
            case "verify_otp":
                self._learn_verified(line, ask, said, before, after)
            case "send_confirmation_sms" if said.success:
                hold = self._named_booking(line, ask)
                assert hold
                message = self._confirmation(hold, after)
                gone = message["status"] in ("sent", "delivered")
                assert str(said.facts["messageSent"]).lower() == str(gone).lower()
                if gone:
                    assert said.facts["messageId"] == message["provider_id"]

    def _learn_free(self, line: Line, ask: Ask, said: Said, now: datetime) -> None:
        clinic = self.clinics[line.clinic]
        assert ask.day
        midnight = datetime.fromisoformat(ask.day).replace(tzinfo=UTC)
        calendar = self._calendar(line, ask)
        taken = [h for h in self.holds if (h.clinic, h.calendar) == (line.clinic, calendar)]
        free = [
            agent.instant(starts)
            for starts in (midnight + agent.STEP * n for n in range(96))
            if not clinic.why_not_offered(starts, now) and not any(h.takes(starts, now) for h in taken)
        ]
        if free or not line.vapi:  # a full day's line has the next openings in it
            assert said.facts["slots"] == free

    def _learn_hold(self, line: Line, ask: Ask, said: Said, before: Books, after: Books) -> None:
        calendar, phone, own = self._calendar(line, ask), self._number(line, ask), self._own(line)
        assert calendar
        assert phone
        assert ask.starts
        hold_id: str = said.facts["holdId"]
        if booked := self._booked_before(line, calendar, ask.starts, phone):
            assert (hold_id, said.facts["appointmentId"]) == (booked.id, booked.appointment)
            return
        wanted = (calendar, ask.starts, phone)
        for hold in own:
            if hold.live(after.now) and (hold.calendar, hold.starts, hold.phone) == wanted:
                assert hold_id == hold.id, "the same call asking again did not get its own hold back"
                return
        for hold in own:
            hold.give_back(after.now)
        row = after.by_id("appointment_holds")[hold_id]
        assert hold_id not in before.by_id("appointment_holds")
        call_id = None if line.call is None else self.calls[line.call]
        assert (row["org_id"], row["call_sid"], row["patient_phone"], row["calendar_id"]) == (
            self.clinics[line.clinic].org_id, call_id, phone, calendar
        )  # fmt: skip
        until = moment(row["expires_at"])
        assert moment(row["starts_at"]) == ask.starts
        assert before.now + agent.HOLD <= until <= after.now + agent.HOLD
        contact: str = said.facts["contactId"]
        self.holds.append(
            Hold(
                hold_id, line.clinic, calendar, ask.starts, line.call, phone, contact, until, code_of(hold_id)
            )
        )

    def _learn_verified(self, line: Line, ask: Ask, said: Said, before: Books, after: Books) -> None:
        hold, _ = self._named(line, ask)
        if said.success:
            assert hold
            assert hold.code == ask.digits, "P4: confirmed with another code"
            appointment: str = said.facts["appointmentId"]
            row = after.by_id("appointments")[appointment]
            assert row["hold_id"] == hold.id
            if hold.status == "confirmed":
                assert appointment == hold.appointment, "P2: told as another booking"
                return
            assert appointment not in before.by_id("appointments"), "P2: booked twice"
            hold.status, hold.appointment = "confirmed", appointment
            self.booked.append(hold)
        elif hold and hold.status == "held" and self._meant(hold, ask) and self._guessed(line, ask, said):
            if not hold.live(after.now) or hold.starts <= after.now:
                hold.give_back(max(after.now, hold.until))
                return
            hold.tries += 1
            if hold.tries == agent.TRIES:
                hold.status = "locked"

    def _guessed(self, line: Line, ask: Ask, said: Said) -> bool:
        """Whether this cost a try, whichever way the refusal was put."""
        return said.code in ("wrong_code", "hold_locked", "sms_failed", "cannot_receive_sms") and bool(
            self._digits(line, ask)
        )

    def _meant(self, hold: Hold, ask: Ask) -> bool:
        contact = ask.given("contactId")
        return contact is None or contact == hold.contact

    # --- who and what is meant ------------------------------------------------------------------

    def _whose(self, line: Line, ask: Ask) -> int | None:
        """The clinic for which the server must act, if any."""
        if line.auth == "clash":
            return None
        if line.auth != "nobody":
            return line.clinic
        ids = {ask.given("holdId"), ask.given("appointmentId")} - {None} if not ask.nonsense else set()
        return next((h.clinic for h in self.holds if {h.id, h.appointment} & ids), None)

    def _tenant(self, line: Line) -> dict[str, str]:
        if line.auth in ("credential", "nobody"):
            return {}
        return {"tenantId": self.clinics[line.clinic ^ (line.auth == "clash")].org_id}

    def _own(self, line: Line) -> list[Hold]:
        """What this call still holds, its time over or not."""
        if line.call is None:
            return []
        return [h for h in self.holds if (h.clinic, h.call, h.status) == (line.clinic, line.call, "held")]

    def _named(self, line: Line, ask: Ask) -> tuple[Hold | None, str]:
        given = ask.given("holdId")
        return _of_line(self.holds, line, given, lambda hold: hold.id), (
            "missing_argument" if given is None and line.call is None else "unknown_hold"
        )

    def _named_booking(self, line: Line, ask: Ask) -> Hold | None:
        return _of_line(self.booked, line, ask.given("appointmentId"), lambda hold: hold.appointment)

    def _confirmation(self, hold: Hold, books: Books) -> dict[str, Any]:
        [row] = [row for row in books["sms_messages"] if row["appointment_id"] == hold.appointment]
        return row

    def _calendar(self, line: Line, ask: Ask) -> str | None:
        calendars = self.clinics[line.clinic].calendars
        given: str = ask.arguments.get("calendarId", calendars[0])
        return given if given in calendars else None

    def _number(self, line: Line, ask: Ask) -> str | None:
        given = ask.given("patientPhone")
        caller = agent.CALLERS[line.call or 0] if line.vapi else None
        return PHONES[given] if given is not None else caller if caller != "anonymous" else None

    def _tool_call_id(self, line: Line, n: int) -> str:
        if not line.vapi:
            return ""
        self.numbers += line.fresh
        return f"call_{self.numbers}-{n}" if line.fresh else f"call_0-{n}"

    def _assert_same_side_of_time(self, begin: datetime, end: datetime) -> None:
        """What ends while it is asked about can be foretold by nobody; then this machine is too slow."""
        edges = [hold.until for hold in self.holds] + [hold.starts for hold in self.holds]
        assert not any(begin <= edge <= end for edge in edges), "one example took almost a minute"

    # --- from a wish to its arguments -----------------------------------------------------------

    def _line_for(self, line: Line, wish: Wish) -> Line:
        """Mostly a hold is talked about in its own call; without an owner only where an id is known."""
        if isinstance(wish, Again | SendCode | Verify | Confirm) and wish.hold.line != "any":
            holds = self.booked if isinstance(wish, Confirm) else self.holds
            if holds and wish.hold.how in ("id", "missing"):
                line = agent.on_line_of(line, _nth(holds, wish.hold.n))
                line = replace(line, clinic=line.clinic ^ (wish.hold.line == "other clinic"))
        if line.auth == "nobody" and (line.call is not None or line.vapi):
            line = replace(line, auth="tenant")
        return line

    def _asks(self, line: Line, wishes: list[Wish]) -> Iterator[Ask]:
        for wish in wishes:
            match wish:
                case Check():
                    yield self._as_check(line, wish)
                case Reserve():
                    yield self._as_reserve(line, wish)
                case Again():
                    hold: Hold = _nth(self.holds, wish.hold.n)
                    starts = hold.starts + agent.STEP * wish.aside
                    values = {"slotId": agent.instant(starts), "calendarId": hold.calendar}
                    values |= {"patientName": "Pat Doe", "patientPhone": hold.phone}
                    yield Ask("reserve_atomic", values, starts=starts)
                case Verify():
                    yield self._as_verify(wish)
                case SendCode():
                    holds = self._id(wish.hold, [hold.id for hold in self.holds])
                    yield Ask("send_otp_code", _present(holdId=holds, patientPhone=wish.phone))
                case Confirm():
                    booked = self._id(wish.hold, [hold.appointment for hold in self.booked])
                    contact = self._contact(wish.contact, _nth(self.booked, wish.hold.n))
                    values = _present(appointmentId=booked, patientPhone=wish.phone, contactId=contact)
                    yield Ask("send_confirmation_sms", values)
                case Nonsense():
                    yield self._as_nonsense(wish)

    def _as_check(self, line: Line, wish: Check) -> Ask:
        today = self.books.now.date()
        ahead = {
            name: (number - today.weekday() - 1) % 7 + 1
            for name, number in (("monday", 0), ("next Friday", 4))
        }
        days = {
            "the day": self.day,
            "instant": self.day,
            "closed": date.fromisoformat(self.closed_on),
            "today": today,
            "tomorrow": today + timedelta(days=1),
            "past": date(2020, 2, 2),
            "far": today + timedelta(days=agent.HORIZON + 1),
            "9999-12-31": date(9999, 12, 31),
            "0001-01-01": date(1, 1, 1),
        } | {name: today + timedelta(days=days) for name, days in ahead.items()}
        day = days[wish.date].isoformat() if wish.date in days else None
        said = wish.date if wish.date in ("today", "tomorrow", *ahead, *_NO_DATES) else day
        if wish.date == "instant":
            said = f"{day}T10:00:00Z"
        return Ask(
            "check_availability", _present(date=said, calendarId=self._calendar_id(line, wish)), day=day
        )

    def _as_reserve(self, line: Line, wish: Reserve) -> Ask:
        if line.clinic == 0:
            first = datetime.combine(self.day, datetime.min.time(), UTC) + self.clinics[0].opens
        else:  # the quarters of an hour that come next, so that time can run out on them
            now = self.books.now
            first = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0) + agent.STEP
        grid = first + agent.STEP * wish.n
        starts = {
            "grid": grid,
            "other zone": grid,
            "off grid": grid + timedelta(minutes=7),
            "at closing": datetime.combine(grid.date(), datetime.min.time(), UTC)
            + self.clinics[line.clinic].closes
            - agent.STEP,
            "closed": datetime.fromisoformat(self.closed_on).replace(hour=10, tzinfo=UTC),
            "past": first - timedelta(days=60),
            "far": first + timedelta(days=60),
            "no zone": grid,
        }.get(wish.slot)
        said = wish.slot if starts is None else agent.instant(starts)
        if starts and wish.slot == "no zone":
            said, starts = said.removesuffix("Z"), None
        elif starts and wish.slot == "other zone":
            said = (starts + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00")
        phone = wish.phone
        if phone is None and (not line.vapi or line.call == 1):
            phone = "07700 900101"
        values = _present(
            slotId=said, calendarId=self._calendar_id(line, wish), patientName="Pat Doe", patientPhone=phone
        )
        return Ask("reserve_atomic", values, starts=starts)

    def _as_verify(self, wish: Verify) -> Ask:
        hold = _nth(self.holds, wish.hold.n)
        values = _present(
            holdId=self._id(wish.hold, [each.id for each in self.holds]),
            contactId=self._contact(wish.contact, hold),
            serviceType="check-up" if wish.n == 1 else None,
        )
        if wish.code == "missing":
            return Ask("verify_otp", values)
        if wish.code in _NO_CODES:
            return Ask("verify_otp", values | {"providedOTP": _NO_CODES[wish.code]})
        digits = hold.code if hold else "1234"
        if wish.code == "wrong":
            digits = str((int(digits) + wish.n + 1) % 10 ** len(digits)).zfill(len(digits))
        other = _nth(self.holds, wish.hold.n + wish.n + 1)
        if wish.code == "other" and other:
            digits = other.code
        how = wish.code if wish.code in _RIGHT else "plain"
        if how == "number":  # it says nothing of its leading zeros: the clinic's length gives them back
            length = self.clinics[hold.clinic].code_length if hold else 4
            if len(str(int(digits))) < len(digits) and len(digits) != length:
                how = "plain"
        return Ask("verify_otp", values | {"providedOTP": agent.spoken(digits, how)}, digits=digits)

    def _as_nonsense(self, wish: Nonsense) -> Ask:
        names = {
            "check_availability": ("date", "calendarId", "patientName"),
            "reserve_atomic": ("slotId", "calendarId", "patientPhone"),
            "send_otp_code": ("holdId", "patientPhone", "date"),
            "verify_otp": ("holdId", "providedOTP", "contactId"),
            "send_confirmation_sms": ("appointmentId", "contactId", "patientPhone"),
        }.get(wish.tool, ("a", "b", "c"))
        return Ask(wish.tool, dict(zip(names, wish.values, strict=True)), nonsense=True)

    def _calendar_id(self, line: Line, wish: Check | Reserve) -> str | None:
        own, foreign = self.clinics[line.clinic].calendars, self.clinics[1 - line.clinic].calendars
        if wish.calendar == "foreign":
            return foreign[0]
        return own[wish.calendar % len(own)] if isinstance(wish.calendar, int) else None

    def _id(self, which: WhichHold, ids: list[str] | list[str | None]) -> str | None:
        if which.how == "missing":
            return None
        if which.how == "garbage":
            return "the one from before"
        return _nth(ids, which.n) if which.how == "id" and ids else str(uuid.uuid4())

    def _contact(self, which: str, hold: Hold | None) -> str | None:
        if which == "missing":
            return None
        if which == "own" and hold:
            return hold.contact
        if which == "other" and self.holds:
            return self.holds[0].contact
        return "Pat" if which == "garbage" else str(uuid.uuid4())

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
    @rule(n=_some)
    def the_staff_cancels(self, n: int) -> None:
        hold = self.booked[n % len(self.booked)]
        self.sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [hold.appointment])
        hold.cancelled = True
        self._books = None

    @precondition(lambda self: self.books["sms_messages"])
    @rule(
        n=_some,
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
    @rule(n=_some, outcome=st.sampled_from(_OUTCOMES))
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
        n=_some,
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


def _row_of(row: dict[str, Any]) -> tuple[str, str]:
    """A tool call as it was answered at one time: answered once more, it is another."""
    return row["id"], row["created_at"]


def _nth(items: list[Any], n: int) -> Any:
    """The n-th newest, round and round; None of an empty list."""
    return items[-1 - n % len(items)] if items else None


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _of_line(holds: list[Hold], line: Line, given: str | None, key: Any) -> Hold | None:
    """The one that is named, if this line may name it; else the last of this call."""
    for hold in reversed(holds):
        if hold.clinic != line.clinic:
            continue
        if given is None and line.call is not None and hold.call == line.call:
            return hold
        if given is not None and key(hold) == given:
            return hold if line.call is None or hold.call in (None, line.call) else None
    return None


def _provider_id(message: SmsMessage) -> str:
    return "SM" + message.id.hex


@contextmanager
def _listening() -> Iterator[_Ears]:
    ears = _Ears()
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
