"""Requests whose end can be read in two ways: each is refused, and nothing after it is taken for another."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bench.slow import CHECK
from tests.factories import create_clinic
from tests.webapp.agents.vapi.signing import make_secret
from tests.webapp.test_serving import Web
from tests.webapp.wire import TOOL, Client, one_process, whole

START = f"POST {CHECK} HTTP/1.1\r\nHost: x\r\n"
CHUNKED = f"{START}Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with one_process(tmp_path_factory) as served:
        yield served


HEADS = {
    "both lengths": "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 0\r\nContent-Length: 2\r\n\r\n",
    "two equal lengths": "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": "Content-Length: 0, 0\r\n\r\n",
    "a negative length": "Content-Length: -1\r\n\r\n",
    "a length with a sign": "Content-Length: +0\r\n\r\n",
    "a length in hexadecimal": "Content-Length: 0x0\r\n\r\n",
    "a length with an underscore": "Content-Length: 0_0\r\n\r\n",
    "a length in other digits": "Content-Length: \xb2\r\n\r\n",
    "an empty length": "Content-Length: \r\n\r\n",
    "chunked twice": "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked, and then something": "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "something like chunked": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding without a length": "Transfer-Encoding: gzip\r\n\r\n",
    "a space before the colon": "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a tab in the name": "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a folded line at the start": " X: y\r\n\r\n",
    "a bare LF between headers": "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare CR in a header": "X: y\rContent-Length: 9\r\n\r\n",
    "a NUL in a header": "X: y\0z\r\n\r\n",
    "a header without a name": ": y\r\n\r\n",
    "a header without a colon": "nonsense\r\n\r\n",
    "two hosts": "Host: y\r\n\r\n",
    "more headers than there may be": "X: y\r\n" * 101 + "\r\n",
    "a header longer than it may be": f"X: {'y' * 8200}\r\n\r\n",
    "another expectation": "Expect: 200-ok\r\n\r\n",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_a_head_that_can_be_read_in_two_ways(web: Web, head: str) -> None:
    with Client(web, (START + head + SMUGGLED).encode("latin-1")) as client:
        status, _, _ = client.answer()
        assert status in (400, 417, 431, 501)
        assert client.is_closed()


BODIES = {
    "a size with a sign": "+0\r\n\r\n",
    "a negative size": "-1\r\n",
    "a size in another writing": "0x0\r\n\r\n",
    "a size with an underscore": "0_0\r\n\r\n",
    "a space before the size": " 0\r\n\r\n",
    "a space after the size": "0 \r\n\r\n",
    "no size": "\r\n\r\n",
    "a size beyond all bounds": "F" * 17 + "\r\n",
    "a bare LF after the size": "0\n\r\n",
    "a bare CR after the size": "0\r\r\n\r\n",
    "a bare LF in an extension": "0;a=b\nc\r\n\r\n",
    "an extension without a semicolon": "0 a=b\r\n\r\n",
    "a huge extension": f"0;{'x' * 1000}\r\n\r\n",
    "a bare LF after a chunk": "1\r\n{\n0\r\n\r\n",
    "more than the chunk says": "1\r\n{}\r\n0\r\n\r\n",
    "a bare LF in a trailer": "0\r\nX: y\n\nGET /healthz HTTP/1.1\r\n\r\n",
    "a trailer that is none": "0\r\nGET /healthz HTTP/1.1\r\n\r\n",
    "a folded trailer": "0\r\nX: y\r\n z\r\n\r\n",
    "endless trailers": "0\r\n" + "X: y\r\n" * 3000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_chunks_that_can_be_read_in_two_ways(web: Web, body: str) -> None:
    with Client(web, CHUNKED + body + SMUGGLED) as client:
        status, _, said = client.answer()
        assert (status, json.loads(said)["code"]) == (400, "unreadable_request")
        assert client.is_closed()


def test_a_body_is_never_taken_for_a_request(web: Web) -> None:
    """Its first bytes look like one, and its sender is refused before they are read."""
    secret = make_secret(create_clinic())
    length = f"{START}Content-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}"
    chunks = f"{CHUNKED}{len(SMUGGLED):x}\r\n{SMUGGLED}\r\n0\r\n\r\n"
    for refused in (length, chunks):
        with Client(web, refused + whole(secret)) as client:
            assert [client.status, client.status] == [401, 200]
    with Client(web, f"{START}Content-Length: 4000000\r\n\r\n{SMUGGLED}") as client:
        assert client.status == 401
        assert client.is_closed()


def test_an_old_client_is_told_nothing_between(web: Web) -> None:
    """RFC 9110, 10.1.1: HTTP/1.0 knows no 100."""
    secret = make_secret(create_clinic())
    start = f"POST {CHECK} HTTP/1.0\r\nAuthorization: Bearer {secret}\r\nExpect: 100-continue\r\n"
    with Client(web, f"{start}Content-Length: {len(TOOL)}\r\n\r\n") as client:
        client.send(TOOL)
        assert client.status == 200
        assert client.is_closed()


def test_nobody_is_told_to_go_on_who_is_refused(web: Web) -> None:
    with Client(web, f"{START}Expect: 100-continue\r\nContent-Length: 4000000\r\n\r\n") as client:
        assert client.status == 401
    secret = make_secret(create_clinic())
    once = whole(secret).replace("\r\n", "\r\nExpect: 100-continue\r\n", 1)
    with Client(web, once) as client:  # its body is there already
        assert client.status == 200
