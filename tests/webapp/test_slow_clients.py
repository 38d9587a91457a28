"""A client that is slow has no thread of the web: with 500 of each kind everybody else is answered."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from pathlib import Path

import gunicorn
import pytest
from flask import Flask
from gunicorn.http.message import Request
from gunicorn.workers.gthread import TConn, ThreadWorker

from bench.slow import kinds
from tests.factories import create_clinic
from tests.places import ROOT, free_port
from tests.slow import honest
from tests.stack import eventually
from tests.webapp.agents.vapi.signing import make_secret
from tests.webapp.staff.browsers import employ
from tests.webapp.test_serving import Web, serving
from webserver.waiting import WaitingRoom
from webserver.worker import PatientWorker

MANY = 500
THREADS = 64  # as in production: a clinic beside another that takes its whole share has a quarter of them

#: Seconds, for any one answer: an honest caller waits milliseconds here. Gunicorn's own worker, whose threads
#: all belong to the slow, answers after many times that, or never.
WITHIN = 20.0


@pytest.fixture(scope="module")
def cookie(app: Flask) -> str:
    """Somebody's who is signed in, as a browser sends it."""
    person = employ(app, create_clinic())
    assert person.sign_in().status_code == 303
    environ = person.client.get("/dashboard/live").request.environ
    assert environ["HTTP_COOKIE"]
    return str(environ["HTTP_COOKIE"])


@pytest.fixture(scope="module")
def secret() -> str:
    return make_secret(create_clinic())


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with serving(tmp_path_factory.mktemp("web"), free_port(), WEB_THREADS=str(THREADS)) as served:
        eventually(served.answers)
        yield served


def threads(web: Web) -> int:
    return max(int(each.num_threads()) for each in web.master.children())


@pytest.mark.parametrize("kind", kinds(""))
def test_everybody_is_answered_while_five_hundred_are_slow(
    web: Web, cookie: str, secret: str, kind: str
) -> None:
    begun = time.monotonic()
    assert honest(web.port, secret, 60, within=WITHIN) == []
    alone = time.monotonic() - begun
    with kinds(cookie)[kind](web.port, MANY).standing():
        begun = time.monotonic()
        assert honest(web.port, secret, 60, within=WITHIN) == []
        assert time.monotonic() - begun < 10 + 10 * alone  # gunicorn's own worker: 49 s, where alone is 0.3
        assert (
            threads(web) <= THREADS + 4
        )  # the event loop, who looks for the streams, who writes what was counted


def test_gunicorn_has_what_the_worker_leans_on() -> None:
    """With another version of gunicorn these names may mean something else: look before raising it."""
    assert f'"gunicorn=={gunicorn.__version__}"' in (ROOT / "pyproject.toml").read_text()
    replaced = {
        name: value
        for name, value in [*vars(WaitingRoom).items(), *vars(PatientWorker).items()]
        if inspect.isfunction(value) and hasattr(ThreadWorker, name)
    }
    assert set(replaced) == {
        "__init__",
        "init_process",
        "load_wsgi",
        "accept",
        "finish_request",
        "murder_pending",
        "murder_keepalived",
        "_cap_keepalive",
    }
    for name in set(replaced) - {"__init__"}:
        theirs = inspect.signature(getattr(ThreadWorker, name)).parameters
        assert list(inspect.signature(getattr(PatientWorker, name)).parameters) == list(theirs), name
    # A thread takes the request off the connection's parser, and reads nothing first if it is initialized.
    handle = inspect.getsource(ThreadWorker.handle)
    assert "next(conn.parser)" in handle
    assert "if not conn.initialized and not conn.data_ready:" in handle
    assert "if self.initialized:" in inspect.getsource(TConn.init)
    assert "conn.parser.finish_body(deadline=" in inspect.getsource(ThreadWorker._keepalive_after)
    assert "self.murder_pending()" in inspect.getsource(ThreadWorker.run)
    assert "_expected_100_continue" in inspect.getsource(Request.__mro__[1])
    assert list(inspect.signature(Request).parameters) == ["cfg", "unreader", "peer_addr", "req_number"]


def test_who_was_turned_away_is_told_in_few_lines(tmp_path: Path, secret: str) -> None:
    with serving(tmp_path, free_port(), WEB_CONCURRENCY="1", CONNECTIONS_PER_ADDRESS="20") as web:
        eventually(web.answers)
        with kinds("")["half heads, made anew"](web.port, 200).standing():
            assert honest(web.port, secret, 20, within=WITHIN) == []
        log = eventually(lambda: (said := web.log.read_text()).count("too many of one address") and said)
    assert log.count("too many of one address") <= 5
