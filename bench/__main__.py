"""`python -m bench`: claim_slot_atomic and reserve-atomic, as ratios to floors measured in the same run.

It also measures the answers to a clinic beside another clinic's flood (`python -m bench neighbours` measures
only these), and how well hot leads are told from the rest (`python -m bench leads`).
`python -m bench diary` measures what it costs to list free times, with up to a million appointments behind
the clinic; `python -m bench diary --long` with up to ten million.
`python -m bench slow` measures how long an honest caller waits beside 500 slow clients of each kind.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

from bench import ground, leads, patience
from bench.diary import DAYS, LONG, PASTS, PEOPLE, ROOMS, Diary
from bench.figures import alternate, table
from bench.neighbours import CALLERS, Neighbours
from bench.neighbours import CONNECTIONS as FLOODING
from bench.sql import CLIENTS, Pgbench
from bench.web import CONNECTIONS, Web, serve

WARM_UP = 1
READINGS = 20  # of a clinic's free times, in each round
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a look, not a figure")
    parser.add_argument("--long", action="store_true", help=f"a diary with {LONG:,} appointments, too")
    only = ["diary", "leads", "neighbours", "slow"]
    parser.add_argument("only", nargs="?", choices=only, help="only this")
    arguments = parser.parse_args()
    if arguments.only == "leads":
        print(leads.report())
        return 0
    rounds, seconds = (3, 1) if arguments.quick else (5, 3)
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)
    clock = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - clock:5.1f}s  {text}", file=sys.stderr, flush=True)

    say("starting Postgres and Redis, fsync on")
    try:
        with ground.prepared(say) as here:
            if arguments.only == "neighbours":
                bare = serve(here, "bare-view", "bench.bare_view:app")
                _beside_a_flood(here, bare, say, rounds, 2 * seconds)
            elif arguments.only == "diary":
                _diary(here, say, rounds, (*PASTS, LONG) if arguments.long else PASTS)
            elif arguments.only == "slow":
                _beside_slow_clients(here, say, rounds, seconds)
            else:
                _measure(here, say, rounds, seconds)
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(here: ground.Ground, say: Callable[[str], None], rounds: int, seconds: int) -> None:
    each = f"{rounds} alternating rounds of {seconds} s"
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load before the run {busy}")

    pgbench = Pgbench(here, seconds)
    in_sql = pgbench.series()
    say("warming up pgbench")
    pgbench.warm_up(WARM_UP)
    say(f"pgbench: {each} for each of {len(in_sql)}")
    alternate(in_sql, rounds)
    print(f"\nSQL: pgbench -M prepared, {CLIENTS} clients, {ground.CALENDARS} calendars; {each}\n")
    print(table(in_sql, in_sql[:2]), flush=True)

    web = Web(here, seconds)
    over_http = web.series()
    say("warming up both gunicorns")
    web.warm_up(WARM_UP)
    say(f"HTTP: {each} for each of {len(over_http)}")
    alternate(over_http, rounds)
    print(f"\nHTTP: gunicorn.conf.py's processes and threads, {CONNECTIONS} connections; {each}\n")
    print(table(over_http, over_http[:1]))
    _beside_a_flood(here, web.bare_port, say, rounds, 2 * seconds)
    _diary(here, say, rounds, PASTS)
    print("\nIn the end: claim_slot_atomic 0.9 of the INSERT under the constraint, and 0.6 of the bare view.")
    print(f"\n{leads.report()}")
    say("done")


def _beside_a_flood(
    here: ground.Ground, bare_port: int, say: Callable[[str], None], rounds: int, seconds: int
) -> None:
    each = f"{rounds} alternating rounds of {seconds} s"
    say(f"neighbours: {each} for each of 3")
    print(f"\nNeighbours: {CALLERS} callers of one clinic, {FLOODING} connections of another; {each}\n")
    print(Neighbours(here, bare_port, seconds).measure(rounds), flush=True)


def _diary(here: ground.Ground, say: Callable[[str], None], rounds: int, pasts: tuple[int, ...]) -> None:
    each = f"{rounds} alternating rounds of {READINGS}"
    print(f"\nThe free times of {PEOPLE} people and {ROOMS} rooms, {DAYS} days ahead; {each}\n")
    print(Diary(here, pasts, say).measure(rounds, READINGS), flush=True)


def _beside_slow_clients(here: ground.Ground, say: Callable[[str], None], rounds: int, seconds: int) -> None:
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load before the run {busy}")
    web = Web(here, seconds)
    web.warm_up(WARM_UP)
    say(f"{patience.MANY} slow sockets of each kind: {rounds} alternating rounds of {seconds} s")
    print(f"\nA tool call beside {patience.MANY} slow sockets; {rounds} alternating rounds of {seconds} s\n")
    print(web.patience(rounds, seconds))
    say("done")


def _stop(number: int, _frame: object) -> NoReturn:
    for again in STOP_SIGNALS:
        signal.signal(again, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
