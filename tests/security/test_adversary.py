"""Three clinics, and an agent that has lost its mind, or was talked out of it, with one clinic's credential.

Honest calls go on in all three, while the adversary sends any tool in any order and form, with ids, codes
and recorded requests of everybody, and with instructions in place of values. After each step: P5, nobody
learns or changes anything of another clinic; P4, no appointment without its code, read by whoever has
the telephone; and no SMS that says anything but its template. HOLDLINE_EXAMPLES=500 hunts longer.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections import Counter
from typing import ClassVar

import psycopg
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from twilio.request_validator import RequestValidator

import settings as product
from models.messaging import receipts
from tasks.calls import score_call
from tests.security import ground
from tests.security.ground import instant, marks
from tests.security.siege.attacks import HOSTILE, SPELLINGS, WAYS, WISHES, N, Spoil, Way, Wish
from tests.security.siege.camp import CODES_PER_CALL, CODES_PER_HOLD, CODES_PER_PHONE
from tests.security.siege.sending import Sending
from tests.webapp.agents import agent
from tests.webapp.agents.agent import PATHS
from tests.webapp.agents.books import assert_books_agree
from webapp.agents.repeats import REPEATED_WITHIN

LONGER = "HOLDLINE_EXAMPLES" in os.environ
#: What is found is told as it was found: making it small again takes minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
EXAMPLES = int(os.environ.get("HOLDLINE_EXAMPLES", "15"))
STEPS = 30


class Siege(Sending):
    """One adversary, three clinics."""

    # --- the adversary --------------------------------------------------------------------------

    @rule(attacks=st.lists(st.tuples(WISHES, WAYS), min_size=3, max_size=6))
    def tools_are_abused_one_by_one(self, attacks: list[tuple[Wish, Way]]) -> None:
        for wish, way in attacks:
            self._attack([wish], way)

    @rule(wishes=st.lists(WISHES, min_size=2, max_size=4), way=WAYS)
    def several_tools_are_abused_at_once(self, wishes: list[Wish], way: Way) -> None:
        self._attack(wishes, way)

    @rule(n=N, way=WAYS, spelling=st.sampled_from(SPELLINGS), guesses=st.integers(0, 3))
    def it_books_for_itself_between_guesses(self, n: int, way: Way, spelling: str, guesses: int) -> None:
        """Its own telephone gets a code; it guesses others first, then says the one it read."""
        self._attack([Wish("reserve_atomic", n, "", "", ())], way)
        self._attack([Wish("send_otp_code", 0, "", "", ())], way)
        self.the_workers_deliver()
        self._attack([Wish("verify_otp", 0, "guess", "plain", ())] * guesses, way)
        self._attack([Wish("verify_otp", 0, "read", spelling, ())], way)

    @rule(n=N, of_a_patient=st.booleans())
    def codes_are_asked_for_without_end(self, n: int, *, of_a_patient: bool) -> None:
        """SMS pumping; each code is sent before the next is asked for."""
        number = (Spoil("patientPhone", "theirs" if of_a_patient else "mine", n),)
        way = Way(vapi=False, call="none", fresh=True)
        self._attack([Wish("reserve_atomic", n, "", "", number)], way)
        for _ in range(CODES_PER_HOLD + 1):
            self._attack([Wish("send_otp_code", 0, "", "", ())], way)
            self.the_workers_deliver()

    @precondition(lambda self: self.recorded)
    @rule(n=N, own_credential=st.booleans())
    def a_request_is_replayed(self, n: int, *, own_credential: bool) -> None:
        """What was overheard, with its own credential; or its own clinic's requests as they were."""
        past = self.recorded[-1 - n % len(self.recorded)]
        signed_anew = own_credential or past.clinic != self.villain
        headers = self.own.headers(past.body) if signed_anew else past.headers
        latest, answered = self.latest.pop(past.call, (None, 0.0))
        before = self._effects()
        self._send(past.path, past.body, headers, {past.code} if past.code else set())
        # A repeat comes soon, and nothing lies between; anything else is asked for once more, and so is what
        # was refused.
        soon = past is latest and time.monotonic() - answered < REPEATED_WITHIN.total_seconds() / 2
        if soon and past.clinic == self.villain and past.call not in (None, *HOSTILE):
            assert self._effects() == before, "P6: a repeat had an effect"

    @rule(
        kind=st.sampled_from(("status-update", "end-of-call-report", "hang")),
        whose=st.sampled_from(("first", "second", "foreign", "foreign", "of a patient", "hostile")),
        n=N,
    )
    def an_event_is_made_up(self, kind: str, whose: str, n: int) -> None:
        """The end of somebody else's call, perhaps; only one's own clinic's may end."""
        message = {
            "type": kind,
            "status": "ended",
            "endedReason": HOSTILE[n % len(HOSTILE)],
            "call": {"id": self._call_id(whose, n), "customer": {"number": self.mine[0]}},
            "artifact": {"transcript": HOSTILE[0]},
        }
        body = json.dumps({"message": message}).encode()
        self._send("/api/vapi/webhook", body, self.own.headers(body), set())

    @rule(whose=st.sampled_from(("first", "second", "of a patient")), n=N, other=N)
    def a_hot_call_is_made_up(self, whose: str, n: int, other: int) -> None:
        """What it says in a call, and what Vapi may believe of it, on the way to the owner's lock screen."""
        call = self._call_id(whose, n)
        said = [
            {"role": "user", "message": "I've been quoted for two implants and I want to go ahead, today."},
            {"role": "user", "message": HOSTILE[n % len(HOSTILE)]},
            {"role": "user", "message": "Tuesday at ten is perfect, put me down please."},
        ]
        hostile = HOSTILE[(n + other) % len(HOSTILE)]
        facts = {
            "treatment": {"value": HOSTILE[other % len(HOSTILE)], "quote": HOSTILE[n % len(HOSTILE)]},
            "decision": {"value": "goes_ahead", "quote": "I want to go ahead"},
            "urgency": {"value": "now", "quote": "today"},
            "price": {"value": hostile, "quote": hostile},
        }
        message = {
            "type": "end-of-call-report",
            "call": {"id": call, "customer": {"number": (self.mine[0], *HOSTILE)[other % 20]}},
            "durationSeconds": 400,
            "artifact": {"messages": said},
            "analysis": {"structuredData": facts, "successEvaluation": HOSTILE[other % len(HOSTILE)]},
        }
        body = json.dumps({"message": message}).encode()
        self._send("/api/vapi/webhook", body, self.own.headers(body), set())
        self.clock.forward(3)
        self._books = None
        self._step(self.villain, lambda: score_call.run(org_id=self.own.org_id, call_id=call))
        self.the_workers_deliver()

    @precondition(lambda self: self.books["sms_messages"])
    @rule(
        n=N,
        token=st.sampled_from(("zeros", "of another message", "of another attempt", "leaked")),
        signed=st.sampled_from(("not at all", "own account", "own account, other sid")),
        status=st.sampled_from(("delivered", "failed", "undelivered", HOSTILE[2])),
    )
    def a_receipt_is_forged(self, n: int, token: str, signed: str, status: str) -> None:
        """With the Twilio account of its own clinic; even to an address that leaked."""
        rows = [row for row in self._messages() if row["org_id"] != self.own.org_id] or self._messages()
        row, other = rows[n % len(rows)], self._messages()[0]
        tokens = {
            "zeros": "0" * 32,
            "of another message": receipts.receipt_token(uuid.UUID(other["id"]), 1),
            "of another attempt": receipts.receipt_token(uuid.UUID(row["id"]), 2),
            "leaked": receipts.receipt_token(uuid.UUID(row["id"]), 1),
        }
        path = f"/api/twilio/status/{row['id']}/1/{tokens[token]}"
        if row["org_id"] == self.own.org_id or (row["id"] == other["id"] and token == "of another message"):
            return  # its own, and genuine
        [owner] = [clinic for clinic in self.clinics if clinic.org_id == row["org_id"]]
        sid = self.own.account_sid if signed == "own account" else owner.account_sid
        form = {"MessageSid": "SM" + "0" * 32, "MessageStatus": status, "AccountSid": sid}
        url = product.get().public_base_url + path
        signature = RequestValidator(self.own.auth_token).compute_signature(url, form)
        headers = {} if signed == "not at all" else {"X-Twilio-Signature": signature}

        before = self.books.lines
        response = self.client.post(path, data=form, headers=headers)
        self._books = None
        assert response.status_code == 403
        assert response.data == b""
        assert self.books.lines == before, "a forged receipt was believed"

    @rule(
        how=st.sampled_from(("another's name", "changed", "none", "two", "empty", "guess", "in the query")),
        n=N,
    )
    def a_credential_is_made_up(self, how: str, n: int) -> None:
        """Nobody is let in by halves of two credentials."""
        other = self.clinics[(self.villain + 1 + n % 2) % 3]
        reserve = {"slotId": instant(ground.slot(90, n)), "patientName": "Eve", "patientPhone": self.mine[0]}
        body = ground.bare_body(reserve | {"tenantId": other.org_id, "calendarId": other.calendars[0]})
        path = f"/api/vapi/tools/{PATHS['reserve_atomic']}"
        signing = self.clinics[2]
        headers = {
            "another's name": signing.headers(
                body, secret=self.own.secret, credential_id=other.credential_id
            ),
            "changed": signing.headers(body + b" "),
            "none": {},
            "two": {"Authorization": "Bearer guess", **signing.headers(body)},
            "empty": {"Authorization": "Bearer ", "X-Vapi-Secret": ""},
            "guess": other.headers(body, secret=self.own.secret[::-1]),
            "in the query": {},
        }[how]
        if how == "in the query":
            path += f"?credential={other.credential_id}&tenantId={other.org_id}"
        before = self.books.lines
        response = ground.post(self.client, path, body, headers)
        self._books = None
        assert response.status_code == 401, f"{how}: {response.text}"
        assert not marks(response.text)
        assert self.books.lines == before

    # --- what is held against it ----------------------------------------------------------------

    @invariant()
    def the_books_agree(self) -> None:
        """P1 and P2 from the rows alone; and the limits, the digits of a code and its tries among them."""
        assert_books_agree(self.books)
        of = {clinic.org_id: clinic for clinic in self.clinics}
        for row in self.books["appointment_holds"]:
            assert row["code_tries"] <= of[row["org_id"]].code_tries, "P4: more tries than there are"
        codes = [row for row in self.books["sms_messages"] if row["kind"] == "otp"]
        for column, most in (
            ("hold_id", CODES_PER_HOLD),
            ("call_sid", CODES_PER_CALL),
            ("to_phone", CODES_PER_PHONE),
        ):
            counted = Counter((row["org_id"], row[column]) for row in codes if row[column])
            assert all(count <= most for count in counted.values()), f"too many codes for one {column}"

    @invariant()
    def whoever_booked_had_read_the_code(self) -> None:
        """P4, over the whole siege: each booking is a patient's, or of a telephone of the adversary's."""
        patients = {visit.hold for visit in self.visits if visit.code}
        for row in self.books["appointments"]:
            assert row["hold_id"] in patients | set(self.read), "P4: booked without its code"
            assert row["patient_phone"] in self.mine or row["hold_id"] in patients

    @invariant()
    def no_code_is_at_rest(self) -> None:
        """P4: in no column of any table."""
        codes = {self._code(row["id"]) for row in self.books["appointment_holds"]}
        for line in self.books.lines:
            if line in self.checked:
                continue
            table, text = line.split(" ", 1)
            row = json.loads(text)
            if isinstance(row.get("id"), int):
                del row["id"]  # a running number
            for each in agent.texts(row):
                assert not ground.shown(codes, agent._INNOCENT.sub(" ", each)), f"P4: {each!r} in {table}"
        self._learn_marks()
        self.checked |= set(self.books.lines)

    @invariant()
    def no_code_is_logged_or_queued(self) -> None:
        """P4; and nobody's name or number either. A task is told ids and nothing else."""
        for said in self.ears.heard:
            shown = {mark for mark in marks(said) if mark.startswith(("+", "zq"))}
            assert not shown, f"{shown} in the log: {said}"
            codes = set(self.codes.values())
            assert not ground.shown(codes, agent._INNOCENT.sub(" ", said)), f"P4: {said!r}"
        self.ears.heard.clear()
        for queue, seen in self.seen.items():
            for arguments, keywords, _ in ground.payloads(self.broker, queue, seen):
                assert arguments == []
                assert set(keywords) == {"org_id", "message_id"}
                assert all(str(uuid.UUID(value)) == value for value in keywords.values())
            self.seen[queue] = int(self.broker.llen(queue))


@pytest.mark.timeout(900 + 4 * EXAMPLES)
@pytest.mark.usefixtures("clock")
def test_no_sequence_of_requests_gets_past_the_rules(
    client: FlaskClient, sql: psycopg.Connection, twilio: str
) -> None:
    with ground.listening() as ears:

        class OneSiege(Siege):
            reached: ClassVar[Counter[tuple[str, str]]] = Counter()

            def __init__(self) -> None:
                super().__init__(client, sql, twilio, ears)

        run_state_machine_as_test(
            OneSiege,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                derandomize=not LONGER,
                print_blob=True,
                report_multiple_bugs=False,
                phases=PHASES,
                suppress_health_check=list(HealthCheck),
            ),
        )
    assert {
        ("its own", "confirmed"),
        ("its own", "locked"),
        ("its own", "alert"),
        ("a patient's", "confirmed"),
    } <= set(OneSiege.reached)
