"""The whole product as `make up` runs it, on ports and a database of its own, for all the journeys."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from sandbox import seed
from sandbox.dialogue import World
from tests.places import ROOT, free_port

READY_WITHIN = 400.0  # longer than the product itself waits, so that the product says why


@dataclass(frozen=True, slots=True)
class Stack:
    web_url: str
    inbox_url: str
    flower_url: str
    database_url: str
    redis_url: str
    supervisor: subprocess.Popen[str]
    logs: Path

    @property
    def world(self) -> World:
        return World(self.web_url, self.inbox_url, str(seed.LONDON))

    def tool(self, path: str, **arguments: Any) -> tuple[dict[str, Any], float]:
        """One tool call in the quick reference's form; returns the answer and the seconds that it took."""
        body = json.dumps({"toolCall": {"arguments": arguments}}).encode()
        request = urllib.request.Request(
            f"{self.web_url}/api/vapi/tools/{path}", body, {"Content-Type": "application/json"}
        )
        begun = time.monotonic()
        with urllib.request.urlopen(request, timeout=120) as response:
            answer: dict[str, Any] = json.load(response)
        return answer, time.monotonic() - begun

    def inbox(self, number: str) -> list[str]:
        """The texts of the SMS to one number, newest first."""
        with urllib.request.urlopen(f"{self.inbox_url}/inbox.json", timeout=120) as response:
            return [message["body"] for message in json.load(response) if message["to"] == number]

    def processes(self, *words: str) -> list[psutil.Process]:
        """Our own processes whose command line contains all these words."""
        found = []
        for process in psutil.Process(self.supervisor.pid).children(recursive=True):
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if all(word in line for word in words):
                found.append(process)
        return found

    def server(self, *words: str) -> psutil.Process:
        """The oldest of these processes, because a fork of a server looks like it for a moment."""
        return min(self.processes(*words), key=lambda process: process.create_time())

    def row(self, query: str, *parameters: object) -> Any:
        with psycopg.connect(self.database_url, autocommit=True, options="-c app.scope=system") as connection:
            return connection.execute(query, parameters).fetchone()

    def forget_tries(self) -> None:
        """Forget failed sign-ins, so that the next one need not wait."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute("DELETE FROM sign_in_limits")


def eventually(true: Callable[[], Any], *, within: float = 180.0) -> Any:
    """Wait for the first true value of `true()` and return it; fails if none comes in time."""
    until = time.monotonic() + within
    while True:
        if value := true():
            return value
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="holdline-journey-"))
    folder.chmod(0o711)
    ports = {
        name: str(free_port()) for name in ("WEB_PORT", "INBOX_PORT", "FLOWER_PORT", "PG_PORT", "REDIS_PORT")
    }
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "up"],
        cwd=ROOT,
        env=clean | ports | {"HOLDLINE_DATA_DIR": str(folder), "STOP_WITH_PARENT": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield _when_ready(supervisor, ports, folder)
    finally:
        supervisor.send_signal(signal.SIGTERM)
        try:
            supervisor.wait(30)
        except subprocess.TimeoutExpired:
            supervisor.kill()
        if supervisor.stdout:
            supervisor.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


def _when_ready(supervisor: subprocess.Popen[str], ports: dict[str, str], folder: Path) -> Stack:
    said: dict[str, str] = {}
    assert supervisor.stdout is not None
    until = time.monotonic() + READY_WITHIN
    for line in supervisor.stdout:
        assert time.monotonic() < until, "it was not ready in time"
        word, _, rest = line.strip().partition(" ")
        said[word] = rest
        if word == "ready":
            return Stack(
                rest,
                f"http://127.0.0.1:{ports['INBOX_PORT']}",
                f"http://127.0.0.1:{ports['FLOWER_PORT']}",
                said["database"],
                said["redis"],
                supervisor,
                folder / "log",
            )
    raise AssertionError(f"it stopped before it was ready; its logs are in {folder}/log")
