"""Measures the answers to a calm clinic while another clinic floods the same web.

Three ways in turn: the calm clinic alone; beside a flood of a bare server, which loads this machine but not
the web; and beside the same flood of the calm clinic's own web.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import itertools
import json
import multiprocessing
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.sharedctypes import Synchronized

from bench.figures import Series, alternate
from bench.ground import CALENDARS, HOT, Clinic, Ground, phone
from bench.load import load, post
from bench.web import PATH, serve

CHECK = "/api/vapi/tools/calendar/check"
SEND_CODE = "/api/vapi/tools/booking/send-otp"
WEBHOOK = "/api/vapi/webhook"
CONNECTIONS = 48  # of the flood; each sends its next request as soon as it is answered
CALLERS = 6  # of the calm clinic
PAUSE = 0.25  # seconds between two tool calls of one caller
BURST_OVER = 6.0  # seconds after which the flood has used up its allowance


@dataclasses.dataclass
class Way:
    """One way of measuring, and its results: the milliseconds of each answer, and refusals by kind."""

    name: str
    flooded: int | None
    took: list[float] = dataclasses.field(default_factory=list)
    p99: list[float] = dataclasses.field(default_factory=list)  # of each round
    refused: Counter[str] = dataclasses.field(default_factory=Counter)
    flood: list[float] = dataclasses.field(default_factory=list)  # answers per second, of each round


class Neighbours:
    def __init__(self, ground: Ground, bare_port: int, seconds: float) -> None:
        self._seconds = seconds
        self._calm, self._flooding = ground.clinic("Calm"), ground.clinic("Flooding")
        self._numbers = itertools.count()
        self._port = serve(ground, "limited-web", "wsgi:app", RATE_PER_CREDENTIAL="", RATE_PER_PHONE="")
        self._ways = [
            Way("alone", None),
            Way("beside a flood of a bare server", bare_port),
            Way("beside a flood of the same web", self._port),
        ]

    def measure(self, rounds: int) -> str:
        self._ask(Way("warming up", None))
        alternate([Series(way.name, lambda way=way: self._round(way)) for way in self._ways], rounds)  # type: ignore[misc]
        alone, bare, _ = self._ways
        width = max(len(way.name) for way in self._ways)
        head = "      p50      p99  ÷ alone  ÷ bare  tool calls  refused         flood, answers a second"
        lines = [f"{'':{width}}{head}"]
        for way in self._ways:
            to_alone, to_bare = (
                statistics.median(mine / of for mine, of in zip(way.p99, floor.p99, strict=True))
                for floor in (alone, bare)
            )
            refused = ", ".join(f"{count} {code}" for code, count in way.refused.items()) or "none"
            figures = f"{_at(way.took, 50):>4.0f} ms  {_at(way.took, 99):>4.0f} ms"
            figures += f"  {to_alone:>7.2f}  {to_bare:>6.2f}"
            rest = f"{len(way.took):>10}  {refused:<14}  {statistics.mean(way.flood):>6,.0f}"
            lines.append(f"{way.name:{width}}  {figures}  {rest}")
        return "\n".join(lines)

    def _round(self, way: Way) -> float:
        first = len(way.took)
        with _flood(way.flooded, self._flooding) as answered:
            began, before = time.monotonic(), answered()
            self._ask(way)
            way.flood.append((answered() - before) / (time.monotonic() - began))
        way.p99.append(_at(way.took[first:], 99))
        return way.p99[-1]

    def _ask(self, way: Way) -> None:
        until = time.monotonic() + self._seconds

        def calls(caller: int) -> None:
            time.sleep(PAUSE * caller / CALLERS)
            while time.monotonic() < until:
                for path, body in self._call(next(self._numbers)):
                    began = time.perf_counter()
                    refusal = _asked(self._port, path, body, self._calm.secret)
                    way.took.append((time.perf_counter() - began) * 1000)
                    way.refused.update([refusal] if refusal else [])
                    time.sleep(PAUSE)

        threads = [threading.Thread(target=calls, args=(caller,)) for caller in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _call(self, number: int) -> list[tuple[str, bytes]]:
        """Path and body of two tool calls: for the free slots of a day, and for a hold on that day."""
        day = datetime.now(UTC).date() + timedelta(days=3 + number // CALENDARS)
        calendar = str(number % CALENDARS)
        wish = {
            "slotId": f"{day}T12:00:00Z",
            "calendarId": calendar,
            "patientName": "John Smith",
            "patientPhone": f"+{phone(number % 1000)}",
        }
        asked = {"date": str(day), "calendarId": calendar}
        return [
            (CHECK, _message(f"calm-{number}", [("check_availability", asked)])),
            (PATH, _message(f"calm-{number}", [("reserve_atomic", wish)])),
        ]


def _at(took: list[float], percent: int) -> float:
    return statistics.quantiles(took, n=100, method="inclusive")[percent - 1]


def _message(call_id: str, calls: list[tuple[str, dict[str, str]]]) -> bytes:
    entries = [
        {"id": f"call_{number}", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(calls)
    ]
    message = {"type": "tool-calls", "call": {"id": call_id}, "toolCallList": entries}
    return json.dumps({"message": message}).encode()


def _asked(port: int, path: str, body: bytes, secret: str) -> str:
    """Send a tool call; returns the refusal that came in place of an answer, or an empty text."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        try:
            connection.request("POST", path, body, {"Authorization": f"Bearer {secret}"})
            answer = connection.getresponse().read()
        except OSError:
            return "silence"
    for words, refusal in ((b"cannot reach", "unavailable"), (b"one moment", "busy"), (b"error", "error")):
        if words in answer:
            return refusal
    return ""


# --- the flood ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _flood(port: int | None, clinic: Clinic) -> Iterator[Callable[[], int]]:
    """Flood in a process of its own during the block; yields a function that counts its answers."""
    if port is None:
        yield lambda: 0
        return
    spawn = multiprocessing.get_context("spawn")
    answered = spawn.Value("q", 0)
    process = spawn.Process(target=flood, args=(port, clinic.secret, answered), daemon=True)
    process.start()
    try:
        while answered.value == 0 and process.is_alive():
            time.sleep(0.05)
        time.sleep(BURST_OVER)
        yield lambda: int(answered.value)
    finally:
        process.terminate()
        process.join()


def flood(port: int, secret: str, answered: Synchronized[int]) -> None:
    """Send every kind of request that a credential allows, until the process is ended."""
    numbers = itertools.count()

    def request() -> bytes:
        answered.value += 1
        return _kinds(next(numbers), secret)

    while True:
        with contextlib.suppress(RuntimeError, OSError):
            load(port, request, expect=b"HTTP/1.", connections=CONNECTIONS, seconds=600)


def _kinds(number: int, secret: str) -> bytes:
    day = datetime.now(UTC).date() + timedelta(days=2 + number % 300)
    call_id, check = f"flood-{number}", ("check_availability", {"date": str(day)})
    wish = {
        "slotId": f"{day}T{10 + number % 5}:00:00Z",
        "calendarId": HOT,  # one lock for all
        "patientName": "John Smith",
        "patientPhone": f"+{phone(number % 1000)}",
    }
    report = {
        "type": "end-of-call-report",
        "call": {"id": call_id},
        "artifact": {"transcript": "So. " * 5000},
    }
    match number % 5:
        case 0:
            return post(CHECK, _message(call_id, [check]), secret)
        case 1:
            return post(CHECK, _message(call_id, [check] * 32), secret)
        case 2:
            return post(PATH, _message(call_id, [("reserve_atomic", wish)]), secret)
        case 3:
            return post(SEND_CODE, _message(f"flood-{number - 1}", [("send_otp_code", {})]), secret)
        case _:
            return post(WEBHOOK, json.dumps({"message": report}).encode(), secret)
