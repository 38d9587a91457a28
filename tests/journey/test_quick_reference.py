"""The quick reference is true: its blocks are run as printed, in order, on the whole product."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.messaging.states import SmsKind
from tests.journey.blocks import BLOCKS, REQUESTS, Block, blocks_of
from tests.places import ROOT
from tests.stack import Stack

pytestmark = pytest.mark.journey


# --- running it ---------------------------------------------------------------------------------


class Shell:
    """One bash for all the blocks, so that what one of them sets the next one has."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "HOLDLINE_DATA_DIR": str(stack.logs.parent),
                "PYTHON": sys.executable,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._write("set -euo pipefail\n")

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def close(self) -> None:
        if self._process.stdin and self._process.stdout:
            self._process.stdin.close()
            self._process.wait(10)
            self._process.stdout.close()

    def run(self, block: Block) -> str:
        """What the block prints; fails if it does."""
        text = block.text
        if block.language == "sql":
            text = f"ask <<'END_OF_BLOCK'\n{text}END_OF_BLOCK\n"
        for address, here in {
            "http://localhost:3001": self._stack.web_url,
            "http://localhost:3002": self._stack.inbox_url,
            "make -s psql": '"$PYTHON" -m sandbox psql',
            ".venv/bin/": f"{Path(sys.executable).parent}/",
        }.items():
            text = text.replace(address, here)
        self._write(f"{text}\nprintf '\\nEND OF BLOCK\\n'\n")
        lines: list[str] = []
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line == "END OF BLOCK\n":
                return "".join(lines)
            lines.append(line)
        raise AssertionError((f"bash ended with {self._process.wait(10)}", block, lines))


@dataclass(frozen=True, slots=True)
class Run:
    block: Block
    printed: str
    expected: str | None  # the text block that follows at once


@pytest.fixture(scope="module")
def runs(stack: Stack) -> Iterator[list[Run]]:
    """Every block that can be run, in order, with what it printed."""
    shell = Shell(stack)
    try:
        yield [
            _run(shell, block, following)
            for block, following in zip(BLOCKS, [*BLOCKS[1:], None], strict=True)
            if block.language != "text"
        ]
    finally:
        shell.close()


def _run(shell: Shell, block: Block, following: Block | None) -> Run:
    says_json = following is not None and following.language == "text" and following.text.startswith("{")
    expected = following.text if following and says_json else None

    def once() -> Run:
        return Run(block, shell.run(block), expected)

    # Whether an SMS has gone out or arrived is a matter of time; these may be asked again.
    if "booking/send-" in block.text:
        return _until(once, lambda run: '"status":"sent"' in run.printed or "delivered" in run.printed)
    if "FROM hot_lead_alerts" in block.text:
        return _until(once, lambda run: "(0 rows)" not in run.printed)
    if "-- Expected: status = 'delivered'" in block.text:
        return _until(once, lambda run: "delivered" in run.printed)
    return once()


def _until(act: Callable[[], Run], good: Callable[[Run], bool]) -> Run:
    deadline = time.monotonic() + 300  # a matter of seconds, but not on every machine
    while not good(run := act()):
        assert time.monotonic() < deadline, run.printed
        time.sleep(0.2)
    return run


def under(runs: list[Run], heading: str) -> list[Run]:
    found = [run for run in runs if heading in run.block.heading]
    assert found, heading
    return found


def tables(printed: str) -> list[list[dict[str, str]]]:
    """What psql prints, as rows."""
    found = []
    for head, body in re.findall(r"^(.+)\n[-+]+\n((?:.*\n)*?)\(\d+ rows?\)$", printed, re.MULTILINE):
        names = [name.strip() for name in head.split("|")]
        found.append(
            [
                dict(zip(names, [cell.strip() for cell in line.split("|")], strict=True))
                for line in body.splitlines()
            ]
        )
    return found


# --- what it says happens, happens --------------------------------------------------------------


#: These are printed in full; of other texts only that they are there.
EXACT = {
    "success",
    "codeSent",
    "messageSent",
    "error",
    "code",
    "status",
    "calendarId",
    "timeZone",
    "services",
}


def shape(value: Any, name: str = "") -> Any:
    if name == "status" and value == "delivered":
        return "sent"  # the receipt was quicker than we asked
    if name in EXACT or value is None:
        return value
    if isinstance(value, dict):
        return {key: shape(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


def test_every_answer_is_as_printed(runs: list[Run]) -> None:
    compared = [run for run in runs if run.expected]
    assert len(compared) == len(REQUESTS) + 2  # a refusal, and /readyz
    for run in compared:
        assert run.expected is not None
        assert shape(json.loads(run.printed)) == shape(json.loads(run.expected)), run


def test_the_call_books_one_appointment_and_confirms_it(runs: list[Run], stack: Stack) -> None:
    _, held, refused, sent, _, booked, confirmed = (
        json.loads(run.printed) if run.printed.startswith("{") else {}
        for run in runs[1:8]  # after the block that sets the clinic and the day
    )
    assert (held["success"], refused["success"], refused["error"]) == (True, False, "Slot already held")
    assert (sent["success"], sent["codeSent"]) == (True, True)
    assert booked["scheduledAt"] == held["slotId"]
    assert (confirmed["success"], confirmed["messageSent"]) == (True, True)
    assert re.fullmatch(r"SM[0-9a-f]{32}", confirmed["messageId"])
    sms = stack.inbox("+15551234")
    shown, _, rest = confirmed["content"].partition("...")  # what makes the link work is in the SMS alone
    assert [body for body in sms if body.startswith(shown) and body.endswith(rest) and "..." not in body]
    (count,) = stack.row("SELECT count(*) FROM appointments WHERE hold_id = %s", held["holdId"])
    assert count == 1


def test_the_queries_say_what_is_expected_of_them(runs: list[Run]) -> None:
    (was_sent,) = under(runs, "Check if SMS was sent")
    ((row,),) = tables(was_sent.printed)
    assert (row["status"], row["confirmation_sms_sent"]) == ("confirmed", "t")
    (delivery,) = under(runs, "Check SMS delivery status")
    ((delivered,),) = tables(delivery.printed)
    assert (delivered["status"], delivered["message_id"]) == ("delivered", row["confirmation_sms_id"])
    assert delivered["delivery_timestamp"]
    ((day, *_),) = tables(under(runs, "Daily Report")[0].printed)
    assert int(day["appointments_created"]) >= int(day["confirmations_sent"]) >= 1
    (by_status,) = tables(under(runs, "SMS Delivery Status")[0].printed)
    assert {row["status"]: int(row["count"]) for row in by_status}["delivered"] >= 1
    ((lead, *_),) = tables(under(runs, "Hot Leads Generated")[0].printed)
    assert (lead["lead_phone"], int(lead["lead_score"]) >= 70) == ("+447700900123", True)


def test_the_prompt_says_what_is_printed(runs: list[Run]) -> None:
    (prompt,) = under(runs, "System Prompt")
    (printed,) = [block.text for block in BLOCKS if block.text.startswith("TENANT_ID:")]
    assert prompt.printed.strip() == printed.strip()


def test_the_second_claim_is_refused(runs: list[Run]) -> None:
    for heading in ("Verify atomic locking works", "Double-booking still happening"):
        claims = under(runs, heading)[0]
        (first,), (second,) = tables(claims.printed)
        assert first["claim_slot_atomic"].startswith("(t,"), claims
        assert second["claim_slot_atomic"].startswith('(f,,"Slot already held",slot_taken,'), claims
    assert tables(under(runs, "Double-booking still happening")[1].printed) == [[{"overlaps": "0"}]]


def test_the_troubleshooting_finds_what_is_there(runs: list[Run]) -> None:
    (ready,) = under(runs, "Could not find function")
    assert json.loads(ready.printed)["status"] == "ready"
    configured, last, last_of_all = under(runs, "SMS not sending")
    assert "twilio_account_sid" in configured.printed
    assert "sandbox-auth-token" not in configured.printed
    ((newest, *_),) = tables(last.printed)
    assert newest["status"] == "delivered"
    assert {row["kind"] for row in tables(last_of_all.printed)[0]} <= set(SmsKind)
    phone, duration, score = (tables(run.printed) for run in under(runs, "Hot lead alert not sent"))
    assert {"hot_lead_alert_phone": "+442079460958"} in phone[0]
    (((lasted,),), ((scored,),)) = duration, score
    assert (lasted["duration"], int(scored["lead_score"]) >= 70) == ("412", True)
    ((*indexes,),) = tables(under(runs, "Database Indexes")[0].printed)
    assert len(indexes) == 5


def test_what_operators_are_given_can_be_run(stack: Stack) -> None:
    shell = Shell(stack)
    try:
        shell.run(Block("", "bash", "ask() { make -s psql; }\n"))
        for block in blocks_of((ROOT / "docs/operations.md").read_text()):
            if block.language != "text":
                printed = shell.run(block)
                if block.heading == "Double booking":
                    (constraint,), (overlaps,) = tables(printed)
                    assert "EXCLUDE USING gist" in constraint["pg_get_constraintdef"]
                    assert overlaps == {"overlaps": "0"}
    finally:
        shell.close()


# --- nothing of the original is lost, nothing is named that is not there ------------------------


def test_the_sql_functions_are_as_printed(stack: Stack) -> None:
    (found,) = stack.row(
        "SELECT array_agg(proname || '(' || pg_get_function_arguments(oid) || ')') FROM pg_proc"
        " WHERE proname IN ('claim_slot_atomic', 'confirm_held_slot', 'release_hold')"
    )
    (printed,) = [block.text for block in BLOCKS if block.text.startswith("claim_slot_atomic(")]
    assert set(printed.splitlines()) == {
        signature.replace("::text", "").replace("::jsonb", "") for signature in found
    }
