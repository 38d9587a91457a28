"""What is fetched from an address that somebody typed in, and what never is."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

import settings
from models.clinics.calendar_feeds import FeedProblem
from tasks import safe_fetch
from tasks.safe_fetch import CannotFetch, Fetched, fetch, is_public
from tests.tasks.elsewhere import NAME, Authority, Elsewhere, running, send, status


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def elsewhere(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    monkeypatch.setenv("FEED_LOOPBACK", "true")
    settings.of_process.cache_clear()
    with running(authority) as server:
        yield server
    monkeypatch.undo()
    settings.of_process.cache_clear()


def problem(address: str, **more: Any) -> FeedProblem:
    with pytest.raises(CannotFetch) as caught:
        fetch(address, **more)
    assert address not in str(caught.value)
    return caught.value.problem


def resolver(*answers: list[str]) -> Any:
    """Answers once after another, the last one for ever; `asked` has what it was asked for."""
    left = list(answers)

    def resolve(host: str, port: int, **_: object) -> list[Any]:
        resolve.asked.append(host)  # type: ignore[attr-defined]
        found = left.pop(0) if len(left) > 1 else left[0]
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, 1, 6, "", (each, port)) for each in found
        ]

    resolve.asked = []  # type: ignore[attr-defined]
    return resolve


# --- whom -----------------------------------------------------------------------------------------

PRIVATE = (
    *("0.0.0.1", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1"),
    *("192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "224.0.0.1", "239.1.1.1"),
    *("240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:10.0.0.1", "::ffff:8.8.8.8"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1"),
    *("3fff::1", "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1", "5f00::1"),
)


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_is_asked_that_is_not_of_one_machine_on_the_internet(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert problem(f"https://{NAME}/", resolve=resolver([address])) is FeedProblem.NOT_PUBLIC
    # Nor one beside which there is a public one.
    assert problem(f"https://{NAME}/", resolve=resolver(["8.8.8.8", address])) is FeedProblem.NOT_PUBLIC


@pytest.mark.parametrize("address", ["8.8.8.8", "142.250.1.1", "2606:4700::1111", "2a00:1450::1"])
def test_a_machine_on_the_internet_may_be_asked(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "http://calendar.test/a.ics",
        "ftp://calendar.test/a.ics",
        "file:///etc/passwd",
        "https:///a.ics",
        "https://user:password@calendar.test/",
        "https://user@calendar.test/",
        "https://calendar.test:22/",
        "https://calendar.test:8443/",
        "https://calendar.test:99999/",
        "https://calendar.test/a b",
        "https://calendar.test/a\r\nX-Evil: 1",
        "https://kalend\u00e4r.test/",
        "https://[::1/",
    ],
)
def test_no_other_form_of_address_is_asked(address: str) -> None:
    resolve = resolver(["8.8.8.8"])
    assert problem(address, resolve=resolve) is FeedProblem.BAD_ADDRESS
    assert resolve.asked == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "017700000001", "127.1", "localhost", "[::1]"])
def test_this_machine_is_not_asked_however_it_is_written(host: str) -> None:
    assert problem(f"https://{host}/") in {FeedProblem.NOT_PUBLIC, FeedProblem.NO_SUCH_HOST}


def test_a_name_is_resolved_once_and_the_connection_made_to_what_was_checked(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that answers with a private address the second time is not asked a second time."""
    looked_up = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **more: Any) -> Any:
        looked_up.append(host)
        return real(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolve = resolver(["127.0.0.1"], ["10.0.0.1"])
    found = fetch(f"https://{NAME}:{elsewhere.port}/a.ics?key=1", resolve=resolve)
    assert found.body == elsewhere.body
    assert resolve.asked == [NAME]
    assert set(looked_up) == {"127.0.0.1"}  # an address: nothing was looked up
    [asked] = elsewhere.asked
    assert asked["path"] == "/a.ics?key=1"
    assert asked["Host"] == f"{NAME}:{elsewhere.port}"


def test_the_certificate_has_to_be_that_of_the_name(elsewhere: Elsewhere) -> None:
    other = f"https://other.test:{elsewhere.port}/"
    assert problem(other, resolve=resolver(["127.0.0.1"])) is FeedProblem.NOT_TRUSTED


def test_an_authority_that_nobody_trusts_certifies_nothing(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert problem(elsewhere.address) is FeedProblem.NOT_TRUSTED
    assert elsewhere.asked == []


def test_it_brings_no_cookie_and_no_credentials_and_says_who_it_is(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("HOME", str(tmp_path))
    elsewhere.headers = {"Set-Cookie": "a=b"}
    fetch(elsewhere.address)
    fetch(elsewhere.address)
    for asked in elsewhere.asked:
        assert asked["User-Agent"] == "Holdline"
        assert not {"Cookie", "Authorization"} & set(asked)


# --- what is answered -----------------------------------------------------------------------------


def test_what_is_the_same_as_before_is_not_sent_again(elsewhere: Elsewhere) -> None:
    elsewhere.headers = {"ETag": '"1"', "Last-Modified": "Mon, 30 Nov 2026 10:00:00 GMT"}
    first = fetch(elsewhere.address)
    assert first == Fetched(elsewhere.body, '"1"', "Mon, 30 Nov 2026 10:00:00 GMT")
    again = fetch(elsewhere.address, etag=first.etag, last_modified=first.last_modified)
    assert again.body is None
    assert elsewhere.asked[1]["If-Modified-Since"] == "Mon, 30 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (401, FeedProblem.REFUSED),
        (403, FeedProblem.REFUSED),
        (404, FeedProblem.NOT_FOUND),
        (410, FeedProblem.NOT_FOUND),
        (429, FeedProblem.SERVER_FAILED),
        (500, FeedProblem.SERVER_FAILED),
        (503, FeedProblem.SERVER_FAILED),
        (204, FeedProblem.BAD_ANSWER),
        (302, FeedProblem.BAD_ANSWER),
        (418, FeedProblem.BAD_ANSWER),
    ],
)
def test_each_refusal_has_a_code(elsewhere: Elsewhere, code: int, why: FeedProblem) -> None:
    elsewhere.answer = status(code)
    assert problem(elsewhere.address) is why


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("http://127.0.0.1/", FeedProblem.BAD_ADDRESS),
        ("https://10.0.0.1/", FeedProblem.NOT_PUBLIC),
        ("https://169.254.169.254/latest/meta-data/", FeedProblem.NOT_PUBLIC),
        ("//192.168.0.1/a.ics", FeedProblem.NOT_PUBLIC),
        ("https://me:secret@127.0.0.1/", FeedProblem.BAD_ADDRESS),
        ("file:///etc/passwd", FeedProblem.BAD_ADDRESS),
        ("/again", FeedProblem.TOO_MANY_REDIRECTS),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(
    elsewhere: Elsewhere, where: str, why: FeedProblem
) -> None:
    elsewhere.answer = status(302, Location=where)
    assert problem(elsewhere.address) is why
    assert len(elsewhere.asked) == (4 if where == "/again" else 1)


def test_three_redirects_are_followed(elsewhere: Elsewhere) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if len(elsewhere.asked) <= 3:
            status(307, Location=f"/{len(elsewhere.asked)}")(handler)
        else:
            send(handler, b"here")

    elsewhere.answer = answer
    assert fetch(elsewhere.address).body == b"here"
    assert [each["path"] for each in elsewhere.asked[1:]] == ["/1", "/2", "/3"]


# --- how much, and for how long -------------------------------------------------------------------


def test_of_200_mb_only_the_first_5_are_read(elsewhere: Elsewhere) -> None:
    sent = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()  # without a length
        for _ in range(200):
            handler.wfile.write(b"x" * 1024 * 1024)
            sent.append(1)

    elsewhere.answer = answer
    assert problem(elsewhere.address, seconds=60) is FeedProblem.TOO_LARGE
    assert len(sent) < 60  # what the buffers of both sides take


def test_a_length_of_200_mb_is_believed(elsewhere: Elsewhere) -> None:
    elsewhere.headers = {"Content-Length": str(200 * 1024 * 1024)}
    elsewhere.body = b"x" * safe_fetch.MOST_BYTES + b"x"
    assert problem(elsewhere.address, seconds=60) is FeedProblem.TOO_LARGE


def test_a_compressed_answer_is_read(elsewhere: Elsewhere) -> None:
    body = elsewhere.body
    elsewhere.body, elsewhere.headers = gzip.compress(body), {"Content-Encoding": "gzip"}
    assert fetch(elsewhere.address).body == body


def test_a_compressed_answer_counts_by_what_it_holds(elsewhere: Elsewhere) -> None:
    elsewhere.body = gzip.compress(b"\0" * 200 * 1024 * 1024, 1)
    assert len(elsewhere.body) < 2 * 1024 * 1024
    elsewhere.headers = {"Content-Encoding": "gzip"}
    assert problem(elsewhere.address, seconds=60) is FeedProblem.TOO_LARGE


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "zstd"])
def test_no_other_compression_is_undone(elsewhere: Elsewhere, encoding: str) -> None:
    elsewhere.headers = {"Content-Encoding": encoding}
    assert problem(elsewhere.address) is FeedProblem.BAD_ANSWER


def test_an_answer_that_breaks_off_is_none(elsewhere: Elsewhere) -> None:
    elsewhere.headers = {"Content-Length": str(len(elsewhere.body) + 10)}
    assert problem(elsewhere.address) is FeedProblem.UNREACHABLE
    elsewhere.body, elsewhere.headers = gzip.compress(elsewhere.body)[:-9], {"Content-Encoding": "gzip"}
    assert problem(elsewhere.address) is FeedProblem.UNREACHABLE


def _drip(elsewhere: Elsewhere, begin: bytes) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(begin)
        while not elsewhere.over.wait(0.05):
            handler.wfile.write(b"x")

    elsewhere.answer = answer


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
    ],
)
def test_a_slow_drip_ends(elsewhere: Elsewhere, begin: bytes) -> None:
    """In the middle of the body as of the headers."""
    _drip(elsewhere, begin)
    began = time.monotonic()
    assert problem(elsewhere.address, seconds=0.5) is FeedProblem.TOO_SLOW
    assert time.monotonic() - began < 30  # and not for ever


def test_a_server_that_never_begins_ends_too(monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere) -> None:
    """It accepts, and does not even answer the greeting of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert problem(f"https://127.0.0.1:{port}/", seconds=0.5) is FeedProblem.TOO_SLOW


def test_a_resolver_that_does_not_answer_is_not_waited_for(elsewhere: Elsewhere) -> None:
    def resolve(*_: object, **__: object) -> list[Any]:
        elsewhere.over.wait(60)
        return []

    assert problem(f"https://{NAME}/", resolve=resolve, seconds=0.2) is FeedProblem.TOO_SLOW


def test_a_name_that_does_not_exist_is_said_to(elsewhere: Elsewhere) -> None:
    def resolve(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror

    assert problem(f"https://{NAME}/", resolve=resolve) is FeedProblem.NO_SUCH_HOST
