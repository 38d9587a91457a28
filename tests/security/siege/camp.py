"""Three clinics with their rows, and what answers and steps must not show or change."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import psycopg
from flask.testing import FlaskClient
from hypothesis.stateful import RuleBasedStateMachine

import settings as product
from tests.conftest import Clock
from tests.factories import code_of
from tests.security import ground
from tests.security.ground import Clinic, Ears, Everything, found, marks
from tests.security.siege.attacks import Recorded
from tests.webapp.agents import agent

CODES_PER_HOLD, CODES_PER_CALL, CODES_PER_PHONE = 2, 4, 5
HOLDS_PER_PHONE = 3


@dataclass
class Visit:
    """An honest patient on the telephone."""

    clinic: int
    number: str
    name: str
    call: str | None
    starts: datetime
    hold: str = ""
    contact: str = ""
    code: str = ""
    appointment: str = ""
    step: int = 0


class Camp(RuleBasedStateMachine):
    """The three clinics, and the checks of every step."""

    reached: ClassVar[Counter[tuple[str, str]]]  # the final statuses of the holds of all examples

    def __init__(self, client: FlaskClient, sql: psycopg.Connection, twilio: str, ears: Ears) -> None:
        super().__init__()
        self.client, self.sql, self.twilio, self.ears = client, sql, twilio, ears
        ears.heard.clear()
        self.clock = Clock(sql)
        self.began = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        caps = {
            "codes_per_hold": CODES_PER_HOLD,
            "codes_per_call": CODES_PER_CALL,
            "codes_per_phone_a_day": CODES_PER_PHONE,
            "holds_per_phone": HOLDS_PER_PHONE,
        }
        self.clinics = (
            found("a", "bearer", **caps),
            found("b", "vapi_secret", code_length=6, code_tries=2, **caps),
            found("c", "hmac", code_tries=1, **caps),
        )
        self.villain = 0
        self.numbers = 0
        #: The numbers whose SMS the adversary can read.
        self.mine = [self._number("77"), self._number("77")]
        self.calls = {"first": str(uuid.uuid4()), "second": str(uuid.uuid4())}
        self.visits: list[Visit] = []
        self.recorded: list[Recorded] = []
        #: By call, the last answered request, if it succeeded, and its time (monotonic clock).
        self.latest: dict[str | None, tuple[Recorded, float]] = {}
        self.read: dict[str, str] = {}  # the codes that the adversary has read, by hold
        self.inbox: list[dict[str, str]] = []
        self.codes: dict[str, str] = {}
        self.broker = ground.broker()
        self.seen = {queue: int(self.broker.llen(queue)) for queue in ("otp", "sms")}
        self.checked: set[str] = set()
        self.marks_of: dict[str, set[str]] = {}
        self._books: Everything | None = None

    def teardown(self) -> None:
        for row in self.books["appointment_holds"]:
            whose = "its own" if row["patient_phone"] in self.mine else "a patient's"
            self.reached[whose, row["status"]] += 1
        self.broker.close()
        self.sql.execute("UPDATE test_clock SET shift = '0'")

    @property
    def books(self) -> Everything:
        if self._books is None:
            self._books = Everything(self.sql, [clinic.org_id for clinic in self.clinics])
        return self._books

    @property
    def own(self) -> Clinic:
        return self.clinics[self.villain]

    def _number(self, block: str) -> str:
        self.numbers += 1
        return f"+447400{block}{self.numbers:04}"

    # --- how it sends ---------------------------------------------------------------------------

    def _other(self, n: int) -> Clinic:
        return self.clinics[(self.villain + 1 + n % 2) % 3]

    def _newest(self, table: str, clinic: Clinic) -> list[dict[str, Any]]:
        rows = [row for row in self.books[table] if row["org_id"] == clinic.org_id]
        return sorted(rows, key=lambda row: (row["created_at"], row["id"]), reverse=True)

    def _messages(self) -> list[dict[str, Any]]:
        return sorted(self.books["sms_messages"], key=lambda row: (row["created_at"], row["id"]))

    # --- the promises ---------------------------------------------------------------------------

    def _step(self, clinic: int | None, act: Callable[[], Any]) -> Any:
        """Run `act` for a clinic; no row of another clinic may change by a byte (P5)."""
        before = self.books
        self._learn_marks()
        self._books = None
        outcome = act()
        for n, each in enumerate(self.clinics):
            if clinic not in (None, n):
                assert self.books.of[each.org_id] == before.of[each.org_id], (
                    "P5: another clinic's rows changed"
                )
        return outcome

    def _learn_marks(self) -> None:
        for clinic in self.clinics:
            known = self.marks_of.setdefault(clinic.org_id, set())
            for line in self.books.of[clinic.org_id]:
                if line not in self.checked:
                    known |= marks(line)

    def _assert_nothing_leaks(self, answer: Any, headers: str) -> None:
        """Assert P5 and P4 in an answer to the adversary, which may contain its own tool call ids."""
        texts = [headers]
        for result in answer.get("results", ()):
            texts += [result["result"]] if "result" in result else []
        texts += [
            text for key, value in answer.items() if key != "results" for text in agent.texts([key, value])
        ]
        shown = set().union(*(marks(text) for text in texts))
        for clinic in self.clinics:
            if clinic is not self.own:
                assert not shown & self.marks_of[clinic.org_id], "P5: another clinic's data"
        self._assert_no_patient_shows(" ".join(texts))
        self._assert_no_code_shows(texts[1:], self.own)

    def _assert_no_patient_shows(self, text: str) -> None:
        """Assert that no name or number of a patient is shown, not even to the clinic's own agent."""
        squeezed = text.replace(" ", "")
        for visit in self.visits:
            assert visit.name not in text, "a patient's name in an answer"
            assert visit.number[3:] not in squeezed, "a patient's number in an answer"

    def _assert_no_code_shows(self, answers: list[Any], clinic: Clinic) -> None:
        for text in agent.texts(answers):
            ours = text.replace(clinic.readable_phone, "").replace(product.get().public_base_url, "")
            assert agent.code_in(ours) is None, f"P4: {agent.code_in(ours)!r} in {text!r}"

    def _assert_answered(self, answer: Any, calls: list[tuple[str, str]] | None) -> None:
        """Assert P6: one line for each tool call, in order."""
        if calls is None:
            lines = [answer["say"]]
            assert answer["success"] == ("code" not in answer)
        else:
            assert [(each["toolCallId"], each["name"]) for each in answer["results"]] == calls
            lines = [each.get("result") or each["error"] for each in answer["results"]]
        for line in lines:
            agent.assert_one_line(line)

    def _code(self, hold: str) -> str:
        """The code of a hold, as the patient reads it."""
        if hold not in self.codes:
            self.codes[hold] = code_of(hold)
        return self.codes[hold]

    @staticmethod
    def _booked(books: Everything) -> set[str]:
        return {row["hold_id"] for row in books["appointments"]}

    def _new_holds_booked(self, before: Everything) -> set[str]:
        return self._booked(self.books) - self._booked(before)
