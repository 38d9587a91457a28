"""A message that is small on the wire is not made large in memory."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import uuid

import psycopg
import pytest
from flask import Flask

from tests.webapp.neighbours import CHECK, WEBHOOK, Clinic, many
from tests.webapp.neighbours import in_production as in_production  # the fixture  # noqa: PLC0414
from tests.webapp.neighbours import stopped_clock as stopped_clock  # the fixture  # noqa: PLC0414
from webapp.agents.vapi import envelope, salvage

M4 = 4 * 1024 * 1024 - 1024


def filled(start: bytes, unit: bytes, end: bytes) -> bytes:
    return start + unit * ((M4 - len(start) - len(end)) // len(unit)) + unit.rstrip(b",") + end


LIST, CALLS = b'{"message":{"type":"tool-calls","a":[', b'{"message":{"type":"tool-calls","toolCallList":['
NAMES = b",".join(b'"%d":1' % n for n in range(300_000))
DENSE = {
    "calls": filled(CALLS, b'{"id":"call"},', b"]}}"),
    "whole calls": filled(
        CALLS, b'{"id":"c","function":{"name":"check_availability","arguments":{}}},', b"]}}"
    ),
    "one member each": filled(CALLS, b'{"a":1},', b"]}}"),
    "empty objects": filled(LIST, b"{},", b"]}}"),
    "empty lists": filled(LIST, b"[],", b"]}}"),
    "numbers": filled(LIST, b"999,", b"]}}"),
    "fractions": filled(LIST, b"1.5,", b"]}}"),
    "texts": filled(LIST, b'"ab",', b"]}}"),
    "names": b'{"message":{"type":"tool-calls",' + NAMES + b"}}",
    "turns": filled(b'{"message":{"type":"x","messages":[', b'{"role":"user","message":"Hi"},', b"]}}"),
    "arguments": filled(b'{"toolCall":{"arguments":{"a":[', b'"ab",', b"]}}}"),
    "named arguments": b'{"toolCall":{"arguments":{'
    + b",".join(b'"%d":1' % n for n in range(300_000))
    + b"}}}",
    "escaped": filled(b'{"toolCall":{"arguments":"[', rb"\u007b\u007d\u002c", b'1]"}}'),
    "deep": b"[" * M4,
    "deep objects": b'{"a":' * (M4 // 5),
}


@pytest.mark.parametrize("body", DENSE.values(), ids=DENSE.keys())
def test_what_is_small_on_the_wire_is_not_made_large_in_memory(body: bytes) -> None:
    def read() -> None:
        with pytest.raises(envelope.Unreadable):
            envelope.read(body)
        salvage.message(body)

    tracemalloc.start()
    try:
        read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * 1024 * 1024


@pytest.mark.parametrize("count", [129, 5_000])
@pytest.mark.parametrize("where", ["toolCallList", "toolCalls", "toolWithToolCallList"])
def test_beyond_128_tool_calls_a_message_is_refused_as_a_whole(
    app: Flask, sql: psycopg.Connection, count: int, where: str
) -> None:
    clinic = Clinic(app)
    body = many(count, call_id="c")
    calls = body["message"].pop("toolCallList")
    body["message"][where] = [{"toolCall": call} for call in calls] if "With" in where else calls
    answer = clinic.post(CHECK, body)
    assert answer.status_code == 200
    said = answer.get_json()
    assert [each["toolCallId"] for each in said["results"]] == [f"c{n}" for n in range(32)]
    assert all("more than 128 tool calls" in each["error"] for each in said["results"])
    assert "more than 128 tool calls" in said["error"]
    assert sql.execute("SELECT count(*) FROM tool_calls WHERE org_id = %s", [clinic.org]).fetchone() == (0,)


@pytest.mark.usefixtures("stopped_clock")
def test_up_to_128_each_is_answered_and_32_are_run(app: Flask) -> None:
    answers = Clinic(app).post(CHECK, many(100, call_id="c")).get_json()["results"]
    assert [each["toolCallId"] for each in answers] == [f"c{n}" for n in range(100)]
    assert all("free" in each["result"] for each in answers[:32])
    assert all("too many calls" in each["error"] for each in answers[32:])


@pytest.mark.parametrize("name", ["calls", "named arguments", "escaped", "deep"])
def test_a_dense_body_is_answered_in_its_form(app: Flask, name: str) -> None:
    answer = Clinic(app).post(CHECK, DENSE[name])
    if name == "calls":
        assert answer.status_code == 200
        assert len(answer.get_json()["results"]) <= envelope.MAX_CALLS
        assert "too much in one request" in answer.get_json()["error"]
    else:
        expected = 400 if name == "escaped" else 413
        assert answer.status_code == expected
        assert answer.get_json()["code"] in ("request_too_large", "unreadable_request")


def test_a_dense_event_is_taken_in_as_far_as_it_is_read(app: Flask, sql: psycopg.Connection) -> None:
    """An hour with the time of each word is no attack."""
    clinic, call = Clinic(app), str(uuid.uuid4())
    words = [{"word": "so", "start": n / 10, "end": n / 10, "confidence": 0.9} for n in range(40_000)]
    report = {
        "type": "end-of-call-report",
        "call": {"id": call},
        "artifact": {"messages": [{"role": "user", "message": "Hello", "words": words}]},
        "analysis": {"summary": "Wants implants."},
    }
    body = json.dumps({"message": report}).encode()
    with pytest.raises(envelope.TooLarge):
        envelope.read(body)
    assert clinic.post(WEBHOOK, body).status_code == 200
    row = sql.execute("SELECT summary FROM calls WHERE org_id = %s AND id = %s", [clinic.org, call])
    assert row.fetchone() == ("Wants implants.",)


def test_a_compressed_body_is_as_dense_as_what_is_in_it(app: Flask) -> None:
    clinic = Clinic(app)
    packed = gzip.compress(DENSE["calls"])
    assert len(packed) < len(DENSE["calls"]) / 100
    answer = clinic.app.test_client().post(
        CHECK, data=packed, headers=clinic.headers | {"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 200
    assert "too much in one request" in answer.get_json()["error"]
