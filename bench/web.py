"""Measures reserve-atomic over HTTP, beside a bare view with one INSERT under the same gunicorn."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bench import patience
from bench.figures import Series
from bench.ground import CALENDARS, PATIENTS, Clinic, Ground, phone
from bench.load import load, post

CONNECTIONS = 8
PATH = "/api/vapi/tools/booking/reserve-atomic"
SLOTS_A_DAY = 16  # nine to five, every half hour
READY_LIMIT = 30.0
ASSISTANT = {"name": "Reception", "model": {"provider": "openai", "model": "gpt-4o", "temperature": 0.3}}
SAID = "Good morning, this is the clinic. How can I help you today?"


class Web:
    """Both servers, and the requests to them. No slot is requested twice."""

    def __init__(self, ground: Ground, seconds: float) -> None:
        self._ground = ground
        self._seconds = seconds
        self._clinic: Clinic = ground.clinic("For HTTP")
        self._numbers = itertools.count()
        self._today = datetime.now(UTC).date()
        self._reserved = 0
        self._holdline = serve(ground, "web", "wsgi:app")
        self.bare_port = self._bare = serve(ground, "bare-view", "bench.bare_view:app")

    def series(self) -> list[Series]:
        return [
            Series("bare Flask view, one INSERT", lambda: self.run(self._bare, self.bare)),
            Series("reserve-atomic, bare form", lambda: self.run(self._holdline, self.bare)),
            Series("reserve-atomic, Vapi's form", lambda: self.run(self._holdline, self.vapi)),
        ]

    def bare(self) -> bytes:
        body = json.dumps({"toolCall": {"arguments": self._arguments(next(self._numbers))}})
        return post(PATH, body.encode(), self._clinic.secret)

    def vapi(self) -> bytes:
        """A tool call in a call of its own; a real message has more fields of the same kinds."""
        number = next(self._numbers)
        call = {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": "reserve_atomic", "arguments": self._arguments(number)},
        }
        message = {
            "type": "tool-calls",
            "timestamp": 1_700_000_000_000 + number,
            "toolCallList": [call],
            "toolCalls": [call],
            "call": {"id": f"00000000-0000-4000-8000-{number:012}", "type": "inboundPhoneCall"},
            "customer": {"number": "+447700900999"},
            "assistant": ASSISTANT,
            "artifact": {"messages": [{"role": "bot", "message": SAID, "secondsFromStart": 1.2}] * 6},
        }
        return post(PATH, json.dumps({"message": message}).encode(), self._clinic.secret)

    def _arguments(self, number: int) -> dict[str, str]:
        day, slot = divmod(number // CALENDARS, SLOTS_A_DAY)
        local = datetime.combine(
            self._today + timedelta(days=2 + day), datetime.min.time(), ZoneInfo("Europe/London")
        ) + timedelta(hours=9, minutes=30 * slot)
        return {
            "slotId": local.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "calendarId": str(number % CALENDARS),
            "patientName": "John Smith",
            "patientPhone": f"+{phone(number % PATIENTS)}",
        }

    def warm_up(self, seconds: float) -> None:
        """Send each form, so that no table is empty when it is analyzed: the planner would then read a
        clinic's tool calls one by one, and keep that plan until autovacuum runs.
        """
        self.run(self._bare, self.bare, seconds)
        self.run(self._holdline, self.bare, seconds)
        self.run(self._holdline, self.vapi, seconds)
        self._ground.analyze()

    def patience(self, rounds: int, seconds: float) -> str:
        """A table of how long an honest caller waits beside slow clients."""
        return patience.report(self._holdline, self._clinic.secret, rounds, seconds)

    def run(self, port: int, request: Callable[[], bytes], seconds: float | None = None) -> float:
        """Run one round; returns requests per second."""
        answered, took = load(
            port, request, expect=b"holdId", connections=CONNECTIONS, seconds=seconds or self._seconds
        )
        if port == self._holdline:
            self._reserved += answered
            if (held := self._ground.holds(self._clinic)) != self._reserved:
                raise RuntimeError(f"{self._reserved} reservations were answered, and {held} holds are there")
        return answered / took


def serve(ground: Ground, name: str, application: str, **environment: str) -> int:
    """Start gunicorn as in production (gunicorn.conf.py), on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "gunicorn", application]
    ground.start(name, command, PORT=str(port), **environment)
    deadline = time.monotonic() + READY_LIMIT
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return port
        if time.monotonic() > deadline:
            raise RuntimeError(f"{application} does not listen on port {port}")
        ground.processes.watch(0.1)
