"""Vapi's requests and the answers to them: one tool call in nine shapes, as pure functions on bytes.

Nothing read here may be logged or stored whole: arguments hold spoken codes, and a message can hold
Twilio secrets and a URL that controls the live call. So neither shows in a `repr`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NoReturn

from models.base import phones
from models.base.json_values import an_object, objects, storable, word
from webapp.agents.vapi import salvage
from webapp.agents.wire import Caller, Object, Request, ToolCall

PREFIX_BYTES = 64 * 1024  # how much of an unreadable or oversize body `guess` looks at
MAX_CALLS = 32  # in one message; further tool calls are refused, each with its own answer
MOST_CALLS = 128  # in one message; a message with more is refused as a whole
MAX_LEVELS = 32  # of nesting in arguments
MAX_VALUES = 1000  # in the arguments of one call
#: Values in one body, roughly. Parsed objects and numbers take thirty times the memory of their bytes, and
#: time in which no other thread runs. A tool call of Vapi's has a few thousand values; the rest is text.
MOST_VALUES = 100_000


class Form(StrEnum):
    """How the body is wrapped; the answer is wrapped accordingly."""

    VAPI = "vapi"  # the tool's name decides, the answer is always 200
    LEGACY_FUNCTION = "function-call"  # the deprecated model.functions[]: no ids, answered by one "result"
    BARE = "bare"  # the path decides; apiRequest tools and people with curl


class Unreadable(Exception):
    """The body holds nothing that could be run; `reason` is one sentence and quotes nothing of it."""

    def __init__(self, form: Form, tool_call_ids: tuple[str, ...], reason: str) -> None:
        super().__init__(reason)
        self.form = form
        self.tool_call_ids = tool_call_ids  # as far as they could be read: each needs an answer
        self.reason = reason


class TooLarge(Unreadable):
    """The body holds more than is worked on, so nothing of it is run."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One request, parsed. `calls` is empty unless the message is of tool calls."""

    form: Form
    calls: tuple[ToolCall, ...] = ()
    event: str | None = None  # message.type
    call_id: str | None = None
    caller_number: str | None = None  # as sent, so perhaps a SIP URI; None if withheld
    status: str | None = None  # of a status-update
    message: Object = field(default_factory=dict, repr=False)  # as received: clean what is stored

    def asked_by(self, caller: Caller) -> Request:
        """Its tool calls, as the runner takes them."""
        return Request(caller, self.calls, self.call_id, self.caller_number)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one tool call."""

    tool_call_id: str | float
    name: str | None
    text: str
    is_error: bool = False


def read(body: bytes) -> Envelope:
    """Parse a request in any of its shapes. Raises Unreadable, and nothing else, whatever the bytes."""
    root, problem = None, "The body is not a JSON object."
    if not _is_small(body):
        raise TooLarge(*guess(body), "There is too much in that request.")
    try:
        root = _json(body, "body")
    except ValueError as error:
        problem = str(error)
    if not isinstance(root, dict):
        raise Unreadable(*guess(body), problem)
    return _vapi(an_object(root["message"])) if "message" in root else _bare(root)


def salvaged(body: bytes) -> tuple[Envelope, bool]:
    """What can be read of an event whose body `read` refuses, and whether that is all of it.

    Tool calls are never salvaged: `event` says that there were some, and `calls` is empty.
    """
    message, whole = salvage.message(body)
    found = _vapi(message)
    return replace(found, form=Form.VAPI, calls=()), whole


def guess(prefix: bytes) -> tuple[Form, tuple[str, ...]]:
    """The form and the tool call ids, as far as the beginning of an unreadable body shows them.

    Only an id in its proper place counts: the conversation so far holds the ids of older tool calls, and
    arguments hold other ids. So this follows the brackets, without recursion and in linear time.
    """
    prefix = prefix[:PREFIX_BYTES]
    form = Form.VAPI if b'"message"' in prefix and b'"tool-calls"' in prefix else Form.BARE
    found: dict[str, None] = {}
    path: list[bytes | None] = []  # the key under which each open bracket stands
    key: bytes | None = None
    for text, closed, colon, bracket in _TOKEN.findall(prefix):
        if colon:
            key = text
            if path == [None] and key == b"message":
                form = Form.VAPI
            continue
        if bracket in (b"{", b"["):
            path.append(key)
        elif bracket:
            del path[-1:]
        elif closed and key == b"id" and path in _ID_PLACES:
            try:
                tool_call_id = _json(b'"%s"' % text, "id")
            except ValueError:
                continue
            found |= {str(tool_call_id): None} if tool_call_id else {}
        key = None
    return form, tuple(found)[:MAX_CALLS]


def one_line(text: str) -> str:
    """The text on one line, since a line break in a result "causes parsing errors" at Vapi."""
    return _GAP.sub(" ", text).strip()


def results(answers: Sequence[Answer], form: Form = Form.VAPI) -> Object:
    """The body of the answer: one entry for each tool call, in order, each a string.

    Dump it with `ensure_ascii` (the default): an id that holds half a surrogate pair still goes back
    as it came.
    """
    entries = [
        {
            "toolCallId": answer.tool_call_id,
            "name": one_line(answer.name or ""),  # required by the schema, though the docs leave it out
            "error" if answer.is_error else "result": one_line(answer.text),
        }
        for answer in answers
    ]
    legacy: Object = {"result": one_line(answers[0].text)} if form is Form.LEGACY_FUNCTION and answers else {}
    return {"results": entries, **legacy}


def _vapi(message: Object) -> Envelope:
    event = word(message.get("type"))
    call = an_object(message.get("call"))  # a chat has no call
    legacy = event == "function-call"
    calls: tuple[ToolCall, ...] = ()
    if legacy:
        calls = tuple(_call(entry) for entry in objects(message.get("functionCall")))
    elif event == "tool-calls":
        calls = _tool_calls(message)
    return Envelope(
        form=Form.LEGACY_FUNCTION if legacy else Form.VAPI,
        calls=calls,
        event=event,
        call_id=word(call.get("id")),
        caller_number=_number(call.get("customer")) or _number(message.get("customer")),
        status=word(message.get("status")) if event == "status-update" else None,
        message=message,
    )


def _tool_calls(message: Object) -> tuple[ToolCall, ...]:
    """The tool calls of the first list that has any, since each tool call stands in several lists."""
    lists = (message.get(key) for key in ("toolCallList", "toolCalls", "toolCall"))
    entries = next(filter(None, map(objects, lists)), None)
    if entries is None:
        wrappers = objects(message.get("toolWithToolCallList"))
        entries = [_unwrapped(wrapper) for wrapper in wrappers if objects(wrapper.get("toolCall"))]
    if len(entries) > MOST_CALLS:
        ids = tuple(str(_id(entry)) for entry in entries[:MAX_CALLS] if _id(entry))
        raise TooLarge(Form.VAPI, ids, f"There are more than {MOST_CALLS} tool calls in one message.")
    calls: dict[object, ToolCall] = {}
    for entry in entries:
        call = _call(entry)
        canonical = json.dumps(call.arguments, sort_keys=True)
        # Ids repeat (call_0, hook-function-call), so an equal id alone does not make two tool calls the same.
        calls[(call.id, call.name, canonical, call.problem) if call.id else len(calls)] = call
    kept = tuple(calls.values())
    surplus = (
        replace(call, arguments={}, problem="There are too many calls in one message.")
        for call in kept[MAX_CALLS:]
    )
    return (*kept[:MAX_CALLS], *surplus)


def _unwrapped(wrapper: Object) -> Object:
    """The tool call in a wrapper, with the wrapper's name if it has none itself.

    Never with the wrapper's `parameters` or `function.parameters`: those are the static parameters,
    which Vapi has merged into the arguments already, and the JSON schema of the tool.
    """
    call = an_object(wrapper.get("toolCall"))
    names = (call.get("name"), wrapper.get("name"), an_object(wrapper.get("function")).get("name"))
    return call | {"name": next(filter(None, map(word, names)), None)}


def _call(entry: Object) -> ToolCall:
    function = an_object(entry.get("function"))
    call = ToolCall(
        id=_id(entry),
        name=word(function.get("name")) or word(entry.get("name")),
    )
    raws = (source.get(key) for source in (function, entry) for key in ("arguments", "parameters"))
    try:
        arguments = _arguments(next((raw for raw in raws if raw not in (None, "")), None))
    except ValueError as error:
        return replace(call, problem=str(error))
    if call.id == "hook-function-call":  # the actions of Vapi's hooks send {"properties": {X: {"value": …}}}
        properties = arguments.get("properties")
        if isinstance(properties, dict) and all("value" in an_object(each) for each in properties.values()):
            arguments = {key: each["value"] for key, each in properties.items()}
    return replace(call, arguments=arguments)


def _id(entry: Object) -> str | float:
    tool_call_id = entry.get("id")
    return tool_call_id if isinstance(tool_call_id, str | int | float) else ""


def _bare(root: Object) -> Envelope:
    """The bare form: `{"toolCall": {"arguments": …}}`, or only the arguments, from an apiRequest tool."""
    call = root.get("toolCall", {"arguments": root})
    if not isinstance(call, dict):
        raise Unreadable(Form.BARE, (), "The toolCall is not an object.")
    tool_call = replace(_call(call), name=None)
    if tool_call.problem:
        raise Unreadable(Form.BARE, (), tool_call.problem)
    call_id = word(an_object(root.get("call")).get("id")) if "toolCall" in root else None
    return Envelope(form=Form.BARE, calls=(tool_call,), call_id=call_id)


def _arguments(raw: object) -> Object:
    """The arguments, which come as an object, as JSON, as JSON in JSON, or not at all. Raises ValueError."""
    for _ in range(2):
        if isinstance(raw, str):
            if not _is_small(raw):  # escapes in the body hid them from the first count
                raise ValueError("There are too many arguments.")
            raw = _json(raw, "arguments") if raw.strip() else None
    if raw is None:
        return {}
    if isinstance(raw, dict):
        left = iter(range(MAX_VALUES))
        return {storable(key): _clean(value, MAX_LEVELS - 1, left) for key, value in raw.items()}
    raise ValueError("The arguments are not a JSON object.")


def _clean(value: object, levels: int, left: Iterator[int]) -> object:
    """The value without what the database cannot store. `left` yields once for each value still allowed.

    Raises ValueError for too many values or levels.
    """
    if next(left, None) is None:
        raise ValueError("There are too many arguments.")
    if isinstance(value, str):
        return storable(value)
    if not isinstance(value, dict | list):
        return value
    if not levels:
        raise ValueError("The arguments are nested too deeply.")
    if isinstance(value, list):
        return [_clean(item, levels - 1, left) for item in value]
    return {storable(key): _clean(item, levels - 1, left) for key, item in value.items()}


def _is_small(text: bytes | str) -> bool:
    """Whether the JSON cannot hold more than MOST_VALUES values.

    Opening brackets and commas are counted, which costs next to nothing; those inside strings count, too.
    """
    if len(text) <= MOST_VALUES:
        return True
    marks = (b"{", b"[", b",") if isinstance(text, bytes) else ("{", "[", ",")
    return sum(map(text.count, marks)) <= MOST_VALUES  # type: ignore[arg-type]


def _json(text: bytes | str, what: str) -> object:
    """Parse JSON with finite numbers only. Raises ValueError, whose text quotes nothing of the JSON.

    `json` itself raises RecursionError at deep nesting, and a plain ValueError at integers of thousands of
    digits. Bare control characters are accepted, since models write line breaks into strings.
    """
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        return json.loads(decoded, strict=False, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        problem = f"The {what} cannot be read as JSON; perhaps it is cut off."
    raise ValueError(problem)


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits)  # 1e999 is infinite, and valid JSON


def _no_number(_: str) -> NoReturn:
    raise ValueError("not a finite number")


def _number(customer: object) -> str | None:
    number = word(an_object(customer).get("number"))
    return number and phones.of_caller(number)


_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)("?)(\s*:)?|([\[\]{}])', re.DOTALL)
_ID_PLACES: tuple[list[bytes | None], ...] = (
    [None, b"message", b"toolCallList", None],
    [None, b"message", b"toolCalls", None],
    [None, b"message", b"toolCall"],
    [None, b"message", b"toolWithToolCallList", None, b"toolCall"],
)
_GAP = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")  # \s holds U+2028 and U+2029
