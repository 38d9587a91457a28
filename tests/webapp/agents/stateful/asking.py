"""A random agent asks: each message is sent, and each answer compared with its prediction."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.webapp.agents import agent
from tests.webapp.agents.agent import PATHS, Ask, Line, Request, Said
from tests.webapp.agents.books import Books
from tests.webapp.agents.stateful.callers import Identity
from tests.webapp.agents.stateful.foresight import Foresight
from tests.webapp.agents.stateful.wishes import (
    AGAINS,
    CHECKS,
    CONFIRMS,
    LINES,
    NONSENSE,
    RESERVES,
    RIGHT,
    SEND_CODES,
    SOME,
    VERIFIES,
    WISHES,
    Again,
    Check,
    Confirm,
    Nonsense,
    Reserve,
    SendCode,
    Verify,
    WhichHold,
    Wish,
)


def _row_of(row: dict[str, Any]) -> tuple[str, str]:
    """The identity of an answered tool call; a second answer to the same id counts as another row."""
    return row["id"], row["created_at"]


class Asking(Foresight):
    """Every rule by which the agent asks."""

    @rule(line=LINES, wish=RESERVES)
    def reserve(self, line: Line, wish: Reserve) -> None:
        self.ask(line, [wish])

    @precondition(lambda self: self.holds)
    @rule(line=LINES, wish=AGAINS, pause=st.sampled_from((0, 0, 0, 11)))
    def reserve_again(self, line: Line, wish: Again, pause: int) -> None:
        self.clock.forward(pause * 60)
        self._books = None
        self.ask(line, [wish])

    @rule(line=LINES, wish=CHECKS)
    def check(self, line: Line, wish: Check) -> None:
        self.ask(line, [wish])

    @precondition(lambda self: self.holds)
    @rule(line=LINES, wish=SEND_CODES)
    def send_code(self, line: Line, wish: SendCode) -> None:
        self.ask(line, [wish])

    @precondition(lambda self: self.holds)
    @rule(line=LINES, wish=VERIFIES)
    def verify(self, line: Line, wish: Verify) -> None:
        self.ask(line, [wish])

    @precondition(lambda self: self.holds)
    @rule(line=LINES, wish=CONFIRMS)
    def send_confirmation(self, line: Line, wish: Confirm) -> None:
        self.ask(line, [wish])

    @rule(line=LINES, wish=NONSENSE)
    def nonsense(self, line: Line, wish: Nonsense) -> None:
        self.ask(line, [wish])

    @rule(line=LINES, wishes=st.lists(WISHES, min_size=2, max_size=4))
    def several_in_one_message(self, line: Line, wishes: list[Wish]) -> None:
        self.ask(replace(line, vapi=True), wishes)

    @precondition(lambda self: self.holds)
    @rule(
        line=LINES,
        n=SOME,
        right=st.sampled_from(RIGHT),
        wrong=st.sampled_from((0, 0, 0, 1, 2, 3)),
        pause=st.sampled_from((0, 0, 9, 11)),
        contact=st.sampled_from(("own", "missing", "unknown")),
    )
    def code_and_guesses(self, line: Line, n: int, right: str, wrong: int, pause: int, contact: str) -> None:
        """Send a code, guess wrongly, and say it right, perhaps too late or for another patient."""
        line = replace(line, vapi=True, auth="credential")
        hold = WhichHold("id", n)
        guesses = [Verify(hold, "wrong", guess, "missing") for guess in range(wrong)]
        self.ask(line, [SendCode(hold, None), *guesses])
        self.clock.forward(pause * 60)
        self._books = None
        self.ask(line, [Verify(hold, right, 0, contact)])

    @initialize(line=LINES, booked=st.booleans())
    def somebody_was_first(self, line: Line, *, booked: bool) -> None:
        self.an_agent_without_memory(line, 0)
        if booked:
            self.ask(line, [Verify(WhichHold("id"), "plain", 0, "missing")])

    @rule(line=LINES, n=SOME)
    def an_agent_without_memory(self, line: Line, n: int) -> None:
        """Reserve one slot and send its code; within a call the hold is not named."""
        line = replace(line, auth="credential")
        hold = WhichHold("id" if line.call is None else "missing", line="any")
        for wish in (Reserve("grid", n, 0, "+447700900100"), SendCode(hold, None)):
            self.ask(line, [wish])

    @precondition(lambda self: self.requests)
    @rule(n=st.integers(0, 40), pause=st.sampled_from((0, 0, 0, 34)))
    def the_same_bytes_again(self, n: int, pause: int) -> None:
        """P6: a repeat gets the same answer without effect; a new wish under an old id is carried out."""
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
        """Send one message with these tool calls, each under its id, and judge the answers."""
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
        """Compare one answer with the promises and the prediction. False if it was a repeat."""
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
        """Remember the answer if it was stored. Unreadable tool calls, and those of no clinic, are not."""
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
        """Whether the same tool call now is a repeat: for half a minute, if the call has since asked only
        what follows in the same message, and unless the answer may have changed by now.
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
        """Whether the newest SMS with the named hold's code did not arrive."""
        hold, _ = self._named(line, ask)
        codes = [
            row
            for row in books["sms_messages"]
            if hold and row["kind"] == "otp" and row["hold_id"] == hold.id
        ]
        newest = max(codes, key=lambda row: row["created_at"], default=None)
        return newest is not None and newest["status"] in ("failed", "undelivered", "expired")
