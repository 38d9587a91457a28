"""The parts of Vapi's messages, and what the envelope reads in them."""

from __future__ import annotations

import json
from typing import Any

from webapp.agents.vapi import envelope
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
    """An entry of toolWithToolCallList: the tool call within the tool's schema and static parameters."""
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


NESTED = '{"a":' * 5_000 + "1" + "}" * 5_000
