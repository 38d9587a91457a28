"""Reports of a call become one row, however often, in whatever order and with whatever body they come."""

from __future__ import annotations

import itertools
import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from models.calls import reports
from models.calls.facts import NAME
from tests.conftest import Clock
from tests.factories import code_of, slot
from tests.models.calls.test_redaction import WORDS
from tests.webapp.agents.vapi.reports import FOUND, MESSAGES, NUMBER, RICH, Line, report, status
from tests.webapp.agents.vapi.reports import line as line  # the fixture  # noqa: PLC0414


def test_a_report_is_kept_without_secrets_codes_and_numbers(line: Line) -> None:
    line.send(report(line.call.id, **RICH))
    row = line.row
    assert (row["status"], row["duration"], row["caller_number"]) == ("ended", 401, NUMBER)
    assert (row["summary"], row["success"], row["facts"]) == ("Wants implants.", "true", FOUND)
    assert [turn["who"] for turn in row["turns"]] == ["agent", "caller", "caller"]
    assert row["turns"][1] == {"who": "caller", "text": "I want implants, my code is [...]", "at": 4.0}
    assert "canary" not in json.dumps(row)
    assert "900123" not in json.dumps(row)


def test_the_code_is_not_kept_however_it_was_read_back(line: Line) -> None:
    line.call.say("reserve_atomic", slotId=slot(), calendarId="cal-1", patientName="John")
    line.call.say("send_otp_code")
    (hold,) = line.sql.execute(
        "SELECT id::text FROM appointment_holds WHERE org_id = %s", [line.org]
    ).fetchone() or ("",)
    code = code_of(hold)
    words = [WORDS[int(digit)] for digit in code]
    said = [" ".join(words), ", ".join(code), f"{words[0]} {words[1]}", f"and {words[2]}, {words[3]}", code]
    line.send(
        report(
            line.call.id,
            artifact={"messages": [{"role": "user", "message": f"It says {text}"} for text in said]},
            analysis={
                "summary": f"Read back {code}.",
                "successEvaluation": f"Good: read back {code}, left +44 7700 900123 and a@b.example",
                "structuredData": {
                    "treatment": {"value": ", ".join(code), "quote": ", ".join(code)},
                    "service": int(code),
                    "code": code,
                    code: True,
                    "phone": 447700900123,
                },
            },
        )
    )
    row = line.row
    assert row["success"] == "Good: read back [...], left +[...] and [...]"
    kept = {name: row[name] for name in ("turns", "summary", "success", "facts")}
    assert code not in json.dumps(kept)  # an id may well have the same four figures in it
    assert [turn["text"] for turn in row["turns"]] == [
        "It says [...]",
        "It says [...]",
        "It says [...]",
        "It says and [...]",
        "It says [...]",
    ]
    assert (row["summary"], row["facts"]) == (
        "Read back [...].",
        {"treatment": {"value": "[...]", "quote": "[...]"}},
    )


def test_a_report_of_many_numbers_is_taken_in_soon(line: Line) -> None:
    line.call.say("reserve_atomic", slotId=slot(), calendarId="cal-1", patientName="John")
    line.call.say("send_otp_code")
    said = [{"role": "user", "message": "one a " * 333}, {"role": "bot", "message": "a" * 2000}] * 300
    begun = time.thread_time()
    line.send(report(line.call.id, artifact={"messages": said}))
    assert time.thread_time() - begun < 5  # of work, which is the limit of an idle transaction
    assert sum(len(turn["text"]) for turn in line.row["turns"]) <= reports.MOST_SAID


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 1e17, -1e14])
def test_a_moment_that_no_page_can_show_is_none(line: Line, moment: object) -> None:
    line.send(status(line.call.id, "in-progress", startedAt=moment))
    assert line.row["started_at"] is None


@pytest.mark.parametrize(
    "number", ["anonymous", "+266696687", "sip:anonymous@anonymous.invalid", "Restricted"]
)
def test_a_withheld_number_is_nobodys(line: Line, number: str) -> None:
    line.send({**report(line.call.id), "call": {"id": line.call.id, "customer": {"number": number}}})
    assert line.row["caller_number"] is None


def test_costs_are_found_in_whichever_place_they_are() -> None:
    for said in ({"costBreakdown": {"total": 0.25}}, {"costs": [{"cost": 0.2}, {"cost": 0.05}, {}, "x"]}):
        assert reports.read(report("c", **said)).cost == Decimal("0.25")


def test_turns_in_parts_and_by_other_names_are_read() -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "I want"}, {"text": "implants"}]}]
    (turn,) = reports.read(report("c", artifact={"messagesOpenAIFormatted": parts})).turns
    assert turn["text"] == "I want implants"
    turns = reports.read(report("c", artifact={"transcript": "Agent: Hello\nCaller: Hi"})).turns
    assert [turn["who"] for turn in turns] == ["agent", "caller"]


OURS = {"decision": {"value": "wants", "quote": "I want"}, "urgency": {"value": "soon", "quote": "soon"}}
ANOTHERS = {"decision": {"value": "declined", "quote": "no"}, "mood": "calm"}


@pytest.mark.parametrize(
    ("analysis", "outputs", "facts"),
    [
        ({"structuredData": OURS}, {}, OURS),
        ({"structuredData": ANOTHERS}, {"1": {"name": NAME, "result": OURS}}, OURS),
        (
            {},
            {"1": {"name": "A clinic's", "result": ANOTHERS}, "2": {"name": NAME, "result": OURS}},
            OURS,
        ),
        # Ours timed out; what else is there may still have a fact in it, or none at all.
        ({"structuredData": OURS}, {"1": {"name": NAME, "result": None}}, OURS),
        ({}, {"1": {"name": "A clinic's", "result": {"mood": "calm"}}, "2": "torn", "3": {}}, None),
        # Nothing was found, which is an answer of ours and of nobody else's.
        ({"structuredData": ANOTHERS}, {"1": {"name": NAME, "result": {}}}, {}),
        ({"structuredData": {}}, {"1": {"name": "A clinic's", "result": {}}}, None),
        ({"structuredData": {"purpose": {"value": 7, "quote": ["x"]}, "price": "dear"}}, {}, None),
        ({"structuredData": ["book"]}, ["torn"], None),
    ],
)
def test_the_facts_that_vapi_found_are_kept(line: Line, analysis: Any, outputs: Any, facts: Any) -> None:
    line.send(report(line.call.id, analysis=analysis, artifact={"structuredOutputs": outputs}))
    assert line.row["facts"] == facts


EVENTS = ("ringing", "in-progress", "poor", "rich", "other", "ended")


def test_in_whatever_order_they_come_the_row_is_the_same(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    rows = []
    for order in itertools.islice(itertools.permutations(EVENTS), 0, None, 41):
        line = Line(client, sql)
        call = line.call.id
        bodies = {
            "ringing": status(call, "ringing"),
            "in-progress": status(call, "in-progress"),
            "poor": report(call, artifact={}, analysis={}),
            "rich": report(call, **RICH),
            "other": report(
                call, **{**RICH, "artifact": {"messages": MESSAGES, "recordingUrl": "https://x/2"}}
            ),
            "ended": status(call, "ended", endedReason="customer-ended-call"),
        }
        line.send(*(bodies[name] for name in order), bodies[order[0]])
        row = line.row
        rows.append({name: row[name] for name in row if name not in ("org_id", "id", "ended_at")})
    assert len(rows) > 10
    assert all(row == rows[0] for row in rows), [row for row in rows if row != rows[0]][:1]


POOR = {
    "endedReason": "silence-timed-out",
    "artifact": {"messages": MESSAGES[:2]},
    "analysis": {"summary": "Nothing much.", "successEvaluation": "false"},
    "cost": 9.0,
    "startedAt": "2026-11-22T10:01:00.000Z",
}


@pytest.mark.parametrize("order", list(itertools.permutations(["rich", "poor", "ended"])))
def test_a_poorer_report_with_other_words_replaces_nothing(line: Line, order: tuple[str, ...]) -> None:
    """Whichever comes first: its own summary, verdict, reason, cost, start and shorter talk are not kept."""
    call = line.call.id
    bodies = {
        "rich": report(call, **RICH),
        "poor": report(call, **POOR),
        "ended": status(call, "ended", endedReason="customer-ended-call"),
    }
    line.send(*(bodies[name] for name in order))
    row = line.row
    assert (row["summary"], row["success"], row["duration"]) == ("Wants implants.", "true", 401)
    assert (row["ended_reason"], float(row["cost"])) == ("customer-ended-call", 0.1234)
    assert row["started_at"].startswith("2026-11-22T10:00:00")
    assert (len(row["turns"]), row["facts"]) == (3, FOUND)


def test_a_poorer_report_fills_in_what_the_richer_one_left_open(line: Line) -> None:
    call = line.call.id
    line.send(report(call, **{name: value for name, value in RICH.items() if name != "cost"}))
    line.send(report(call, **POOR))
    assert (line.row["summary"], float(line.row["cost"])) == ("Wants implants.", 9.0)


def test_a_call_ended_when_its_report_says_however_late_another_one_comes(line: Line, clock: Clock) -> None:
    line.send(status(line.call.id, "ended"))
    first = line.row["ended_at"]
    clock.forward(60)
    line.send(status(line.call.id, "ended"))
    assert line.row["ended_at"] == first
    for _ in range(2):
        line.send(report(line.call.id, **RICH))
        assert line.row["ended_at"].startswith("2026-11-22T10:06:41")


@pytest.mark.parametrize(("days_ago", "dated_by_report"), [(6, True), (8, False), (800, False), (-1, False)])
def test_a_report_with_a_clock_that_is_wrong_does_not_date_its_call(
    line: Line, days_ago: int, *, dated_by_report: bool
) -> None:
    began = datetime.now(UTC) - timedelta(days=days_ago)
    line.send(report(line.call.id, startedAt=began.isoformat()))
    [[made]] = line.sql.execute("SELECT created_at FROM calls WHERE org_id = %s", [line.org]).fetchall()
    assert (abs(made - began) < timedelta(seconds=1)) is dated_by_report
    assert dated_by_report or abs(made - datetime.now(UTC)) < timedelta(hours=1)


def test_a_call_under_way_is_seen_and_the_end_gives_back_its_hold(line: Line) -> None:
    line.send(status(line.call.id, "in-progress"))
    assert line.row["status"] == "in-progress"
    line.call.say("reserve_atomic", slotId=slot(), patientName="John")
    line.send(status(line.call.id, "ended", endedReason="silence-timed-out"))
    held = line.sql.execute("SELECT status FROM appointment_holds WHERE org_id = %s", [line.org]).fetchall()
    assert held == [("released",)]
    assert (line.row["status"], line.row["ended_reason"]) == ("ended", "silence-timed-out")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"durationMs": 300_400}, 300),
        ({"durationMinutes": 5.5}, 330),
        ({"startedAt": "2026-11-22T10:00:00Z", "endedAt": "2026-11-22T10:05:01Z"}, 301),
        ({"artifact": {"messages": MESSAGES}}, 400),
        ({"durationSeconds": "nonsense"}, None),
        (
            {"durationSeconds": -3, "startedAt": "2026-11-22T10:05:00Z", "endedAt": "2026-11-22T10:00:00Z"},
            None,
        ),
    ],
)
def test_how_long_it_was_is_made_out_of_what_there_is(said: dict[str, Any], seconds: int | None) -> None:
    assert reports.read(report("c", **said)).duration == seconds


def test_a_transcript_of_text_is_read_by_speaker() -> None:
    text = "AI: Hello?\nUser: Hi: I'd like\nbotox\nAI: Sure.\n"
    turns = reports.read(report("c", artifact={"transcript": text})).turns
    assert [(turn["who"], turn["text"]) for turn in turns] == [
        ("agent", "Hello?"),
        ("caller", "Hi: I'd like botox"),
        ("agent", "Sure."),
    ]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(
            ["call", "artifact", "analysis", "messages", "role", "message", "secondsFromStart", "startedAt",
             "durationSeconds", "customer", "number", "structuredData", "structuredOutputs", "result", "cost"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=25,
)  # fmt: skip


@hypothesis_settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["call", "artifact", "analysis", "messages", "startedAt", "endedAt"]), _json
    )
)
def test_no_body_is_too_strange_to_be_read(message: dict[str, Any]) -> None:
    read = reports.read(message)
    json.dumps([*read.turns, read.facts], allow_nan=False).encode()
