"""Every way in which a request to Twilio can end, and the exception or result that it becomes."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests

from tasks.providers import (
    Misconfigured,
    OptedOut,
    OutcomeUnknown,
    Problem,
    Refused,
    Text,
    Unavailable,
    Unreachable,
)
from tasks.providers.twilio import Account, TwilioSms, _of_the_network
from tests.factories import ACCOUNT_SID
from tests.places import free_port
from tests.surroundings import environment

TEXT = Text("+447700900123", "Hello", "message/1/token", 300)


@contextmanager
def answering(reply: Callable[[socket.socket], None]) -> Iterator[None]:
    """A Twilio that reads a request and then calls `reply` with the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                reply(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with environment(TWILIO_API_BASE_URL=f"http://127.0.0.1:{server.getsockname()[1]}"):
            yield
        thread.join(5)


def twilio(timeout: float = 2.0) -> TwilioSms:
    return TwilioSms(Account(ACCOUNT_SID, ACCOUNT_SID, "token", "+447700900001", None), timeout=timeout)


def http(status: int, body: str) -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + data


def problem_of(answer: bytes) -> Problem:
    with answering(lambda connection: connection.sendall(answer)), pytest.raises(Problem) as raised:
        twilio().send(TEXT)
    return raised.value


def refusal(code: int | None) -> str:
    return json.dumps({"code": code, "message": "about +447700900123", "status": 400})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, refusal(20429), Unavailable),
        (429, "<html>slow down</html>", Unavailable),
        (429, refusal(20503), Unavailable),
        (429, refusal(29999), Unavailable),
        # A code with another meaning than "slow down" counts more than the status.
        (429, refusal(63038), Misconfigured),
        (429, refusal(21610), OptedOut),
        (500, refusal(20500), OutcomeUnknown),
        # A 5xx status counts more than the code of a broken server.
        (500, refusal(21211), OutcomeUnknown),
        (502, "<html>bad gateway</html>", OutcomeUnknown),
        (503, refusal(20503), OutcomeUnknown),
        (408, refusal(21610), OutcomeUnknown),
        (302, "", OutcomeUnknown),
        (201, '{"sid": "SM', OutcomeUnknown),
        (201, "<html>ok</html>", OutcomeUnknown),
        (201, "[]", OutcomeUnknown),
        (201, "null", OutcomeUnknown),
        (201, '{"status": "queued"}', OutcomeUnknown),
        (401, refusal(20003), Misconfigured),
        (401, "<html>who are you</html>", Misconfigured),
        (403, refusal(None), Misconfigured),
        (402, refusal(29999), Misconfigured),
        (404, "<html>nobody here</html>", Misconfigured),
        (410, refusal(20410), Misconfigured),
        (404, refusal(20404), Misconfigured),
        (400, refusal(21606), Misconfigured),
        (400, refusal(21705), Misconfigured),
        (400, refusal(21610), OptedOut),
        (400, refusal(21614), Refused),
        (400, refusal(29999), Refused),
        (400, refusal(None), Refused),
        (400, "<html>no</html>", Refused),
        (400, refusal(21611), Unavailable),
        (
            400,
            json.dumps({"type": "x", "title": "no", "status": 400, "code": 21211, "detail": "+447700900123"}),
            Refused,
        ),
    ],
)
def test_an_answer(status: int, body: str, kind: type[Problem]) -> None:
    problem = problem_of(http(status, body))
    assert type(problem) is kind
    assert "447700900123" not in str(problem)


def test_what_was_accepted_has_its_id_and_its_segments_once_they_are_known() -> None:
    for segments, expected in (("2", 2), ("0", None), (None, None), ("many", None)):
        body = json.dumps({"sid": "SM1", "num_segments": segments})
        with answering(lambda connection, body=body: connection.sendall(http(201, body))):  # type: ignore[misc]
            accepted = twilio().send(TEXT)
        assert (accepted.provider_id, accepted.segments) == ("SM1", expected)


def test_nobody_listens() -> None:
    with (
        environment(TWILIO_API_BASE_URL=f"http://127.0.0.1:{free_port()}"),
        pytest.raises(Unavailable, match="could not be reached"),
    ):
        twilio().send(TEXT)


def test_it_hangs_up_or_says_half_or_says_nothing() -> None:
    whole = http(201, '{"sid": "SM1"}')
    with answering(lambda _: None), pytest.raises(OutcomeUnknown):
        twilio().send(TEXT)
    assert isinstance(problem_of(whole[:-5]), OutcomeUnknown)
    done = threading.Event()
    with answering(lambda _: _wait(done)):
        with pytest.raises(OutcomeUnknown):
            twilio(timeout=0.2).send(TEXT)
        done.set()


def test_a_connection_that_is_never_answered_was_never_made() -> None:
    assert isinstance(_of_the_network(requests.ConnectTimeout()), Unreachable)
    assert isinstance(_of_the_network(requests.ReadTimeout()), OutcomeUnknown)


def _wait(done: threading.Event) -> None:
    done.wait(3)


@pytest.mark.parametrize("name", ["TWILIO_EDGE", "TWILIO_REGION"])
def test_what_twilios_own_tools_read_moves_no_text_elsewhere(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "ie1")
    assert isinstance(problem_of(http(400, refusal(21211))), Refused)  # it was asked, and refused
