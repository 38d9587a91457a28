"""Flower shows every worker without a refresh, in whatever order the lines of the Procfile start."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from celeryconfig import Queue
from tests.places import free_port
from tests.processes import running
from tests.stack import eventually


class Page:
    def __init__(self) -> None:
        self.port = free_port()

    def get(self, path: str) -> requests.Response | None:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}{path}", auth=("holdline", "guess"), timeout=60)
        except requests.ConnectionError:
            return None  # it is still starting

    def shows(self, path: str, what: str) -> bool:
        answer = self.get(path)
        return answer is not None and what in answer.text

    def has(self, path: str) -> bool:
        answer = self.get(path)
        return answer is not None and answer.status_code == 200

    def workers(self) -> dict[str, Any]:
        answer = self.get("/api/workers")
        return {} if answer is None else dict(answer.json())

    def queues(self) -> set[str]:
        answer = self.get("/api/queues/length")
        return set() if answer is None else {row["name"] for row in answer.json()["active_queues"]}


def says(log: Path, what: str) -> bool:
    return what in log.read_text()


@pytest.mark.parametrize(
    "order",
    [
        ("flower", "worker_otp", "worker"),
        ("worker_otp", "flower", "worker"),
        ("worker", "worker_otp", "flower"),
    ],
)
def test_every_worker_is_shown_whatever_starts_first(order: tuple[str, ...], tmp_path: Path) -> None:
    page = Page()
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as broker:
        broker.delete(*(queue.value for queue in Queue))
    with ExitStack() as stack:
        for name in order:
            env = {"FLOWER_BASIC_AUTH": "holdline:guess", "FLOWER_PORT": str(page.port), "HOST": "127.0.0.1"}
            stack.enter_context(running(name, tmp_path / f"{name}.log", **env))
            if name == "flower":
                eventually(lambda: page.get("/api/workers"), within=300)
            else:  # it has asked the workers before it, and only then the next one starts
                eventually(partial(says, tmp_path / f"{name}.log", " ready."), within=300)
        eventually(lambda: len(page.workers()) == 2, within=300)
        eventually(lambda: page.queues() == {queue.value for queue in Queue}, within=300)
        for name in page.workers():
            eventually(partial(page.shows, "/", name), within=300)
            eventually(partial(page.has, f"/worker/{name}"), within=300)
