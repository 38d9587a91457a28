"""Which address a request is counted by, behind none, one and several proxies, whatever the headers say."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, Response, request

from tests.places import ROOT, free_port
from tests.said import said
from webapp import addresses
from webapp.proxies import BehindProxies

PEER = "10.0.0.9"


def seen(proxies: int, *headers: tuple[str, str], peer: str = PEER) -> tuple[str | None, str]:
    """The address and scheme that a page sees."""
    app = Flask(__name__)
    app.wsgi_app = BehindProxies(app.wsgi_app, proxies)  # type: ignore[method-assign]

    @app.get("/")
    def page() -> Response:
        return Response(f"{request.remote_addr} {request.scheme}")

    answer = app.test_client().get("/", headers=list(headers), environ_base={"REMOTE_ADDR": peer})
    assert answer.status_code == 200
    address, scheme = answer.text.split(" ")
    return address, scheme


def forwarded(proxies: int, *values: str) -> str | None:
    return seen(proxies, *(("X-Forwarded-For", value) for value in values))[0]


@pytest.mark.parametrize("value", ["192.0.2.1", "192.0.2.1, 192.0.2.2", "::1", "", "x"])
def test_behind_none_the_headers_count_for_nothing(value: str) -> None:
    assert forwarded(0, value) == PEER
    assert seen(0, ("X-Forwarded-For", value), ("X-Forwarded-Proto", "https")) == (PEER, "http")


@pytest.mark.parametrize(
    ("proxies", "value", "address"),
    [
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "203.0.113.5, 192.0.2.1", "192.0.2.1"),  # the first is what the client made up
        (2, "203.0.113.5, 192.0.2.1, 198.51.100.1", "192.0.2.1"),
        (3, "203.0.113.5, 192.0.2.1, 198.51.100.1", "203.0.113.5"),
        (3, "192.0.2.1, 198.51.100.1", "192.0.2.1"),  # it came past the outermost proxy
        (1, "192.0.2.1:54321", "192.0.2.1"),
        (1, "192.0.2.1:", "192.0.2.1"),
        (2, "203.0.113.5:1,192.0.2.1:54321,198.51.100.1:80", "192.0.2.1"),
        (1, "[2001:db8::1]:54321", "2001:db8::1"),
        (1, "[2001:db8::1]", "2001:db8::1"),
        (1, '"[2001:DB8::1]:54321"', "2001:db8::1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "fe80::1%eth0", "fe80::1"),
        (1, "::ffff:192.0.2.1", "192.0.2.1"),
        (1, "[::ffff:192.0.2.1]:443", "192.0.2.1"),
        (1, "  192.0.2.1  ", "192.0.2.1"),
        (1, "\t192.0.2.1\t", "192.0.2.1"),
        (1, "192.0.2.1, , ,", "192.0.2.1"),
        (1, "", PEER),
        (1, ", ,", PEER),
        (1, "unknown", PEER),
        (1, "192.0.2.1, unknown", PEER),  # never what the client wrote
        (2, "203.0.113.5, unknown, 198.51.100.1", "198.51.100.1"),
        (1, "192.0.2.999", PEER),
        (1, "192.0.2.1:port", PEER),
        (1, "[2001:db8::1", PEER),
        (1, "[]:80", PEER),
        (1, "_hidden", PEER),
        (1, "' OR 1=1 --", PEER),
        (1, "9" * 5000, PEER),
        (1, "1.1.1.1," * 2000 + "192.0.2.1", "192.0.2.1"),
    ],
)
def test_the_entry_of_the_outermost_proxy_of_ours(proxies: int, value: str, address: str) -> None:
    assert forwarded(proxies, value) == address


def test_several_headers_are_one_list() -> None:
    assert forwarded(1, "203.0.113.5", "192.0.2.1") == "192.0.2.1"
    assert forwarded(2, "203.0.113.5", "192.0.2.1, 198.51.100.1") == "192.0.2.1"


@pytest.mark.parametrize(
    ("proxies", "value", "scheme"),
    [
        (1, "https", "https"),
        (1, "HTTPS", "https"),
        (1, "http", "http"),
        (1, "http, https", "https"),
        (2, "https, http", "https"),
        (2, "https", "https"),
        (1, "", "http"),
        (1, "gopher", "http"),
        (1, "https://x", "http"),
    ],
)
def test_the_scheme(proxies: int, value: str, scheme: str) -> None:
    assert seen(proxies, ("X-Forwarded-Proto", value)) == (PEER, scheme)


@pytest.mark.parametrize(("proxies", "value"), [(0, "192.0.2.1"), (1, "unknown")])
def test_what_makes_everybody_one_address_is_said_and_said_once(
    proxies: int, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    behind = BehindProxies(lambda _environ, _start: [], proxies)
    with caplog.at_level(logging.WARNING, "webapp.proxies"):
        for _ in range(5):
            behind({"REMOTE_ADDR": PEER, "HTTP_X_FORWARDED_FOR": value}, lambda *_: lambda _: None)
    assert len(said(caplog, "webapp.proxies", logging.WARNING)) == 1
    assert value not in caplog.text


def test_an_address_is_one_address_however_it_is_written() -> None:
    assert {addresses.group(each) for each in ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1:80")} == {
        "192.0.2.1"
    }
    assert addresses.group("[2001:db8::1]:80") == addresses.group("2001:db8::2") == "2001:db8::/64"
    assert addresses.read("192.0.2.1/24") is None


# --- as it is served ----------------------------------------------------------------------------

_APP = """
from webapp.proxies import BehindProxies
from webapp.state import Application
def page(environ, start_response):
    start_response("200 OK", [])
    return [f"{environ['REMOTE_ADDR']} {environ['wsgi.url_scheme']}.".encode()]
app = Application(__name__)
app.wsgi_app = BehindProxies(page, %d)
"""


@contextmanager
def served(folder: Any, proxies: int) -> Iterator[int]:
    """The web server with our own configuration before a page that says what it sees; its port."""
    (folder / "shown.py").write_text(_APP % proxies)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "-w", "1"]
    running = subprocess.Popen(
        [*command, "-b", f"127.0.0.1:{port}", "--pythonpath", f"{folder},{ROOT}", "shown:app"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        for line in running.stderr:
            if "Booting worker" in line:
                break
        yield port
    finally:
        running.terminate()
        running.communicate(timeout=300)


def raw(port: int, *headers: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        lines = ["GET / HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return answer.partition(b"\r\n\r\n")[2].decode()


def test_the_web_server_itself_believes_no_header(tmp_path: Any) -> None:
    """Its own default is to take the scheme from whoever connects from this machine."""
    lies = (
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Ssl: on",
        "Script-Name: /x",
    )
    with served(tmp_path, 0) as port:
        assert "127.0.0.1 http." in raw(port, *lies)


def test_several_headers_reach_us_from_the_web_server(tmp_path: Any) -> None:
    with served(tmp_path, 2) as port:
        several = ("X-Forwarded-For: 203.0.113.5", "X-Forwarded-For: [2001:db8::1]:80, 198.51.100.1:80")
        assert "2001:db8::1 https." in raw(port, *several, "X-Forwarded-Proto: https, http")
        assert "127.0.0.1 http." in raw(port, "X_Forwarded_For: 192.0.2.1")
