"""The laws of the envelope that hold for any bytes at all."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.base.json_values import storable
from tests.webapp.agents.vapi.shapes import calls, function, wrapper
from webapp.agents.vapi import envelope
from webapp.agents.vapi.envelope import Answer, Unreadable
from webapp.agents.wire import ToolCall

TEXT = st.text(st.characters(exclude_categories=()))  # halves of surrogate pairs and NUL too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)
FUNCTIONS = st.fixed_dictionaries(
    {},
    optional={"id": TEXT | JSON, "name": TEXT | JSON, "parameters": JSON}
    | {"arguments": JSON | JSON.map(json.dumps)},
)
ENTRIES = st.builds(lambda call, inner: call | {"function": inner}, FUNCTIONS, FUNCTIONS | JSON) | FUNCTIONS
LISTS = st.lists(ENTRIES | st.builds(wrapper, ENTRIES | JSON) | JSON, max_size=6) | JSON
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(["tool-calls", "function-call", "status-update"]) | JSON},
    optional=dict.fromkeys(
        ("toolCallList", "toolCalls", "toolCall", "toolWithToolCallList", "functionCall"), LISTS
    )
    | dict.fromkeys(
        ("call", "customer", "status"), JSON | st.fixed_dictionaries({"id": JSON, "number": JSON})
    ),
)
BODIES = st.one_of(
    MESSAGES.map(lambda message: {"message": message}), JSON.map(lambda value: {"toolCall": value}), JSON
)


def holds(raw: bytes) -> None:
    """What holds for every body: an envelope that can be answered and stored, or Unreadable."""
    try:
        read = envelope.read(raw)
    except Unreadable as error:
        ids, form = error.tool_call_ids, error.form
        names: list[str | None] = [None] * len(ids)
    else:
        ids, form = tuple(str(call.id) for call in read.calls), read.form
        names = [call.name for call in read.calls]
        kept = [(c.name, c.arguments, c.problem) for c in read.calls]
        stored = json.dumps(
            [kept, read.call_id, read.caller_number, read.event, read.status], allow_nan=False
        )
        assert r"\u0000" not in stored.replace(r"\\", "")
        json.dumps(json.loads(stored), ensure_ascii=False).encode()
        json.dumps([storable(str(call.id)) for call in read.calls], ensure_ascii=False).encode()
        assert all(call.problem is None or not call.arguments for call in read.calls)
    answers = [
        Answer(one, name, f"answer {i}\n") for i, (one, name) in enumerate(zip(ids, names, strict=True))
    ]
    sent: Any = json.loads(json.dumps(envelope.results(answers, form)).encode("ascii"))
    assert [entry["toolCallId"] for entry in sent["results"]] == list(ids)
    assert [entry["result"] for entry in sent["results"]] == [f"answer {i}" for i in range(len(ids))]


@given(st.binary() | st.binary().map(lambda tail: b'{"message":{"toolCallList":[{"id":' + tail))
def test_any_bytes_are_read_or_unreadable(raw: bytes) -> None:
    holds(raw)


@given(BODIES, st.integers(min_value=0))
def test_any_json_and_any_part_of_it_is_read_or_unreadable(root: Any, cut: int) -> None:
    raw = json.dumps(root).encode()
    holds(raw)
    holds(raw[: cut % (len(raw) + 1)])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 1)), max_size=12))
def test_law_of_doubles(drawn: list[tuple[str, str, int]]) -> None:
    """First mention decides the order; as an object or as a string, in one list or in two: one call."""
    as_objects = [function(name, {"n": n, "m": 0}, i) for i, name, n in drawn]
    as_strings = [function(name, f'{{"m":0, "n":{n}}}', i) for i, name, n in drawn]
    expected = tuple(ToolCall(i, name, {"n": n, "m": 0}) for i, name, n in dict.fromkeys(drawn))
    assert calls(toolCallList=as_objects) == expected
    assert calls(toolCallList=as_objects + as_strings, toolCalls=as_strings) == expected
    nameless = [call | {"id": None} for call in as_objects]
    assert len(calls(toolCallList=nameless)) == len(drawn)


@given(TEXT)
def test_one_line_is_one_line_and_stays(text: str) -> None:
    line = envelope.one_line(text)
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in line)
    assert "  " not in line
    assert line == line.strip() == envelope.one_line(line)
