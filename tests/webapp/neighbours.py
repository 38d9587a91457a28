"""A clinic that sends as many requests as it likes, under the limits of production."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import create_clinic, phone_number, slot
from tests.surroundings import environment
from tests.webapp.agents.calls import message, tool_call
from tests.webapp.agents.vapi.signing import make_secret
from webapp import limits

WEBHOOK = "/api/vapi/webhook"
CHECK = "/api/vapi/tools/calendar/check"
RESERVE = "/api/vapi/tools/booking/reserve-atomic"


class Clinic:
    def __init__(self, app: Flask) -> None:
        self.app = app
        self.org = create_clinic(sandbox=True)  # which accepts any number
        self.headers = {"Authorization": f"Bearer {make_secret(self.org)}"}

    def post(self, path: str, body: object) -> TestResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.app.test_client().post(path, data=data, headers=self.headers)

    def bare(self, path: str, **arguments: Any) -> TestResponse:
        return self.post(path, {"toolCall": {"arguments": arguments}})

    def reserve(self, number: int = 0) -> TestResponse:
        name, when = "John Smith", slot(days=20 + number)
        return self.bare(RESERVE, slotId=when, patientName=name, patientPhone=phone_number())

    def check(self, **of: Any) -> TestResponse:
        return self.post(CHECK, message(tool_call("check_availability", date=slot()[:10]), **of))


@pytest.fixture(autouse=True)
def in_production() -> Iterator[None]:
    """Production's defaults, except that a lock timeout outlasts the tests."""
    with environment(APP_ENV="production", LOCK_TIMEOUT="60"):
        yield


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the limiters' clock, so that the machine's speed does not change what they let through."""
    for limiter in limits._limiters().values():
        monkeypatch.setattr(limiter, "_clock", lambda: 1000.0)


def many(count: int, **of: Any) -> dict[str, Any]:
    calls = (tool_call("check_availability", id=f"c{n}", date=slot(days=n + 1)[:10]) for n in range(count))
    return message(*calls, **of)
