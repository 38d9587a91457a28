"""A Vapi that phones: it sends the envelopes of one call, as observed in Vapi's traffic.

The speakers of a call are in sandbox/dialogue.py, and whole calls are in sandbox/plays.py.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from models.calls.facts import NAME
from sandbox.answers import Answer
from sandbox.local_http import reason, request
from sandbox.seed import LONDON
from sandbox.steps import DidNotHold, must
from sandbox.story import Teller

WEB, INBOX = "http://127.0.0.1:3001", "http://127.0.0.1:3002"  # as in make demo
VAPI_PATIENCE = 20.0  # seconds that Vapi waits for a tool by default

_ORGANIZATION, _ASSISTANT, _PHONE_NUMBER = (
    str(uuid.uuid5(uuid.NAMESPACE_URL, f"holdline/sandbox/{name}"))
    for name in ("organization", "assistant", "phone-number")
)


@dataclass(slots=True)
class Call:
    """One telephone call, as Vapi reports it to us."""

    web_url: str
    customer: str | None
    tenant_id: str = str(LONDON)
    credential: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    teller: Teller = field(default_factory=Teller)

    def tool(self, name: str, **arguments: object) -> Answer:
        """The agent uses a tool."""
        return self.send(self.envelope(name, **arguments))

    def envelope(self, name: str, **arguments: object) -> dict[str, Any]:
        """The message of one tool call.

        As in observed traffic, the tool call stands in three lists at once, and its arguments are an object
        into which the static parameters were merged.
        """
        tool_call = {
            "id": f"call_{uuid.uuid4().hex[:24]}",
            "type": "function",
            "function": {"name": name, "arguments": {**arguments, "tenantId": self.tenant_id}},
            "isPrecededByText": False,
        }
        with_tool = {
            "type": "function",
            "async": False,
            "function": {"name": name, "parameters": {"type": "object", "properties": {}}},
            "server": {"url": self._server, "timeoutSeconds": int(VAPI_PATIENCE)},
            "parameters": [{"key": "tenantId", "value": self.tenant_id}],
            "messages": [],
            "toolCall": tool_call,
        }
        return self._message(
            "tool-calls",
            toolCalls=[tool_call],
            toolCallList=[tool_call],
            toolWithToolCallList=[with_tool],
        )

    def send(self, envelope: dict[str, Any]) -> Answer:
        """Send the message of one tool call. Sending it again makes a repeat, as after a lost answer."""
        tool_call = envelope["message"]["toolCallList"][0]
        name, arguments = tool_call["function"]["name"], tool_call["function"]["arguments"]
        began = time.monotonic()
        response = self._post(self._server, envelope)
        ms = (time.monotonic() - began) * 1000
        answer = Answer(_result(response, tool_call["id"]), response.status_code, ms)
        self.teller.tool(name, arguments, answer.text, ms)
        return answer

    def hang_up(self, reason: str = "customer-ended-call") -> None:
        """The call ends; Vapi reports it."""
        self.teller.event(f"the call ends: {reason}")
        event = self._message("status-update", status="ended", endedReason=reason)
        response = self._post(self._server, event)
        must(response.ok, "the end of the call is taken in", f"{response.status_code} {response.text[:300]}")

    def report(self, said: list[dict[str, str]], seconds: int, facts: Mapping[str, object]) -> None:
        """Send Vapi's report of the call: the transcript, the duration and the facts."""
        self.teller.event(f"the report of the call arrives: {seconds} seconds, {len(said)} turns")
        event = self._message(
            "end-of-call-report",
            endedReason="customer-ended-call",
            durationSeconds=float(seconds),
            artifact={
                "messages": said,
                "structuredOutputs": {str(uuid.uuid4()): {"name": NAME, "result": facts}},
            },
            analysis={"summary": "", "successEvaluation": "true"},
        )
        response = self._post(self._server, event)
        must(response.ok, "the report is taken in", f"{response.status_code} {response.text[:300]}")

    @property
    def _server(self) -> str:
        """The assistant's one server URL, which receives all tool calls and every event."""
        return f"{self.web_url}/api/vapi/webhook"

    def _message(self, kind: str, **rest: object) -> dict[str, Any]:
        customer = {"number": self.customer} if self.customer else {}
        call = {
            "id": self.id,
            "orgId": _ORGANIZATION,
            "type": "inboundPhoneCall" if self.customer else "webCall",
            "assistantId": _ASSISTANT,
            "phoneNumberId": _PHONE_NUMBER,
            "customer": customer,
        }
        common = {"timestamp": time.time_ns() // 1_000_000, "type": kind, "call": call, "customer": customer}
        return {"message": {**common, "phoneNumber": {"id": _PHONE_NUMBER}, **rest}}

    def _post(self, url: str, body: dict[str, Any]) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.credential}"} if self.credential else {}
        try:
            return request("POST", url, timeout=VAPI_PATIENCE, json=body, headers=headers)
        except requests.RequestException as error:
            raise DidNotHold(f"{url} answers", reason(error)) from error


def _result(response: requests.Response, tool_call_id: str) -> str:
    """The text of the one result, or the whole body if it has no result."""
    try:
        (result,) = response.json()["results"]
        must(result["toolCallId"] == tool_call_id, f"the answer is for {tool_call_id}", result)
        return str(result.get("result") or result["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}: {response.text[:300]}"
