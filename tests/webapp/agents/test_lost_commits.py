"""The connection breaks in the commit of a tool call: what is said of it is so, and it is done once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.breaking import Breaks, Line
from tests.factories import bare, code_of, create_clinic, phone_number, slot
from tests.surroundings import environment
from tests.webapp.agents.calls import PhoneCall
from webapp import unit_of_work

_BOOKED = (
    "SELECT count(*) FROM appointments a JOIN sms_messages m ON m.appointment_id = a.id"
    " WHERE a.org_id = %s AND m.kind = 'confirmation'"
)

#: What each tool's transaction sends, and what there must be one of afterwards.
TOOLS = {
    "reserve_atomic": (
        "claim_slot_atomic(",
        "SELECT count(*) FROM appointment_holds WHERE org_id = %s AND status = 'held'",
    ),
    "send_otp_code": (
        "INSERT INTO sms_messages",
        "SELECT count(*) FROM sms_messages WHERE org_id = %s AND kind = 'otp'",
    ),
    "verify_otp": (
        "confirm_held_slot(",
        _BOOKED,
    ),
}


@pytest.fixture
def line(database_url: str) -> Iterator[Line]:
    with Line(database_url) as made, environment(DATABASE_URL=made.url):
        yield made


class Caller:
    """One who books, in Vapi's form or in the bare one, tool by tool."""

    def __init__(self, client: FlaskClient, *, vapi: bool) -> None:
        self.client = client
        self.org = create_clinic()
        self.call = PhoneCall(client, self.org, phone_number()) if vapi else None
        self.hold = ""

    def ask(self, tool: str, **given: str) -> str:
        """The line that Vapi would hear."""
        if self.call is not None:
            arguments: dict[str, Any] = {
                "reserve_atomic": {"slotId": slot(), "patientName": "Ada"},
                "send_otp_code": {},
                "verify_otp": {"providedOTP": self.hold and code_of(self.hold)},
            }[tool]
            said = self.call.say(tool, **(arguments | given))
            if tool == "reserve_atomic" and "holdId=" in said:
                self.hold = said.split("holdId=")[1].split()[0]
            return said
        path, arguments = {
            "reserve_atomic": (
                "booking/reserve-atomic",
                {
                    "slotId": slot(),
                    "patientName": "Ada",
                    "patientPhone": phone_number(),
                    "tenantId": self.org,
                },
            ),
            "send_otp_code": ("booking/send-otp", {"holdId": self.hold}),
            "verify_otp": (
                "booking/verify-otp",
                {"holdId": self.hold, "providedOTP": self.hold and code_of(self.hold)},
            ),
        }[tool]
        answer = bare(self.client, path, **(arguments | given))
        self.hold = answer.get("holdId", self.hold)
        return f"{answer['say']} [code={answer['code']}]" if "code" in answer else str(answer["say"])

    def until(self, tool: str) -> None:
        for each in TOOLS:
            if each == tool:
                return
            assert "code=" not in self.ask(each)


@pytest.mark.parametrize("how", [Breaks.BEFORE, Breaks.AFTER])
@pytest.mark.parametrize("vapi", [True, False], ids=["vapi", "bare"])
@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_answered_is_so(
    client: FlaskClient, sql: psycopg.Connection, line: Line, tool: str, how: Breaks, *, vapi: bool
) -> None:
    caller = Caller(client, vapi=vapi)
    caller.until(tool)
    statement, count = TOOLS[tool]
    line.break_commit_of(statement, how)
    said = caller.ask(tool)
    assert line.has_broken()
    assert "code=" not in said
    assert "NOT BOOKED" not in said
    # Once it was committed it is not tried once more; if it was not, it is, once.
    assert line.count(statement) == (1 if how is Breaks.AFTER else 2)
    assert sql.execute(count.encode(), [caller.org]).fetchone() == (1,)


@pytest.mark.parametrize("how", [Breaks.BEFORE, Breaks.AFTER])
def test_what_only_looks_is_answered_all_the_same(client: FlaskClient, line: Line, how: Breaks) -> None:
    """In the bare form, without a call id, nothing is kept of it that could be looked for."""
    org = create_clinic()
    free = {"tenantId": org, "slotId": slot(), "patientName": "Ada", "patientPhone": phone_number()}
    line.break_commit_of("FROM calendars", how)
    seen = bare(client, "calendar/check", tenantId=org, date=slot()[:10])
    assert line.has_broken()
    assert seen["success"]
    hold = bare(client, "booking/reserve-atomic", **free)["holdId"]
    line.break_commit_of("claim_slot_atomic(", how)
    taken = bare(client, "booking/reserve-atomic", **(free | {"patientPhone": phone_number()}))
    assert line.has_broken()
    assert taken["code"] == "slot_taken"
    bare(client, "booking/send-otp", holdId=hold)
    wrong = f"{(int(code_of(hold)) + 1) % 10_000:04}"
    line.break_commit_of("confirm_held_slot(", how)
    assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong)["code"] == "wrong_code"
    assert line.has_broken()
    booked = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))
    line.break_commit_of("FROM appointments", how)  # that of the look-up whose appointment it is
    told = bare(client, "booking/send-confirmation", appointmentId=booked["appointmentId"])
    assert line.has_broken()
    assert told["success"]


@pytest.mark.parametrize("how", [Breaks.BEFORE, Breaks.AFTER])
def test_the_last_wrong_code_is_not_said_to_have_locked_what_it_may_not_have(
    client: FlaskClient, line: Line, how: Breaks
) -> None:
    caller = Caller(client, vapi=False)
    caller.until("verify_otp")
    wrong = f"{(int(code_of(caller.hold)) + 1) % 10_000:04}"
    for _ in range(2):
        assert "code=wrong_code" in caller.ask("verify_otp", providedOTP=wrong)
    line.break_commit_of("confirm_held_slot(", how)
    arguments = {"holdId": caller.hold, "providedOTP": wrong}
    said = client.post("/api/vapi/tools/booking/verify-otp", json={"toolCall": {"arguments": arguments}})
    assert line.has_broken()
    assert (said.status_code, said.get_json()["code"]) == (503, "outcome_unknown")
    assert "code=hold_locked" in caller.ask("verify_otp", providedOTP=wrong)


@pytest.mark.parametrize("vapi", [True, False], ids=["vapi", "bare"])
@pytest.mark.parametrize("tool", TOOLS)
def test_a_commit_that_is_still_under_way_is_waited_for(
    client: FlaskClient, sql: psycopg.Connection, line: Line, tool: str, *, vapi: bool
) -> None:
    caller = Caller(client, vapi=vapi)
    caller.until(tool)
    statement, count = TOOLS[tool]
    line.break_commit_of(statement, Breaks.MEANWHILE)
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(caller.ask, tool)
        until = time.monotonic() + 30
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while sql.execute(waiting.encode()).fetchone() == (0,):
            assert time.monotonic() < until
            time.sleep(0.01)
        line.go_on()
        said = asked.result(30)
    assert "code=" not in said
    assert line.count(statement) == 1
    assert sql.execute(count.encode(), [caller.org]).fetchone() == (1,)


@pytest.mark.parametrize("how", [Breaks.BEFORE, Breaks.AFTER])
def test_a_database_that_is_back_in_two_seconds_is_asked_what_came_of_the_commit(
    client: FlaskClient, sql: psycopg.Connection, line: Line, how: Breaks
) -> None:
    caller = Caller(client, vapi=True)
    caller.until("verify_otp")
    statement, count = TOOLS["verify_otp"]
    line.break_commit_of(statement, how, then_refuse=True)
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(caller.ask, "verify_otp")
        until = time.monotonic() + 30
        while not line.has_broken():
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(2)  # for so long it is away
        line.refuses = False
        said = asked.result(30)
    assert said.startswith("Booked: ")
    assert sql.execute(count.encode(), [caller.org]).fetchone() == (1,)


def test_a_database_that_goes_away_after_the_commit_takes_nothing_back(
    client: FlaskClient, sql: psycopg.Connection, database_url: str
) -> None:
    with Line(database_url) as line, environment(DATABASE_URL=line.url, SMS_WATCH="1"):
        caller = Caller(client, vapi=True)
        caller.until("send_otp_code")
        statement, count = TOOLS["send_otp_code"]
        line.break_commit_of(statement, Breaks.AFTERWARDS, then_refuse=True)
        said = caller.ask("send_otp_code")
        assert line.has_broken()
        line.refuses = False
    assert said.startswith("A code is on its way")
    assert sql.execute(count.encode(), [caller.org]).fetchone() == (1,)


@pytest.mark.parametrize("how", [Breaks.BEFORE, Breaks.AFTER])
def test_what_cannot_be_seen_is_said_to_be_unknown(
    client: FlaskClient, sql: psycopg.Connection, line: Line, how: Breaks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_of_work, "LOOK_FOR", 0.5)
    caller = Caller(client, vapi=True)
    caller.until("verify_otp")
    code = code_of(caller.hold)
    assert caller.call is not None
    line.break_commit_of("confirm_held_slot(", how, then_refuse=True)
    said = caller.call.say("verify_otp", id="call_once", providedOTP=code)
    line.refuses = False
    assert "code=outcome_unknown" in said
    assert not said.startswith("NOT BOOKED")
    same = caller.call.say("verify_otp", id="call_once", providedOTP=code)
    other = caller.call.say("verify_otp", id="call_other", providedOTP=code)
    for again in (same, other):
        assert again.startswith("Booked: ")
        assert "code=" not in again
    assert same.split("appointmentId=")[1] == other.split("appointmentId=")[1]
    assert sql.execute(TOOLS["verify_otp"][1].encode(), [caller.org]).fetchone() == (1,)
