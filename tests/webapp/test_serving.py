"""The web as gunicorn serves it: what platforms set by themselves, and a release under load."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from gunicorn.config import Config
from sqlalchemy import make_url

import settings
from runtime import logs
from tests.factories import create_clinic
from tests.places import ROOT, free_port
from tests.processes import CELERY
from tests.stack import eventually

LOGIN = "ops:a-Password-7391"
WEB = (sys.executable, "-m", "gunicorn", "wsgi:app")


def asked(port: int, path: str, host: str = "127.0.0.1") -> int:
    """The status of the answer; 0 if nobody answers."""
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=300)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0


@dataclass(frozen=True)
class Web:
    port: int
    log: Path
    master: psutil.Popen

    def get(self, path: str) -> int:
        return asked(self.port, path)

    def answers(self, host: str = "127.0.0.1") -> bool:
        assert self.master.poll() is None, self.log.read_text()
        return asked(self.port, "/healthz", host) == 200

    def terminate(self) -> None:
        """SIGTERM to every process, as Heroku sends it."""
        for process in [self.master, *self.master.children()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def serving(folder: Path, port: int, **variables: str) -> Iterator[Web]:
    """The web on this port, until the block ends; `variables` of its environment. Its log is in `folder`.

    A clinic may ask as often as it likes: a web process may serve all tests of a module, and they share what
    the limit of a credential allows.
    """
    log = folder / f"web-{len(list(folder.iterdir()))}.log"
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "RATE_PER_CREDENTIAL": "0"} | variables
    with log.open("w") as said:
        master = psutil.Popen(WEB, cwd=ROOT, env=os.environ | settings, stdout=said, stderr=said)
    try:
        yield Web(port, log, master)
    finally:
        family = [master, *master.children(recursive=True)] if master.poll() is None else []
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        master.wait(300)


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
                thread.join(300)

    def _call(self, kept: bool) -> None:  # noqa: FBT001 (the argument of a thread)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
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
    caller = socket.create_connection(("127.0.0.1", port), timeout=300)
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
            silent = socket.create_connection(("127.0.0.1", port), timeout=300)
            old.terminate()
            new = stack.enter_context(serving(tmp_path, port, **how))
            under_way.sendall(b"}")
            silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert under_way.recv(12).endswith(b" 200")
            assert silent.recv(12).endswith(b" 200")
            under_way.close()
            silent.close()
            old.master.wait(300)
            before = callers.answered.total()
            eventually(lambda: new.answers() and callers.answered.total() > before + 300)
    assert callers.broken == []


def test_a_process_that_is_told_to_stop_goes_on_accepting_for_a_while(tmp_path: Path) -> None:
    """For a moment after SIGTERM platforms go on routing to it. Each answer sends its caller elsewhere."""
    kept: list[str | None] = []
    with serving(tmp_path, free_port(), WEB_PROCESSES="1") as web:
        eventually(web.answers)
        web.terminate()
        told = last = time.monotonic()
        while web.master.poll() is None:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=300)) as caller:
                try:
                    caller.request("GET", "/healthz")
                    answer = caller.getresponse()
                except ConnectionRefusedError:
                    continue
            last = time.monotonic()
            kept.append(answer.headers["Connection"])
    assert last - told > 1
    assert set(kept[1:]) == {"close"}  # the first may have been under way


# --- what platforms set by themselves -----------------------------------------------------------


def connections_to(database_url: str, web: Web) -> int:
    """How many the processes of this web have; others in the same database are not counted."""
    port = make_url(database_url).port
    return sum(
        bool(each.raddr) and each.raddr.port == port
        for process in (web.master, *web.master.children())
        for each in process.net_connections()
    )


def test_what_platforms_set_stops_nothing_and_costs_no_more(tmp_path: Path, database_url: str) -> None:
    """Heroku's WEB_CONCURRENCY and its access log, conda's HOST, the addresses that Kubernetes sets."""
    clinic = create_clinic()
    variables = {
        "WEB_CONCURRENCY": "17",
        "HOST": "x86_64-conda-linux-gnu",
        "GUNICORN_CMD_ARGS": "--access-logfile - --workers 5 --threads 99",
        "FLOWER_PORT": "tcp://10.0.0.1:5555",
        "WEB_THREADS": "",
    }
    body = json.dumps({"toolCall": {"arguments": {"tenantId": clinic, "date": "tomorrow"}}})

    def check() -> dict[str, Any]:
        """The answer; whoever is told "one moment please", as a busy machine says it, asks again."""
        while True:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=300)) as caller:
                caller.request("POST", "/api/vapi/tools/calendar/check", body)
                answer: dict[str, Any] = json.loads(caller.getresponse().read())
            if answer.get("code") != "busy":
                return answer

    with serving(tmp_path, free_port(), **variables) as web:
        eventually(web.answers)
        assert len(web.master.children()) == 4
        assert web.get("/a/the-secret-of-a-link") == 404
        with ThreadPoolExecutor(30) as many:
            answers = list(many.map(lambda _: check(), range(256)))
        assert [answer for answer in answers if not answer["success"]] == []
        assert 0 < connections_to(database_url, web) <= 10
        log = web.log.read_text()
        # Whoever reloads gunicorn gets no more of them either.
        begun = set(web.master.children())
        web.master.send_signal(signal.SIGHUP)
        eventually(lambda: begun.isdisjoint(now := web.master.children()) and len(now) == 4)
        again = web.log.read_text().removeprefix(log)
    assert "the-secret-of-a-link" not in log
    for notice in (
        "WEB_CONCURRENCY is 17, and 4 is used",
        "HOST is ignored",
        "4 web processes start and not 5",
    ):
        assert log.count(notice) == 1
        assert again.count(notice) == 1


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_of_processes_and_threads_there_are_never_more_than_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """Whatever the command line asks for; it may ask for fewer."""
    monkeypatch.setattr(logs, "configure", lambda: None)  # this process keeps its log as it is
    gunicorn = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    workers, threads = gunicorn["workers"], gunicorn["threads"]
    assert (workers, threads) == (settings.get().web_processes, settings.get().threads_of_web)
    config = Config()
    config.set("threads", threads + more)
    server = SimpleNamespace(num_workers=workers + more, cfg=config)
    gunicorn["on_starting"](server)
    assert (server.num_workers, config.threads) == (workers + min(more, 0), threads + min(more, 0))


@pytest.mark.parametrize("asked", ["", "auto"])
def test_the_web_of_the_procfile_starts_whatever_number_is_asked_for(asked: str) -> None:
    """Gunicorn itself reads WEB_CONCURRENCY, before it reads anything of ours."""
    [line] = [line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web: ")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["/bin/sh", "-c", f"{line.removeprefix('web: ')} --check-config"],
        cwd=ROOT,
        env=os.environ | {"PATH": path, "WEB_CONCURRENCY": asked},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("host", ["::1", "127.0.0.1", "localhost"])
def test_an_address_is_listened_on(tmp_path: Path, host: str) -> None:
    with serving(tmp_path, free_port(), HOST=host) as web:
        eventually(lambda: web.answers(host))


def test_a_port_that_is_none_is_refused_in_a_sentence() -> None:
    done = subprocess.run(
        WEB,
        cwd=ROOT,
        env=os.environ | {"PORT": "soon"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "  PORT: " in done.stderr


@pytest.mark.parametrize(
    ("variables", "port"),
    [
        ({"FLOWER_PORT": "tcp://10.0.0.1:5555", "FLOWER_SERVICE_HOST": "10.0.0.1"}, "PORT"),
        ({"FLOWER_PORT": ""}, "PORT"),
        ({"HOST": "x86_64-conda-linux-gnu"}, "PORT"),
        ({}, "FLOWER_PORT"),
    ],
)
def test_flower_starts_with_what_platforms_set(tmp_path: Path, variables: dict[str, str], port: str) -> None:
    number = free_port()
    [line] = [line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("flower:")]
    settings = {
        "HOST": "127.0.0.1",
        port: str(number),
        "FLOWER_BASIC_AUTH": LOGIN,
    } | variables
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    log = tmp_path / "flower.log"
    with log.open("w") as said:
        command = ["/bin/sh", "-c", line.removeprefix("flower: ")]
        flower = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"PATH": path} | settings, stdout=said, stderr=said
        )
    try:
        eventually(lambda: flower.poll() is not None or asked(number, "/metrics") == 401)
        assert flower.poll() is None, log.read_text()
    finally:
        flower.terminate()
        flower.wait(300)


@pytest.mark.parametrize(("name", "value"), [("FLOWER_MAX_TASKS", "many"), ("FLOWER_DEBUG", "perhaps")])
def test_what_flower_cannot_use_is_said_in_a_sentence(name: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks.flower", "flower"],
        cwd=ROOT,
        env=os.environ | {"FLOWER_BASIC_AUTH": LOGIN, name: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Flower cannot start" in done.stderr


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "BROKER_URL", "CELERY_BROKER_WRITE_URL"])
def test_no_variable_of_celerys_leads_to_another_broker(name: str) -> None:
    """Of all that celery's own command reads, none makes a worker listen where the web does not publish."""
    elsewhere = f"redis://127.0.0.1:{free_port()}/0"
    done = subprocess.run(
        [*CELERY, "inspect", "ping", "-d", "nobody@here", "-t", "0.1"],
        cwd=ROOT,
        env=os.environ | {name: elsewhere},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "No nodes replied" in done.stdout + done.stderr
