"""How long an honest caller waits while 500 slow sockets of a kind are open, and without them."""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from bench.ground import ROOT
from bench.slow import CHECK, kinds

MANY = 500
CALLERS = 4
PAUSE = 0.02  # seconds between two calls of one caller, because the server's speed is not measured
SETTLED = (
    2.0  # seconds; sockets that read nothing begin with 500 whole requests, which are load, not slowness
)
STREAMS = "streams"  # not measured here: they need a signed-in person, as the test suite has


def report(port: int, secret: str, rounds: int, seconds: float) -> str:
    """A table: for each kind, the medians of the 50th and 99th percentile, and the ratio of the latter."""
    names = [name for name in kinds("") if not name.startswith(STREAMS)]
    width = max(map(len, names))
    lines = [f"{'':{width}}  {'alone, ms':>14}   {'beside, ms':>14}   p99 ÷ alone"]
    lines.append(f"{'':{width}}  {'p50':>6}  {'p99':>6}   {'p50':>6}  {'p99':>6}   min  median  max")
    for name in names:
        alone: list[tuple[float, float]] = []
        beside: list[tuple[float, float]] = []
        for number in range(rounds):
            for slow in (False, True) if number % 2 == 0 else (True, False):
                with _standing(port, name) if slow else contextlib.nullcontext():
                    (beside if slow else alone).append(_waits(port, secret, seconds))
        ratios = [ours[1] / floor[1] for ours, floor in zip(beside, alone, strict=True)]
        cells = "   ".join(
            "  ".join(f"{statistics.median(each[at] for each in measured) * 1000:6.1f}" for at in (0, 1))
            for measured in (alone, beside)
        )
        lines.append(
            f"{name:{width}}  {cells}   {min(ratios):.2f}  {statistics.median(ratios):.2f}"
            f"   {max(ratios):.2f}"
        )
    return "\n".join(lines)


@contextlib.contextmanager
def _standing(port: int, kind: str) -> Iterator[None]:
    """Slow sockets in a process of their own, which ends with the block."""
    command = [sys.executable, "-m", "bench.slow", str(port), kind, str(MANY)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as slow:
        if slow.stdout is None or not slow.stdout.readline():
            raise RuntimeError(f"the slow sockets do not stand: {kind}")
        time.sleep(SETTLED)
        yield
        if slow.stdin:
            slow.stdin.close()


def _waits(port: int, secret: str, seconds: float) -> tuple[float, float]:
    """The 50th and the 99th percentile, in seconds, of tool calls that each open a connection.

    Raises RuntimeError if a tool call is not answered with 200.
    """
    body = json.dumps({"toolCall": {"arguments": {"date": "tomorrow", "calendarId": "1"}}})
    until, waits, wrong = time.monotonic() + seconds, list[float](), list[str]()

    def call() -> None:
        while time.monotonic() < until and not wrong:
            begun = time.monotonic()
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                try:
                    connection.request("POST", CHECK, body, {"Authorization": f"Bearer {secret}"})
                    answer = connection.getresponse()
                    answer.read()
                except OSError as error:
                    wrong.append(repr(error))
                    return
            if answer.status != 200:
                wrong.append(str(answer.status))
            waits.append(time.monotonic() - begun)
            time.sleep(PAUSE)

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    if wrong:
        raise RuntimeError(f"an honest caller was answered {wrong[0]}")
    cuts = statistics.quantiles(waits, n=100)
    return cuts[49], cuts[98]
