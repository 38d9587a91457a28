"""The web as gunicorn serves it: what platforms set by themselves, and a release under load."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.places import ROOT, free_port
from tests.stack import eventually

WEB = (sys.executable, "-m", "gunicorn", "wsgi:app")


@dataclass(frozen=True)
class Web:
    port: int
    log: Path
    master: psutil.Popen

    def get(self, path: str = "/healthz") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status

    def answers(self) -> bool:
        assert self.master.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            return self.get() == 200
        return False

    def terminate(self) -> None:
        """SIGTERM to every process, as Heroku sends it."""
        for process in [self.master, *self.master.children()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def serving(folder: Path, port: int, **variables: str) -> Iterator[Web]:
    log = folder / f"web-{len(list(folder.iterdir()))}.log"
    settings = {"HOST": "127.0.0.1", "PORT": str(port)} | variables
    with log.open("w") as said:
        master = psutil.Popen(WEB, cwd=ROOT, env=os.environ | settings, stdout=said, stderr=said)
    try:
        yield Web(port, log, master)
    finally:
        family = [master, *master.children(recursive=True)] if master.poll() is None else []
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        master.wait(30)


# --- a release under load -----------------------------------------------------------------------


@dataclass
class Callers:
    """Threads that ask and ask again, each on connections of its own."""

    port: int
    answered: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    _enough: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._call, args=(kept,)) for kept in (False, True) * 4]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._enough.set()
            for thread in threads:
                thread.join(60)

    def _call(self, kept: bool) -> None:  # noqa: FBT001 (the argument of a thread)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._enough.is_set():
            try:
                if connection.sock is None:
                    connection.connect()
            except ConnectionRefusedError:
                connection.close()  # nobody listens, so it was never accepted
                self._enough.wait(0.01)
                continue
            except OSError as error:
                self.broken.append(f"connecting {error!r}")
                connection.close()
                continue
            try:
                n = (
                    n + 1
                    if connection.sock and hasattr(connection, "_was") and connection._was is connection.sock
                    else 0
                )
                connection._was = connection.sock
                connection.request("POST", "/api/vapi/tools/calendar/check", "{}")
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.broken.append(f"{'kept' if kept else 'new'} {error!r}")
                connection.close()
                continue
            self.answered[str(answer.status)] += 1
            if not kept:
                connection.close()
        connection.close()


def half_a_request(port: int) -> socket.socket:
    """A connection that has sent the half of a request."""
    caller = socket.create_connection(("127.0.0.1", port), timeout=30)
    caller.sendall(b"POST /api/vapi/tools/calendar/check HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
    return caller


@pytest.mark.parametrize("reuse_port", [True, False])
def test_a_release_resets_no_request(tmp_path: Path, reuse_port: bool) -> None:  # noqa: FBT001 (a parameter)
    port = free_port()
    how = {"GUNICORN_CMD_ARGS": "--reuse-port"} if reuse_port else {}
    callers = Callers(port)
    with serving(tmp_path, port, **how) as old, contextlib.ExitStack() as stack:
        eventually(old.answers)
        with callers.calling():
            eventually(lambda: callers.answered.total() > 300)
            under_way = half_a_request(port)
            silent = socket.create_connection(("127.0.0.1", port), timeout=30)
            old.terminate()
            new = stack.enter_context(serving(tmp_path, port, **how))
            under_way.sendall(b"}")
            silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert under_way.recv(12).endswith(b" 200")
            assert silent.recv(12).endswith(b" 200")
            under_way.close()
            silent.close()
            old.master.wait(60)
            before = callers.answered.total()
            eventually(lambda: new.answers() and callers.answered.total() > before + 300)
    assert callers.broken == []
