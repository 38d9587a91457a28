"""Reads a file in a program of its own, as calendars from elsewhere are read (models/booking/ics.py).

No library can be trusted to end: one rule of thirty letters keeps a thread busy for ever, and a thread of the
web server cannot be ended. The program has little time and memory, and no setting or secret.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from models.booking import ics
from models.booking.imports import reading
from models.booking.imports.entries import MOST_BYTES, Entry, File, Kind, Problem, State, Unreadable

log = logging.getLogger(__name__)

#: Seconds of a processor, and seconds by the clock: a page has to answer within thirty.
SECONDS = 12
SECONDS_BY_THE_CLOCK = 25.0

_ROOT = Path(__file__).parents[3]
_TOO_LONG = "the file takes too long to read; export it in parts, by date, and as single events"


def read(
    data: bytes,
    kind: Kind,
    *,
    zone: ZoneInfo,
    region: str,
    now: datetime,
    since: datetime,
    services: Collection[str] = (),
    seconds: int = SECONDS,
) -> File:
    """As `reading.read`, but it ends. Raises Unreadable."""
    asked = {
        "kind": kind,
        "zone": zone.key,
        "region": region,
        "now": now.isoformat(),
        "since": since.isoformat(),
        "services": list(services),
    }
    try:
        done = subprocess.run(  # noqa: S603 (this module, with our own interpreter)
            [sys.executable, "-m", __name__, str(seconds)],
            input=json.dumps(asked).encode() + b"\n" + data[: MOST_BYTES + 1],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
            env={},
            timeout=SECONDS_BY_THE_CLOCK,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unreadable(_TOO_LONG) from None
    if done.returncode < 0:  # ended by the limit on its time
        raise Unreadable(_TOO_LONG)
    answer: dict[str, Any] = json.loads(done.stdout or b'{"failed": "no answer"}')
    if "failed" in answer:
        log.error("a file that was to be imported could not be read: %s", answer["failed"])
        raise Unreadable("this file cannot be read; export it again")
    if "unreadable" in answer:
        raise Unreadable(answer["unreadable"])
    return File(
        entries=[_entry(each) for each in answer["entries"]],
        problems=[Problem(**each) for each in answer["problems"]],
        left_out=Counter(answer["left_out"]),
        notes=answer["notes"],
    )


def _entry(said: dict[str, Any]) -> Entry:
    times = {name: said[name] and datetime.fromisoformat(said[name]) for name in ("starts_at", "ends_at")}
    return Entry(**said | times | {"numbers": tuple(said["numbers"]), "state": State(said["state"])})


def main() -> None:
    """The program: a line of JSON and the file in, JSON out."""
    ics.limit(int(sys.argv[1]))
    asked = json.loads(sys.stdin.buffer.readline())
    try:
        file = reading.read(
            sys.stdin.buffer.read(),
            Kind(asked["kind"]),
            zone=ZoneInfo(asked["zone"]),
            region=asked["region"],
            now=datetime.fromisoformat(asked["now"]),
            since=datetime.fromisoformat(asked["since"]),
            services=asked["services"],
        )
        answer: dict[str, Any] = {
            "entries": [asdict(each) for each in file.entries],
            "problems": [asdict(each) for each in file.problems],
            "left_out": file.left_out,
            "notes": file.notes,
        }
    except Unreadable as problem:
        answer = {"unreadable": str(problem)}
    except MemoryError:
        answer = {"unreadable": _TOO_LONG}
    except Exception as error:  # noqa: BLE001 (its message may have words of the file; its name has none)
        answer = {"failed": type(error).__name__}
    sys.stdout.write(json.dumps(answer, default=datetime.isoformat))


if __name__ == "__main__":
    main()
