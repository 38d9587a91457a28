"""How a request gets to a thread of the web, in whatever pieces it comes, and what is told to others."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import socket
import time
import uuid
from collections.abc import Iterator

import psutil
import pytest

from bench.slow import CHECK, HEAD
from tests.factories import create_clinic
from tests.slow import ask
from tests.webapp.agents.vapi.signing import Key, make_key, make_secret
from tests.webapp.test_serving import Web
from tests.webapp.wire import TOOL, Client, head, one_process, whole

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def secret() -> str:
    return make_secret(create_clinic())


@pytest.fixture(scope="module")
def key() -> Key:
    return make_key()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with one_process(tmp_path_factory) as served:
        yield served


@pytest.fixture
def empty_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A process of one test: what others have left half sent still takes room in a shared one for a while."""
    with one_process(tmp_path_factory) as served:
        yield served


def in_chunks(secret: str, body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x;part=1\r\n%s\r\n" % (len(part), part) for part in parts)
    start = f"{HEAD}Authorization: Bearer {secret}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return start + framed + b"0\r\nX-Trailer: read over\r\n\r\n"


def event(size: int) -> bytes:
    """A report that its end alone can be made out of, of so many bytes."""
    call = {"id": str(uuid.uuid4()), "type": "inboundPhoneCall"}
    start = json.dumps({"message": {"type": "status-update", "status": "in-progress", "call": call}})
    return start.encode() + b" " * (size - len(start))


# --- in whatever pieces it comes


def test_byte_by_byte(web: Web, secret: str) -> None:
    with Client(web, *(bytes([each]) for each in whole(secret).encode())) as client:
        assert client.status == 200


def test_many_in_one_packet_and_the_next_on_the_same_connection(web: Web, secret: str) -> None:
    get = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with Client(
        web, whole(secret) + get + in_chunks(secret, TOOL.encode(), 7).decode() + whole(secret)[:-5]
    ) as client:
        assert [client.status for _ in range(3)] == [200, 200, 200]
        client.send(TOOL[-5:])
        assert client.status == 200
        client.send(get)
        assert client.status == 200


@pytest.mark.parametrize("size", [1, 13, 4096])
def test_chunks_of_any_size_in_any_packets(web: Web, secret: str, size: int) -> None:
    sent = in_chunks(secret, TOOL.encode(), size)
    for step in (1, 3, len(sent)):
        with Client(web, *(sent[at : at + step] for at in range(0, len(sent), step))) as client:
            assert client.status == 200


@pytest.mark.parametrize(
    "chunks",
    [
        b"x\r\n",
        b"-1\r\n",
        b"1\r\nabc",
        b"\r\n",
        b"1" * 400,
        b"0\r\n" + b"x: y\r\n" * 3000,
        b"1\r\n{\r\n" * 9000,
    ],
    ids=[
        "no number",
        "negative",
        "longer than it says",
        "none",
        "endless size",
        "endless trailers",
        "crumbs",
    ],
)
def test_chunks_that_cannot_be_read_are_refused(web: Web, secret: str, chunks: bytes) -> None:
    start = f"{HEAD}Authorization: Bearer {secret}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with Client(web, start + chunks) as client:
        status, _, body = client.answer()
        assert (status, json.loads(body)["code"]) == (400, "unreadable_request")


@pytest.mark.parametrize(
    "start",
    [
        "GET / HTTP/1.1\nHost: x\n\n",
        "nonsense\r\n\r\n",
        f"{HEAD}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        f"{HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        f"{HEAD}Content-Length: -1\r\n\r\n",
        f"{HEAD}Content-Length: {'9' * 5000}\r\n\r\n",
    ],
)
def test_heads_that_are_none_are_refused_at_once(web: Web, start: str) -> None:
    with Client(web, start) as client:
        assert client.status == 400


def test_an_endless_head_is_refused(web: Web) -> None:
    with Client(web, "GET / HTTP/1.1\r\n" + "X-Y: z\r\n" * 9000) as client:
        assert client.status == 431


def test_whoever_asks_whether_to_go_on_is_told(web: Web, secret: str) -> None:
    with Client(web, head(len(TOOL), secret, "Expect: 100-continue")) as client:
        assert client.status == 100
        client.send(TOOL)
        assert client.status == 200


def test_a_body_that_is_cut_off_is_answered(web: Web, secret: str) -> None:
    body = event(500)
    with Client(web, head(len(body), secret, path="/api/vapi/webhook"), body[:-400]) as client:
        client.socket.shutdown(socket.SHUT_WR)
        assert client.status == 400  # docs/decisions/0019: it comes again


# --- large bodies


def test_a_large_body_is_read_of_whom_is_known(web: Web) -> None:
    secret = make_secret(create_clinic())  # the bytes of one clinic have a rate
    body = event(31 * MIB)
    with Client(web, head(len(body), secret, "Expect: 100-continue", path="/api/vapi/webhook")) as client:
        assert client.status == 100
        client.send(body)
        assert client.status == 200


def test_of_an_endless_body_is_read_what_is_kept(web: Web) -> None:
    secret = make_secret(create_clinic())
    body = event(33 * MIB)
    with Client(web, head(len(body) + MIB, secret, path="/api/vapi/webhook"), body) as client:
        assert client.status == 200


@pytest.mark.parametrize("framed", [True, False])
def test_a_large_body_of_whom_is_not_known_is_not_waited_for(web: Web, framed: bool) -> None:  # noqa: FBT001
    more = ("Content-Length: 20000000",) if framed else ("Transfer-Encoding: chunked",)
    lines = [f"POST {CHECK} HTTP/1.1", "Host: x", "Authorization: Bearer nobodys", *more, "", ""]
    with Client(web, "\r\n".join(lines), b"{" if framed else b"fffff\r\n" + b" " * 70_000) as client:
        status, start, body = client.answer()
        assert (status, json.loads(body)["code"]) == (401, "unauthorized")
        assert "connection: close" in start.lower()


@pytest.mark.parametrize("path", ["/dashboard/sign-in", "/api/twilio/inbound/x", "/a/x", "/healthz"])
def test_elsewhere_no_large_body_is_waited_for(web: Web, secret: str, path: str) -> None:
    with Client(web, head(100_000, secret, path=path)) as client:
        status, _, body = client.answer()
        assert (status, json.loads(body)["code"]) == (413, "request_too_large")


def signed(key: Key, body: bytes, length: int | None = None, *more: str) -> str:
    stamp = str(int(time.time()))
    made = hmac.new(key.secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    ours = (f"X-Holdline-Credential: {key.id}", f"X-Signature: {made}", f"X-Timestamp: {stamp}")
    return head(len(body) if length is None else length, "", *ours, *more, path="/api/vapi/webhook")


def test_a_large_signed_body_is_read_and_checked(web: Web, key: Key) -> None:
    body = event(5 * MIB)
    with Client(web, signed(key, body), body) as client:
        assert client.status == 200
    with Client(web, signed(key, body), body[:-1] + b"\n") as client:
        assert client.status == 401


def test_one_that_is_too_large_for_its_signature_is_not_waited_for(web: Web, key: Key) -> None:
    with Client(web, signed(key, b"", 33 * MIB)) as client:
        assert client.status == 413


def test_large_signed_bodies_are_few_at_once(empty_web: Web, key: Key) -> None:
    """The oldest makes way, so that nobody is kept out by whoever only says that it is signed."""
    with contextlib.ExitStack() as stack:
        clients: list[Client] = []
        for _ in range(9):
            client = stack.enter_context(Client(empty_web, signed(key, b"", MIB, "Expect: 100-continue")))
            if len(clients) < 8:  # each is waited for before the next one comes
                assert client.status == 100
            clients.append(client)
        status, _, body = clients[0].answer()
        assert (status, json.loads(body)["code"]) == (503, "busy")
        body_too = event(MIB)
        with Client(empty_web, signed(key, body_too), body_too) as client:
            assert client.status == 200


def test_who_names_no_credential_makes_way_for_who_does(empty_web: Web, key: Key) -> None:
    unnamed = f"POST {CHECK} HTTP/1.1\r\nHost: x\r\nX-Signature: 00\r\nContent-Length: {MIB}\r\n\r\n{{"
    body = event(MIB)
    with contextlib.ExitStack() as stack:
        stranger = stack.enter_context(Client(empty_web, unnamed))
        named = [
            stack.enter_context(Client(empty_web, signed(key, body, None, "Expect: 100-continue")))
            for _ in range(8)
        ]
        assert [client.status for client in named] == [100] * 8
        assert stranger.status == 503
        assert [stack.enter_context(Client(empty_web, unnamed)).status for _ in range(4)] == [503] * 4
        named[0].send(body)
        assert named[0].status == 200
        madeup = signed(key, body).replace(str(key.id), str(uuid.uuid4()))
        assert stack.enter_context(Client(empty_web, madeup, body[:100])).status == 401


def test_what_is_kept_in_memory_is_bounded(empty_web: Web, secret: str) -> None:
    others = [make_secret(create_clinic()) for _ in range(3)]
    body = event(30 * MIB)
    [worker] = empty_web.master.children()
    before = worker.memory_info().rss
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(Client(empty_web, head(30 * MIB, each, path="/api/vapi/webhook")))
            for each in others
        ]
        for client in clients:
            with contextlib.suppress(OSError):  # whoever is refused need not send it all
                client.send(body[: 29 * MIB])
        assert sorted(client.status for client in clients[1:]) == [503, 503]
        assert worker.memory_info().rss - before < 100 * MIB
        assert ask(empty_web.port, "POST", CHECK, TOOL, secret=secret, within=60) == 200
        clients[0].send(body[29 * MIB :])
        assert clients[0].status == 200


def test_heads_count_to_what_is_kept(empty_web: Web, secret: str) -> None:
    padding = [f"X-Padding-{number}: {'x' * 1000}" for number in range(60)]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(empty_web, head(9, "", *padding))) for _ in range(200)]
        assert clients[0].status == 503
        assert ask(empty_web.port, "POST", CHECK, TOOL, secret=secret, within=60) == 200


def test_what_is_not_known_is_kept_in_less(empty_web: Web, secret: str) -> None:
    with contextlib.ExitStack() as stack:
        start = head(60_000, "")
        clients = [stack.enter_context(Client(empty_web, start, b" " * 59_000)) for _ in range(200)]
        status, _, body = clients[0].answer()
        assert (status, json.loads(body)["code"]) == (503, "busy")
        assert ask(empty_web.port, "POST", CHECK, TOOL + " " * 50_000, secret=secret, within=60) == 200


# --- how many, and how long


def test_the_files_of_a_process_are_enough(web: Web) -> None:
    soft, hard = psutil.Process(web.master.children()[0].pid).rlimit(psutil.RLIMIT_NOFILE)
    assert soft >= min(hard, 2048 + 128)
