"""Two requests that change the same rows at the same moment, whatever the machine's speed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql as compose

_WAITING = """
    SELECT count(DISTINCT l.pid) FROM pg_locks l, pg_stat_activity a
     WHERE a.pid = l.pid AND a.datname = current_database() AND NOT l.granted
"""


def at_once(sql: psycopg.Connection[tuple[Any, ...]], table: str, *requests: Callable[[], object]) -> None:
    """Make these requests when none can write to the table, and let it be written once all of them wait.

    They can read and lock rows meanwhile, so each sees what was there before the others.
    """
    threads = [threading.Thread(target=each) for each in requests]
    with sql.transaction():
        sql.execute(compose.SQL("LOCK TABLE {} IN SHARE MODE").format(compose.Identifier(table)))
        for each in threads:
            each.start()
        while any(each.is_alive() for each in threads):
            sql.execute("SELECT pg_stat_clear_snapshot()")
            if sql.execute(_WAITING.encode()).fetchall()[0][0] >= len(requests):
                break
    for each in threads:
        each.join()
