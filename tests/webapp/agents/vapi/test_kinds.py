"""Which message of Vapi's it is: an event, the bare form, or one that cannot be read; and the answers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.webapp.agents.vapi.shapes import ARGUMENTS, AS_STRING, NESTED, body, function, wrapper
from webapp.agents.vapi import envelope
from webapp.agents.vapi.envelope import Answer, Envelope, Form, Unreadable
from webapp.agents.wire import ToolCall


def unreadable(raw: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        envelope.read(raw)
    return caught.value


@pytest.mark.parametrize(
    "event",
    [
        "assistant.started",
        "conversation-update",
        "end-of-call-report",
        "hang",
        "transcript",
        "never-heard-of",
    ],
)
def test_other_types_are_events_without_calls(event: str) -> None:
    read = envelope.read(body(type=event, toolCallList=[function()], status="ended"))
    assert (read.form, read.event, read.calls, read.status) == (Form.VAPI, event, (), None)
    assert read.message["status"] == "ended"


@pytest.mark.parametrize(
    ("status", "expected"), [("ended", "ended"), ("in-progress", "in-progress"), (None, None), (7, None)]
)
def test_status_of_a_status_update(status: Any, expected: str | None) -> None:
    assert envelope.read(body(type="status-update", status=status)).status == expected


@pytest.mark.parametrize(
    "message", [None, "tool-calls", 7, True, [], [function()], {}, {"type": ["tool-calls"]}]
)
def test_any_message_at_all_is_vapis_form(message: Any) -> None:
    read = envelope.read(json.dumps({"message": message, "toolCall": {"arguments": ARGUMENTS}}).encode())
    assert (read.form, read.calls, read.event) == (Form.VAPI, (), None)


@pytest.mark.parametrize("function_call", [None, "x", [], 7])
def test_a_function_call_without_a_function(function_call: Any) -> None:
    read = envelope.read(body(type="function-call", functionCall=function_call))
    assert (read.form, read.calls) == (Form.LEGACY_FUNCTION, ())


@pytest.mark.parametrize(
    ("call", "customer", "call_id", "number"),
    [
        ({"id": " c1 "}, None, "c1", None),
        ({"id": "c\0\ud800"}, None, "c\ufffd", None),
        ({"id": ""}, {"number": "+12025550143"}, None, "+12025550143"),
        ({"id": 7}, {"number": 12025550143}, None, None),
        ({"id": "x" * 256}, None, None, None),
        (None, None, None, None),
        ([], "x", None, None),
        ({"customer": {"number": " +1202 "}}, {"number": "+1"}, None, "+1202"),
        ({"customer": {"number": "Anonymous"}}, {"number": "+1202"}, None, "+1202"),
        ({"customer": {"number": "Anonymous"}}, None, None, None),
        ({"customer": {"number": "+266696687"}}, None, None, None),
        ({"customer": {"number": "sip:anonymous@anonymous.invalid"}}, None, None, None),
        ({"customer": {"number": "restricted"}}, {"number": "  "}, None, None),
        ({"customer": {"number": "sip:ann@example.test"}}, None, None, "sip:ann@example.test"),
    ],
)
def test_call_and_caller(call: Any, customer: Any, call_id: str | None, number: str | None) -> None:
    read = envelope.read(body(call=call, customer=customer))
    assert (read.call_id, read.caller_number) == (call_id, number)


BARE = {
    "quick reference": ({"toolCall": {"arguments": ARGUMENTS}}, "", ARGUMENTS, None),
    "arguments as a string": ({"toolCall": {"arguments": AS_STRING}}, "", ARGUMENTS, None),
    "parameters": ({"toolCall": {"parameters": ARGUMENTS}}, "", ARGUMENTS, None),
    "id and call": (
        {"toolCall": {"id": "1", "name": "book", "arguments": {}}, "call": {"id": "c1"}},
        "1",
        {},
        "c1",
    ),
    "apiRequest": (ARGUMENTS | {"call": {"id": "c1"}}, "", ARGUMENTS | {"call": {"id": "c1"}}, None),
    "apiRequest without arguments": ({}, "", {}, None),
}


@pytest.mark.parametrize(("root", "tool_call_id", "arguments", "call_id"), BARE.values(), ids=BARE)
def test_bare_form(root: Any, tool_call_id: str, arguments: Any, call_id: str | None) -> None:
    assert envelope.read(b"\xef\xbb\xbf" + json.dumps(root).encode()) == Envelope(
        form=Form.BARE, calls=(ToolCall(tool_call_id, None, arguments),), call_id=call_id
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"\xff\xfe{\x00}\x00",
        b"not json",
        b"{} {}",
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b'{"toolCall": null}',
        b'{"toolCall": "x"}',
        b'{"toolCall": [{"arguments": {}}]}',
        b'{"toolCall": {"arguments": [1]}}',
        b'{"toolCall": {"arguments": "{"}}',
        b'{"toolCall": {"arguments": 7}}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"toolCall": {"arguments": {"message": "x", "a": "\xff"}}}',
        NESTED.encode(),
        b"[" * 100_000,
        json.dumps({"a": json.loads("[" * 40 + "]" * 40)}).encode(),
    ],
)
def test_unreadable_in_the_bare_form(raw: bytes) -> None:
    error = unreadable(raw)
    assert (error.form, error.tool_call_ids) == (Form.BARE, ())
    assert error.reason.endswith(".")


TWO = [function(tool_call_id="call_1"), function(tool_call_id='call "2"\u00e9')]
IDS = ("call_1", 'call "2"\u00e9')


@pytest.mark.parametrize("key", ["toolCallList", "toolCalls", "toolWithToolCallList"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw.replace(b'"tail"', b"NaN"),
        lambda raw: raw.replace(b'"tail"', b"1e999"),
        lambda raw: raw.replace(b'"tail"', b"9" * 10_000),
        lambda raw: raw.replace(b'"tail"', b'"\xff"'),
        lambda raw: raw.replace(b'"tail"', b"[" * 100_000),
        lambda raw: raw.replace(b'"tail"', b'"cut'),
        lambda raw: b"\xef\xbb\xbf \n" + raw.replace(b'"message"', b'"message" \n') + b"garbage",
    ],
)
def test_unreadable_in_vapis_form_keeps_the_ids(key: str, damage: Any) -> None:
    entries = [wrapper(call) for call in TWO] if key == "toolWithToolCallList" else TWO
    older = [{"toolCalls": [{"id": "older"}], "id": "older"}]
    arguments = {"id": "mine", "toolCallList": [{"id": "mine"}]}
    raw = body(artifact={"messages": older}, **{key: [{"x": arguments}, *entries]}, zz="tail")
    error = unreadable(damage(raw))
    assert (error.form, error.tool_call_ids) == (Form.VAPI, IDS)


@pytest.mark.parametrize(
    ("raw", "form", "ids"),
    [
        (b'{"message":{"toolCall":{"id":"a"', Form.VAPI, ("a",)),
        (b'{"message":{"toolCallList":[{"id":"a"},{"id":"cut', Form.VAPI, ("a",)),
        (b'{"message":{"toolCallList":[{"id":"a"}],"toolCalls":[{"id":"a"},{"id":""}]', Form.VAPI, ("a",)),
        (b'{"message":{"toolCallList":[{"id":"\xff"},{"id":7},{"id":null},{"id":"\\x"}]', Form.VAPI, ()),
        (b'{"message":{"toolCallList":[{"function":{"id":"x"},"id":"a"}]', Form.VAPI, ("a",)),
        (b'{"message":{"toolCallList":[{"arguments":"{\\"id\\":\\"x\\"}"', Form.VAPI, ()),
        (b'{"message":{"toolCallList":' + json.dumps([{"id": str(i)} for i in range(99)]).encode(), Form.VAPI,
         tuple(str(i) for i in range(32))),
        (b'{"call":{},"message":"x', Form.VAPI, ()),
        (b'[{"message":{"type":"tool-calls"', Form.VAPI, ()),
        (b'[{"message":{"type":"hang"', Form.BARE, ()),
        (b'{"toolCall":{"id":"a","arguments":{"message":"x"}', Form.BARE, ()),
        (b'{"note":"\\"message\\": \\"tool-calls\\"', Form.BARE, ()),
        (b'{"message":{"pad":"' + b"x" * 70_000 + b'","toolCallList":[{"id":"a"}]', Form.VAPI, ()),
        (b"]}]}" * 9 + b'"\\', Form.BARE, ()),
        (b"", Form.BARE, ()),
    ],
)  # fmt: skip
def test_guess(raw: bytes, form: Form, ids: tuple[str, ...]) -> None:
    assert envelope.guess(raw) == (form, ids)


@pytest.mark.parametrize(
    "filler", [b"[", b'\\"', b'"a', b'" ', b'"' + b"\\" * 99, b'""    ', b'{"id":"x"'], ids=range(7)
)
def test_a_guess_takes_linear_time_and_looks_at_64_kib(filler: bytes) -> None:
    started = time.process_time()
    assert envelope.guess(filler * 1_000_000)[1] == ()
    assert time.process_time() - started < 3  # it takes 0.05; trying each quote to the end took 14


def test_results() -> None:
    answers = [
        Answer("1", "bo\nok", "Booked\r\n for\u2028ten.\0 "),
        Answer("2", None, "No\tsuch tool.", is_error=True),
    ]
    entries = [
        {"toolCallId": "1", "name": "bo ok", "result": "Booked for ten."},
        {"toolCallId": "2", "name": "", "error": "No such tool."},
    ]
    assert envelope.results(answers) == {"results": entries}
    assert envelope.results(answers, Form.LEGACY_FUNCTION) == {
        "results": entries,
        "result": "Booked for ten.",
    }
    assert envelope.results([], Form.LEGACY_FUNCTION) == envelope.results([]) == {"results": []}


def test_what_is_said_and_what_is_secret_is_in_no_repr() -> None:
    read = envelope.read(
        body(toolCallList=[function(arguments={"code": "4711"})], phoneNumber={"token": "s3cret"})
    )
    assert "4711" not in repr(read)
    assert "s3cret" not in repr(read)
    assert "4711" not in repr(unreadable(b'{"toolCall":{"arguments":"4711"}}'))
