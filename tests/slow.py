"""Honest callers, who must get answers whatever slow clients do beside them (bench/slow.py)."""

from __future__ import annotations

import contextlib
import http.client
import json
from concurrent.futures import ThreadPoolExecutor

from bench.slow import CHECK


def ask(
    port: int, method: str, path: str, body: str | None = None, *, secret: str = "", within: float
) -> int:
    """The status code of the answer to a request. Raises OSError if none comes within `within` seconds."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=within)) as connection:
        connection.request(method, path, body, {"Authorization": f"Bearer {secret}"} if secret else {})
        answer = connection.getresponse()
        answer.read()
        return answer.status


def honest(port: int, secret: str, many: int, *, within: float) -> list[str]:
    """What went wrong for callers who ask for a page and a tool `many` times, some at once."""
    tool = json.dumps({"toolCall": {"arguments": {"date": "tomorrow"}}})

    def once(number: int) -> str:
        try:
            if number % 2:
                status = ask(port, "GET", "/healthz", within=within)
            else:
                status = ask(port, "POST", CHECK, tool, secret=secret, within=within)
        except OSError as error:
            return repr(error)
        return "" if status == 200 else str(status)

    with ThreadPoolExecutor(6) as callers:
        return [wrong for wrong in callers.map(once, range(many)) if wrong]
