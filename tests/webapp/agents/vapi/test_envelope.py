"""Every shape of Vapi's wire, every trap in it, and the laws that hold for any bytes at all."""

from __future__ import annotations

import json
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base.json_values import storable
from webapp.agents.vapi import envelope
from webapp.agents.vapi.envelope import Answer, Envelope, Form, Unreadable
from webapp.agents.wire import ToolCall

ARGUMENTS: dict[str, object] = {"service": "cleaning", "tenantId": "t1"}
AS_STRING = json.dumps(ARGUMENTS)
CALL = {"id": "11111111-2222-3333-4444-555555555555", "customer": {"number": "+12025550143"}}


def function(
    name: Any = "book", arguments: Any = AS_STRING, tool_call_id: Any = "call_ab12"
) -> dict[str, Any]:
    return {
        "id": tool_call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def wrapper(tool_call: Any, **more: Any) -> dict[str, Any]:
    """As in toolWithToolCallList: the tool's schema and the static parameters stand around the call."""
    return {
        "type": "function",
        "function": {"name": "book", "parameters": {"type": "object", "properties": {}}},
        "server": {"url": "https://example.test", "timeoutSeconds": 20},
        "parameters": [{"key": "tenantId", "value": "t1"}],
        "messages": [],
        "toolCall": tool_call,
    } | more


def body(**message: Any) -> bytes:
    return json.dumps({"message": {"type": "tool-calls", "call": CALL} | message}).encode()


def calls(**message: Any) -> tuple[ToolCall, ...]:
    return envelope.read(body(**message)).calls


def unreadable(raw: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        envelope.read(raw)
    return caught.value


BOOK = ToolCall("call_ab12", "book", ARGUMENTS)

SHAPES: dict[str, tuple[bytes, tuple[ToolCall, ...]]] = {
    "published schema: arguments are a string": (
        body(toolCallList=[function()], toolWithToolCallList=[wrapper(function())]),
        (BOOK,),
    ),
    "observed: three lists hold one call, arguments are an object": (
        body(
            toolCalls=[function(arguments=ARGUMENTS) | {"isPrecededByText": True}],
            toolCallList=[function(arguments=ARGUMENTS)],
            toolWithToolCallList=[wrapper(function(arguments=ARGUMENTS))],
        ),
        (BOOK,),
    ),
    "legacy: toolCalls only": (body(toolCalls=[function()]), (BOOK,)),
    "docs, custom tools: flat, with arguments": (
        body(
            toolCallList=[{"id": "call_ab12", "name": "book", "arguments": ARGUMENTS}],
            toolWithToolCallList=[
                wrapper({"id": "call_ab12", "function": {"name": "book", "parameters": ARGUMENTS}})
            ],
        ),
        (BOOK,),
    ),
    "docs, custom tools: the wrapped call alone": (
        body(
            toolWithToolCallList=[
                wrapper({"id": "call_ab12", "function": {"name": "book", "parameters": ARGUMENTS}})
            ]
        ),
        (BOOK,),
    ),
    "docs, events: flat, with parameters": (
        body(
            toolCallList=[{"id": "call_ab12", "name": "book", "parameters": ARGUMENTS}],
            toolWithToolCallList=[{"name": "book", "toolCall": {"id": "call_ab12", "parameters": ARGUMENTS}}],
        ),
        (BOOK,),
    ),
    "docs, events: the name on the wrapper alone": (
        body(
            toolWithToolCallList=[{"name": "book", "toolCall": {"id": "call_ab12", "parameters": ARGUMENTS}}]
        ),
        (BOOK,),
    ),
    "the name in the wrapper's function alone": (
        body(toolWithToolCallList=[wrapper({"id": "call_ab12", "arguments": ARGUMENTS})]),
        (BOOK,),
    ),
    "one toolCall": (body(toolCall=function()), (BOOK,)),
    "hook: a constant id, values one level down": (
        body(
            toolCallList=[
                function(
                    tool_call_id="hook-function-call",
                    arguments={"properties": {"service": {"value": "cleaning"}, "tenantId": {"value": "t1"}}},
                )
            ]
        ),
        (ToolCall("hook-function-call", "book", ARGUMENTS),),
    ),
    "function-call, deprecated": (
        body(type="function-call", functionCall={"name": "book", "parameters": ARGUMENTS}),
        (ToolCall("", "book", ARGUMENTS),),
    ),
    "parallel calls keep their order": (
        body(toolCallList=[function(tool_call_id="z"), function("text"), function(tool_call_id="a")]),
        (
            ToolCall("z", "book", ARGUMENTS),
            ToolCall("call_ab12", "text", ARGUMENTS),
            ToolCall("a", "book", ARGUMENTS),
        ),
    ),
}


@pytest.mark.parametrize(("raw", "expected"), SHAPES.values(), ids=SHAPES)
def test_shapes_of_one_call(raw: bytes, expected: tuple[ToolCall, ...]) -> None:
    read = envelope.read(raw)
    assert read.calls == expected
    assert read.call_id == CALL["id"]
    assert read.caller_number == "+12025550143"
    assert read.form is (Form.LEGACY_FUNCTION if b'"function-call"' in raw else Form.VAPI)


@pytest.mark.parametrize(
    "first", [[], None, "x", {}, [None, "x", 7, {}]], ids=["empty", "null", "text", "object", "no objects"]
)
@pytest.mark.parametrize("key", ["toolCalls", "toolCall", "toolWithToolCallList"])
def test_a_list_without_a_call_gives_way_to_the_next(first: Any, key: str) -> None:
    second = wrapper(function()) if key == "toolWithToolCallList" else function()
    assert calls(toolCallList=first, **{key: [second]}) == (BOOK,)


def test_lists_that_disagree_are_not_added_up() -> None:
    older = function(tool_call_id="older")
    for last in ({"toolCalls": [older]}, {"toolCall": older}, {"toolWithToolCallList": [wrapper(older)]}):
        assert calls(toolCallList=[function()], **last) == (BOOK,)


def test_the_call_knows_its_name_better_than_its_wrapper() -> None:
    inner = {"id": "1", "name": "text"}
    assert calls(toolWithToolCallList=[wrapper(inner, name="book")]) == (ToolCall("1", "text"),)


def test_a_wrapper_without_a_call_is_no_call() -> None:
    assert calls(toolWithToolCallList=[wrapper(None), wrapper([]), {"name": "book"}, 7]) == ()


def test_neither_the_schema_nor_the_static_parameters_of_a_tool_are_its_arguments() -> None:
    static = [{"key": "service", "value": "crown"}]
    assert calls(toolWithToolCallList=[wrapper({"id": "1"}, parameters=static)]) == (ToolCall("1", "book"),)


@pytest.mark.parametrize(
    "twins",
    [
        [function(), function(arguments=ARGUMENTS)],
        [function(arguments={"a": 1, "b": 2}), function(arguments='{"b": 2, "a": 1}')],
        [function(), {"id": "call_ab12", "name": " book ", "parameters": ARGUMENTS}],
    ],
)
def test_the_same_call_twice_is_one(twins: list[Any]) -> None:
    assert len(calls(toolCallList=twins)) == 1


@pytest.mark.parametrize(
    "both",
    [
        [function("a"), function("b")],
        [function(arguments={"a": 1}), function(arguments={"a": 2})],
        [function(arguments={"a": 1}), function(arguments={"a": True})],
        [function(arguments={}), function(arguments="{")],
        [function(tool_call_id="1"), function(tool_call_id="2")],
        [function(tool_call_id=None), function(tool_call_id=None)],
    ],
    ids=["name", "arguments", "1 is not true", "cut off", "id", "no id"],
)
def test_different_calls_stay_two_under_one_id(both: list[Any]) -> None:
    assert len(calls(toolCallList=both)) == 2


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (AS_STRING, ARGUMENTS),
        (json.dumps(AS_STRING), ARGUMENTS),
        (ARGUMENTS, ARGUMENTS),
        ("", {}),
        ("  ", {}),
        ('""', {}),
        ("null", {}),
        ('"null"', {}),
        (None, {}),
        ({}, {}),
        ('{"name": "Ann\nLee"}', {"name": "Ann\nLee"}),
        ({"a": "x\0y\ud800z", "k\0": 1}, {"a": "xy\ufffdz", "k": 1}),
        ({"a": ["\udfff", {"\udfff": "\0"}]}, {"a": ["\ufffd", {"\ufffd": ""}]}),
        (r'{"a": "\ud83d\ude00 \ud83d \u0000"}', {"a": "\U0001f600 \ufffd "}),
        ({"properties": {"a": {"value": 1}}}, {"properties": {"a": {"value": 1}}}),  # no hook: as it is
    ],
)  # fmt: skip
def test_arguments(raw: Any, expected: dict[str, Any]) -> None:
    assert calls(toolCallList=[function(arguments=raw)]) == (ToolCall("call_ab12", "book", expected),)


@pytest.mark.parametrize(
    "arguments",
    [
        {"properties": {"a": 1}},
        {"properties": {"a": {"value": 1}, "b": {}}},
        {"properties": [1]},
        {"a": {"value": 1}},
    ],
)
def test_a_hook_that_looks_otherwise_keeps_its_arguments(arguments: Any) -> None:
    [call] = calls(toolCallList=[function(tool_call_id="hook-function-call", arguments=arguments)])
    assert call.arguments == arguments


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ({"function": {"name": "book", "arguments": {"a": 1}, "parameters": {"a": 2}}, "arguments": {}}, 1),
        ({"function": {"name": "book", "arguments": "", "parameters": {"a": 2}}, "arguments": {"a": 3}}, 2),
        ({"function": {"name": "book"}, "arguments": {"a": 3}, "parameters": {"a": 4}}, 3),
        ({"function": None, "name": "book", "parameters": '{"a": 4}'}, 4),
        ({"function": {"name": 7}, "name": "\0book\n", "parameters": {"a": 5}}, 5),
    ],
)  # fmt: skip
def test_the_first_place_that_holds_anything_wins(places: Any, expected: int) -> None:
    [call] = calls(toolCallList=[places])
    assert (call.name, call.arguments) == ("book", {"a": expected})


NESTED = '{"a":' * 5_000 + "1" + "}" * 5_000


@pytest.mark.parametrize(
    "raw",
    [
        '{"service": "cle',
        [],
        [{"key": "a", "value": 1}],
        7,
        False,
        "yes",
        "7",
        json.dumps(json.dumps(AS_STRING)),
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": ' + "9" * 10_000 + "}",
        NESTED,
        json.dumps(NESTED),
        json.loads("[" * 32 + "]" * 32),
        {"a": json.loads("[" * 32 + "]" * 32)},
        {"a": json.loads('{"b":' * 32 + "1" + "}" * 32)},
    ],
)
def test_unreadable_arguments_are_a_problem_of_that_call_alone(raw: Any) -> None:
    bad, good = calls(toolCallList=[function(arguments=raw), function(tool_call_id="2")])
    assert (bad.id, bad.name, bad.arguments, good.problem) == ("call_ab12", "book", {}, None)
    assert bad.problem
    assert bad.problem.endswith(".")
    assert envelope.one_line(bad.problem) == bad.problem
    assert "cle" not in bad.problem


def test_arguments_of_32_levels_are_read() -> None:
    deep = {"a": json.loads("[" * 31 + "]" * 31)}
    assert calls(toolCallList=[function(arguments=deep)])[0].arguments == deep


def test_calls_beyond_32_are_answered_but_not_run() -> None:
    read = calls(toolCallList=[function(tool_call_id=str(i)) for i in range(40)])
    assert [call.id for call in read] == [str(i) for i in range(40)]
    assert {call.problem for call in read[:32]} == {None}
    assert all("too many" in str(call.problem) and not call.arguments for call in read[32:])


@pytest.mark.parametrize("tool_call_id", ["call_0", " x ", "\0", "\ud800", "a\nb", "x" * 5_000])
def test_an_id_goes_back_exactly_as_it_came(tool_call_id: str) -> None:
    [call] = calls(toolCallList=[function(tool_call_id=tool_call_id)])
    answer = json.dumps(envelope.results([Answer(call.id, call.name, "ok")])).encode()
    assert json.loads(answer)["results"][0]["toolCallId"] == tool_call_id


@pytest.mark.parametrize("tool_call_id", [None, [], {}])
def test_an_id_that_is_no_text_is_none(tool_call_id: Any) -> None:
    assert calls(toolCallList=[function(tool_call_id=tool_call_id)])[0].id == ""


def test_a_number_for_an_id_comes_back_as_it_came() -> None:
    assert calls(toolCallList=[function(tool_call_id=7)])[0].id == 7


@pytest.mark.parametrize("name", [None, 7, [], {}, "", " \0 ", "x" * 5_000])
def test_a_name_that_is_no_name_is_none(name: Any) -> None:
    assert calls(toolCallList=[function(name=name)])[0].name is None


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


# --- laws ---

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
