"""Every shape of a tool call on Vapi's wire, and every trap in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.webapp.agents.vapi.shapes import ARGUMENTS, AS_STRING, CALL, NESTED, body, calls, function, wrapper
from webapp.agents.vapi import envelope
from webapp.agents.vapi.envelope import Answer, Form
from webapp.agents.wire import ToolCall

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
