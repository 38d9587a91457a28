"""The examples of the OpenAPI document. Each tool has its own example, which is put into both forms here.

Both forms of an answer are made by the code that makes real answers.
"""

from __future__ import annotations

from typing import Any

from webapp.agents.tool import Tool
from webapp.agents.vapi import envelope
from webapp.agents.vapi.envelope import Answer

_CALL = "7420f27a-30fd-4f49-a995-5549ae7cc00d"


def bare_request(tool: Tool) -> dict[str, Any]:
    return {"toolCall": {"arguments": tool.example.arguments}}


def vapi_request(tool: Tool) -> dict[str, Any]:
    call = {
        "id": "call_ab12",
        "type": "function",
        "function": {"name": tool.name, "arguments": tool.example.arguments},
    }
    return {
        "message": {
            "type": "tool-calls",
            "call": {"id": _CALL, "type": "inboundPhoneCall", "customer": {"number": "+442079460123"}},
            "toolCallList": [call],
        }
    }


def answers(tool: Tool) -> dict[str, dict[str, Any]]:
    """The examples of the 200 answer, as OpenAPI has them."""
    example = tool.example
    spoken = envelope.results([Answer("call_ab12", tool.name, example.reply.spoken())])
    return {
        "bare": {"summary": "bare form", "value": example.reply.bare()},
        "vapi": {"summary": "Vapi's form", "value": spoken},
        "refusal": {"summary": "a refusal, bare form", "value": example.refused.bare()},
    }


#: Bodies that Vapi sends about a call, and Twilio about an SMS.
EVENT = {
    "message": {
        "type": "status-update",
        "status": "ended",
        "call": {"id": _CALL, "type": "inboundPhoneCall"},
        "endedReason": "customer-ended-call",
    }
}
REPLY = {
    "AccountSid": "AC5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
    "MessageSid": "SMba88af57a83458595b73d6844f3db4cf",
    "From": "+447700900123",
    "Body": "STOP",
}
RECEIPT = {
    "AccountSid": "AC5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
    "MessageSid": "SMba88af57a83458595b73d6844f3db4cf",
    "MessageStatus": "delivered",
}
