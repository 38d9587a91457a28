"""Vapi's reports of a call, and the call itself."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.factories import create_clinic, phone_number, slot
from tests.webapp.agents.calls import PhoneCall

NUMBER = "+447700912345"
MESSAGES = [
    {"role": "system", "message": "You are an agent", "secondsFromStart": 0},
    {"role": "bot", "message": "Hello, how can I help?", "secondsFromStart": 1.2},
    {"role": "user", "message": "I want implants, my code is 1 2 3 4", "secondsFromStart": 4},
    {"role": "tool_calls", "toolCalls": []},
    {"role": "user", "message": "or call me on 07700 900123", "secondsFromStart": 399.6},
]


def status(call: str, word: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "status-update",
        "status": word,
        "call": {"id": call, "customer": {"number": NUMBER}},
        **more,
    }


def report(call: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "end-of-call-report",
        "call": {"id": call, "type": "inboundPhoneCall", "customer": {"number": NUMBER}},
        "endedReason": "customer-ended-call",
        "phoneNumber": {"twilioAuthToken": "canary-secret"},
        **more,
    }


FOUND = {"decision": {"value": "wants", "quote": "I want implants"}}

RICH = {
    "durationSeconds": 401.4,
    "cost": 0.1234,
    "startedAt": "2026-11-22T10:00:00.000Z",
    "endedAt": "2026-11-22T10:06:41.000Z",
    "artifact": {"messages": MESSAGES, "recordingUrl": "https://canary.example/1"},
    "analysis": {
        "summary": "Wants implants.",
        "successEvaluation": "true",
        "structuredData": FOUND,
    },
}


class Line:
    def __init__(self, client: FlaskClient, sql: psycopg.Connection) -> None:
        self.client, self.sql = client, sql
        self.org = create_clinic()
        # Without a credential, a tool call tells which clinic the call belongs to.
        self.call = PhoneCall(client, self.org, phone_number())
        self.call.say("check_availability", date=slot()[:10])

    def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            answer = self.client.post("/api/vapi/webhook", json={"message": message})
            assert (answer.status_code, answer.get_json()) == (200, {"results": []})

    @property
    def row(self) -> dict[str, Any]:
        (found,) = self.sql.execute(
            "SELECT to_jsonb(c) - '{created_at,reported_at,score_due_at}'::text[]"
            " FROM calls c WHERE org_id = %s",
            [self.org],
        ).fetchall()
        row: dict[str, Any] = found[0]
        return row


@pytest.fixture
def line(client: FlaskClient, sql: psycopg.Connection) -> Line:
    return Line(client, sql)
