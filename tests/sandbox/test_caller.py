"""What the sandbox's caller makes of texts, and the envelope it sends; whole calls are played elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sandbox import demo, dialogue
from sandbox.answers import Answer, Slot, read_code
from sandbox.caller import Call
from sandbox.dialogue import World
from sandbox.plays import play_booking
from sandbox.steps import DidNotHold
from webapp.agents.tools import BY_NAME
from webapp.agents.vapi import envelope

HOLD = "1b85cdde-16bf-4f2d-8303-7a4a577ed968"
CLINIC = "a0000000-0000-4000-8000-000000000001"


def call(**overrides: Any) -> Call:
    return Call(
        **{"web_url": "http://127.0.0.1:1", "customer": "+447700900123", "tenant_id": CLINIC} | overrides
    )


def test_the_facts_are_read_from_the_end_of_the_line() -> None:
    answer = Answer(f"Held [not really]. [holdId={HOLD} contactId=c-1 expiresAt=2026-12-07T10:10:00Z]")
    assert answer.facts == {"holdId": HOLD, "contactId": "c-1", "expiresAt": "2026-12-07T10:10:00Z"}
    assert answer.slots == []


def test_an_answer_without_facts_has_none() -> None:
    assert Answer("One moment please.").facts == {}
    assert Answer("One moment please.").slots == []


def test_the_times_of_one_day_are_read() -> None:
    times = "9:00 in the morning = 2026-12-07T09:00:00Z, 2:30 in the afternoon = 2026-12-07T14:30:00Z"
    answer = Answer(f"Two times are free. [calendarId=cal-1; slotId by time: {times}]")
    assert answer.facts == {"calendarId": "cal-1"}
    assert answer.slots == [
        Slot("2026-12-07T09:00:00Z", "9:00 in the morning"),
        Slot("2026-12-07T14:30:00Z", "2:30 in the afternoon"),
    ]


def test_the_times_of_several_days_are_read_from_a_refusal() -> None:
    times = (
        "Monday 7 December, 10:00 in the morning = 2026-12-07T10:00:00Z; "
        "Tuesday 8 December, 9:00 in the morning = 2026-12-08T09:00:00Z"
    )
    answer = Answer(f"NOT BOOKED: gone. [code=slot_taken calendarId=cal-1; slotId by time: {times}]")
    assert answer.facts == {"code": "slot_taken", "calendarId": "cal-1"}
    assert answer.slots == [
        Slot("2026-12-07T10:00:00Z", "Monday 7 December, 10:00 in the morning"),
        Slot("2026-12-08T09:00:00Z", "Tuesday 8 December, 9:00 in the morning"),
    ]


def test_a_time_without_its_day_is_given_it() -> None:
    dated = Slot("2026-12-07T09:00:00Z", "Monday 7 December, 9:00 in the morning")
    assert Slot("2026-12-07T09:00:00Z", "9:00 in the morning").with_its_day() == dated
    assert dated.with_its_day() == dated


def test_the_code_is_the_one_group_of_four_digits() -> None:
    assert read_code("0042 is your Bright Smile 24 code, valid for 10 minutes.") == "0042"


@pytest.mark.parametrize("body", ["Your code is on its way.", "1234 or 5678?", "Ring 02079460958."])
def test_no_code_is_read_where_it_is_not_clear(body: str) -> None:
    with pytest.raises(DidNotHold):
        read_code(body)


def test_the_call_stands_in_all_three_lists_with_its_static_parameter() -> None:
    message = call().envelope("verify_otp", holdId=HOLD, providedOTP="1 2 3 4")["message"]
    (tool_call,) = message["toolCallList"]
    (with_tool,) = message["toolWithToolCallList"]
    assert message["toolCalls"] == [tool_call]
    assert with_tool["toolCall"] == tool_call
    assert with_tool["parameters"] == [{"key": "tenantId", "value": CLINIC}]
    assert tool_call["function"] == {
        "name": "verify_otp",
        "arguments": {"holdId": HOLD, "providedOTP": "1 2 3 4", "tenantId": CLINIC},
    }
    assert message["type"] == "tool-calls"
    assert message["timestamp"] > 1_700_000_000_000  # milliseconds


def test_holdline_reads_the_envelope_as_one_call() -> None:
    phoned = call()
    message = phoned.envelope("check_availability", date="2026-12-07")
    read = envelope.read(json.dumps(message).encode())
    assert [(made.name, made.arguments) for made in read.calls] == [
        ("check_availability", {"date": "2026-12-07", "tenantId": CLINIC})
    ]
    assert (read.call_id, read.caller_number) == (phoned.id, "+447700900123")


def test_every_call_and_every_tool_call_has_an_id_of_its_own() -> None:
    phoned = call()
    ids = {phoned.envelope("verify_otp")["message"]["toolCallList"][0]["id"] for _ in range(3)}
    assert len(ids) == 3
    assert call().id != phoned.id


def test_a_call_from_a_browser_has_no_number() -> None:
    message = call(customer=None).envelope("verify_otp")["message"]
    assert (message["call"]["type"], message["customer"]) == ("webCall", {})


def test_the_caller_uses_the_tools_by_the_names_that_holdline_has() -> None:
    used = set(re.findall(r'call\.tool\(\s*"(\w+)"', Path(dialogue.__file__).read_text()))
    assert {"reserve_atomic", "verify_otp"} <= used <= set(BY_NAME)


def test_a_step_that_did_not_hold_is_told_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = "http://127.0.0.1:1"
    held = demo.tell_the_story(
        web_url=nowhere, inbox_url=nowhere, database_url="postgres://nobody@127.0.0.1:1/none"
    )
    told = capsys.readouterr().out
    assert not held
    assert "This did not hold: the database answers." in told
    assert "Where to look next" not in told


def test_a_play_against_nothing_names_what_did_not_answer() -> None:
    nowhere = "http://127.0.0.1:1"
    with pytest.raises(DidNotHold, match=r"127\.0\.0\.1:1/inbox\.json answers; instead: no connection"):
        play_booking(World(nowhere, nowhere))
