"""`python -m sandbox up` as make starts it, where it cannot come up: a sentence, and soon."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.places import ROOT, free_port

#: A release, which imports the whole schema, takes longer; a server that answers nothing, far longer.
SOON = 30.0

KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
PORTS = ("WEB_PORT", "INBOX_PORT", "FLOWER_PORT", "PG_PORT", "REDIS_PORT")


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: its parent is closed to the account that Postgres runs as when we are root.
    path = Path(tempfile.mkdtemp(prefix="holdline-"))
    yield path
    shutil.rmtree(path)


def refused(folder: Path, **variables: str) -> list[str]:
    """What `up` says on standard error before it ends, which it does before the release step."""
    clean = {name: value for name, value in os.environ.items() if name in KEPT}
    ports = {name: str(free_port()) for name in PORTS}
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "up"],
        cwd=ROOT,
        env=clean | ports | {"HOLDLINE_DATA_DIR": str(folder)} | variables,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert done.returncode == 1
    assert "release" not in done.stdout
    assert "pa55word" not in done.stdout + done.stderr
    return done.stderr.splitlines()


def servers() -> dict[str, str]:
    """The tests' own, as servers that somebody else runs."""
    return {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}


def test_addresses_that_are_none_are_named_at_once(folder: Path) -> None:
    first, *lines = refused(folder, DATABASE_URL="foo", REDIS_URL="http://x", PUBLIC_BASE_URL="x/y")
    assert first.startswith("error: Holdline cannot start")
    assert [line.split(":")[0].strip() for line in lines] == ["DATABASE_URL", "REDIS_URL", "PUBLIC_BASE_URL"]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("DATABASE_URL", "postgresql://me:pa55word@127.0.0.1:1/x"),
        ("SYSTEM_DATABASE_URL", "postgres://me:pa55word@127.0.0.1:1/x"),
        ("REDIS_URL", "redis://:pa55word@127.0.0.1:1/0"),
    ],
)
def test_a_server_that_does_not_answer_is_named_by_its_variable(name: str, wrong: str, folder: Path) -> None:
    [line] = refused(folder, **servers() | {name: wrong})
    assert line.startswith(f"error: {name} ")
    assert "refused" in line


@pytest.mark.parametrize("name", ["PG_PORT", "REDIS_PORT"])
def test_a_port_that_kubernetes_set_for_a_service_is_ignored(name: str, folder: Path) -> None:
    """It gets as far as the server that does not answer, with the port that it would have without."""
    wrong = {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", name: "tcp://10.0.0.1:6379"}
    notice, line = refused(folder, **servers() | wrong)
    assert notice.startswith(f"{name} is ignored")
    assert line.startswith("error: DATABASE_URL ")


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_a_server_that_refuses_the_password_is_named_by_its_variable(name: str, folder: Path) -> None:
    before, _, host = os.environ[name].rpartition("@")
    [line] = refused(folder, **servers() | {name: f"{before.rpartition(':')[0]}:pa55word@{host}"})
    assert line.startswith(f"error: {name} ")
    assert "password" in line


def test_both_servers_are_named_where_neither_answers(folder: Path) -> None:
    wrong = {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}
    lines = refused(folder, **wrong)
    assert [line.removeprefix("error: ").split()[0] for line in lines] == list(wrong)


class NotReady(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b'{"redis": "no answer"}\n')

    def log_message(self, *_: object) -> None:
        pass


def test_what_the_web_says_of_itself_is_told_as_text() -> None:
    with HTTPServer(("127.0.0.1", 0), NotReady) as server:
        Thread(target=server.handle_request, daemon=True).start()
        # In a process of its own: it takes the terminal's signals for its own as it is imported.
        asks = f"from sandbox.__main__ import _readyz; print(_readyz({server.server_port}))"
        told = subprocess.run(
            [sys.executable, "-c", asks], cwd=ROOT, capture_output=True, text=True, timeout=SOON, check=True
        )
    assert told.stdout == '503: {"redis": "no answer"}\n'
