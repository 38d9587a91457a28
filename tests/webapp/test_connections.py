"""How many connections there may be, which of them makes way, and how long each may take."""

from __future__ import annotations

import contextlib
import json
import socket
import time

import psutil
import pytest

from bench.slow import CHECK
from tests.factories import create_clinic
from tests.slow import ask
from tests.stack import eventually
from tests.webapp.agents.vapi.signing import make_secret
from tests.webapp.wire import TOOL, Client, head, one_process, whole


@pytest.fixture(scope="module")
def secret() -> str:
    return make_secret(create_clinic())


def test_of_one_address_the_oldest_makes_way(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    with one_process(tmp_path_factory, CONNECTIONS_PER_ADDRESS="8") as web, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(web, head(9, ""), b"{")) for _ in range(9)]
        status, _, body = clients[0].answer()
        assert (status, json.loads(body)["code"]) == (429, "rate_limited")
        for client in clients[1:]:  # and no other did
            client.send(" " * 8)
            assert client.status == 401
        assert ask(web.port, "POST", CHECK, TOOL, secret=secret, within=60) == 200


def test_behind_a_proxy_an_address_is_the_forwarded_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The proxy's own is everybody's: it may have any number of connections."""
    limits = {"PROXIES": "1", "CONNECTIONS_PER_ADDRESS": "8"}
    with one_process(tmp_path_factory, **limits) as web, contextlib.ExitStack() as stack:

        def behind(address: str) -> Client:
            start = head(9, "", f"X-Forwarded-For: 203.0.113.99, {address}")
            return stack.enter_context(Client(web, start, b"{"))

        others = [behind(f"198.51.100.{number}") for number in range(20)]
        bare = [stack.enter_context(Client(web)) for _ in range(20)]
        of_one = [behind(f"[2001:db8::{number:x}]:{4000 + number}") for number in range(9)]
        assert of_one[0].status == 429
        for client in [*others, *of_one[1:]]:
            client.send(b" " * 8)
            assert client.status == 401
        for client in bare:
            client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.status == 200


def test_a_proxy_may_keep_its_connections(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What it keeps for its next client belongs to nobody, whoever asked last on it."""
    limits = {"PROXIES": "1", "CONNECTIONS_PER_ADDRESS": "2"}
    get = "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {}\r\n\r\n"
    with one_process(tmp_path_factory, **limits) as web, contextlib.ExitStack() as stack:
        kept = [stack.enter_context(Client(web)) for _ in range(20)]
        for address in ("198.51.100.7", "198.51.100.7, 198.51.100.8"):
            for client in kept:
                client.send(get.format(address))
                assert client.status == 200


def test_of_one_credential_the_oldest_makes_way(
    tmp_path_factory: pytest.TempPathFactory, secret: str
) -> None:
    other = make_secret(create_clinic())
    with one_process(tmp_path_factory, REQUESTS_PER_CREDENTIAL="4") as web, contextlib.ExitStack() as stack:
        neighbour = stack.enter_context(Client(web, whole(other)[:-1]))
        clients = [stack.enter_context(Client(web, whole(secret)[:-1])) for _ in range(5)]
        status, start, body = clients[0].answer()
        assert (status, json.loads(body)["code"]) == (429, "rate_limited")
        assert "retry-after: 1" in start.lower()
        for client in (*clients[1:], neighbour):
            client.send(TOOL[-1:])
            assert client.status == 200


def test_of_all_the_oldest_makes_way(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    limits = {"GUNICORN_CMD_ARGS": "--worker-connections 24"}
    with one_process(tmp_path_factory, **limits) as web, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(web, head(9, ""), b"{")) for _ in range(60)]
        status, _, body = clients[0].answer()
        assert (status, json.loads(body)["code"]) == (503, "busy")
        assert ask(web.port, "POST", CHECK, TOOL, secret=secret, within=60) == 200


def test_nobody_takes_for_ever(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    """CLIENT_GRACE for a head and, at first, for a body; three times that to read what was answered."""
    pages = b"GET /static/vendor/htmx.min.js HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    with one_process(tmp_path_factory, CLIENT_GRACE="2") as web, contextlib.ExitStack() as stack:
        unread = socket.socket()
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stack.enter_context(unread)
        unread.connect(("127.0.0.1", web.port))
        unread.sendall(pages)
        silent, half, body, kept = (
            stack.enter_context(Client(web, first))
            for first in (b"", b"POST ", whole(secret)[:-1], b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        )
        begun = time.monotonic()
        assert kept.status == 200
        assert kept.is_closed()
        for client in (half, body):
            status, start, said = client.answer()
            assert (status, json.loads(said)["code"]) == (408, "request_too_slow")
            assert "connection: close" in start.lower()
        assert silent.is_closed()
        assert time.monotonic() - begun > 1.5
        [worker] = web.master.children()
        mine = unread.getsockname()[1]
        eventually(lambda: mine not in {each.raddr.port for each in worker.net_connections() if each.raddr})
    log = eventually(lambda: "did not read its answer" in (said := web.log.read_text()) and said)
    for reason in ("sent nothing", "sent no whole head in time", "sent its body too slowly"):
        assert f"each because it {reason}: " in log


def at_rest(worker: psutil.Process) -> bool:
    """Whether it does next to nothing for a while."""
    return bool(worker.cpu_percent(0.5) < 5)


def test_a_page_that_is_not_read_has_no_thread(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    pages = (
        b"GET /static/vendor/htmx.min.js HTTP/1.1\r\nHost: x\r\n\r\n" * 300
    )  # 11 MB: more than a kernel keeps
    with one_process(tmp_path_factory, WEB_THREADS="2") as web, contextlib.ExitStack() as stack:
        for _ in range(12):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", web.port))
            client.sendall(pages)
        [worker] = web.master.children()
        eventually(lambda: at_rest(worker))  # it has answered as many as anybody takes
        for _ in range(10):
            assert ask(web.port, "POST", CHECK, TOOL, secret=secret, within=5) == 200
