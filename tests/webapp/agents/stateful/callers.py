"""Two clinics, and a random agent's knowledge of its own holds and bookings in them."""

from __future__ import annotations

import logging
import secrets
import uuid
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from flask.testing import FlaskClient
from hypothesis.stateful import RuleBasedStateMachine

from models.messaging.messages import SmsMessage
from tests import afresh
from tests.conftest import Clock
from tests.factories import create_clinic
from tests.webapp.agents import agent
from tests.webapp.agents.agent import PHONES, Ask, Clinic, Hold, Line, Said
from tests.webapp.agents.books import Books

#: The identity of a tool call: its form, its clinic, call and tool call, tool and arguments.
Identity = tuple[bool, int | None, int | None, str, str, str]


class Ears(logging.Handler):
    """Keeps the log lines of our own code."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


def of_line(holds: list[Hold], line: Line, given: str | None, key: Any) -> Hold | None:
    """The hold that is named, if this line may name it; without a name the last hold of this call."""
    for hold in reversed(holds):
        if hold.clinic != line.clinic:
            continue
        if given is None and line.call is not None and hold.call == line.call:
            return hold
        if given is not None and key(hold) == given:
            return hold if line.call is None or hold.call in (None, line.call) else None
    return None


class Callers(RuleBasedStateMachine):
    """The clinics, their callers, and the answers so far."""

    def __init__(self, client: FlaskClient, sql: psycopg.Connection, ears: Ears) -> None:
        super().__init__()
        self.client, self.sql, self.ears = client, sql, ears
        ears.heard.clear()
        self.clock = Clock(sql)
        # Every example begins at the same time of day, just after a whole minute, so that it can be
        # repeated, and a quarter of an hour begins only by `time_passes`.
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
        #: The identities of each call's tool calls, in the order in which they last ran.
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
            "opening": hours,
            "minutes": 30,
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
        afresh.start_anew()  # or many new credentials within seconds would look like a flood
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
        """The holds of this call, expired or not."""
        if line.call is None:
            return []
        return [h for h in self.holds if (h.clinic, h.call, h.status) == (line.clinic, line.call, "held")]

    def _named(self, line: Line, ask: Ask) -> tuple[Hold | None, str]:
        given = ask.given("holdId")
        return of_line(self.holds, line, given, lambda hold: hold.id), (
            "missing_argument" if given is None and line.call is None else "unknown_hold"
        )

    def _named_booking(self, line: Line, ask: Ask) -> Hold | None:
        return of_line(self.booked, line, ask.given("appointmentId"), lambda hold: hold.appointment)

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
        """Assert that no hold ended during the request, which would make its answer unpredictable."""
        edges = [hold.until for hold in self.holds] + [hold.starts for hold in self.holds]
        assert not any(begin <= edge <= end for edge in edges), "one example took almost a minute"
