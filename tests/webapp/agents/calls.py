"""Vapi's form of a tool call, as captured traffic has it."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from flask.testing import FlaskClient

_ids = itertools.count(1)


def message(*calls: dict[str, Any], call_id: str | None, number: str | None = None) -> dict[str, Any]:
    call: dict[str, Any] = {"type": "inboundPhoneCall"}
    if call_id is not None:
        call["id"] = call_id
    if number is not None:
        call["customer"] = {"number": number}
    return {"message": {"type": "tool-calls", "call": call, "toolCallList": list(calls)}}


def tool_call(name: str, *, id: str | None = None, **arguments: Any) -> dict[str, Any]:  # noqa: A002
    return {
        "id": id or f"call_{next(_ids)}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


class PhoneCall:
    """One telephone call to one clinic."""

    def __init__(self, client: FlaskClient, org_id: str, number: str | None) -> None:
        self.client = client
        self.org_id = org_id
        self.number = number
        self.id = str(uuid.uuid4())

    def post(self, *calls: dict[str, Any], path: str = "calendar/check") -> list[dict[str, Any]]:
        response = self.client.post(
            f"/api/vapi/tools/{path}", json=message(*calls, call_id=self.id, number=self.number)
        )
        assert response.status_code == 200
        results: list[dict[str, Any]] = response.get_json()["results"]
        return results

    def say(self, name: str, *, id: str | None = None, **arguments: Any) -> str:  # noqa: A002
        """Send one tool call; returns its one line."""
        [result] = self.post(tool_call(name, id=id, tenantId=self.org_id, **arguments))
        assert result["name"] == name
        line: str = result.get("result") or result["error"]
        assert "\n" not in line
        return line

    def end(self) -> None:
        body = {"message": {"type": "status-update", "status": "ended", "call": {"id": self.id}}}
        assert self.client.post("/api/vapi/webhook", json=body).status_code == 200
