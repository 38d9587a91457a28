"""The client, the receiver of webhooks, and the queries of the tests of the sandbox Twilio."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

import requests
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped,unused-ignore]
from twilio.rest import Client  # type: ignore[import-untyped,unused-ignore]

ACCOUNT, TOKEN = "AC" + "1" * 32, "the-auth-token"
SERVICE = "MG" + "2" * 32
OURS, PATIENT = "+15005550006", "+12025550143"


@contextmanager
def client_of(
    url: str, username: str = ACCOUNT, password: str = TOKEN, timeout: float = 5, account: str = ACCOUNT
) -> Iterator[Any]:
    http = TwilioHttpClient(timeout=timeout)
    client = Client(username, password, account, http_client=http)
    client.api.base_url = url
    try:
        yield client
    finally:
        http.session.close()


class Receiver(ThreadingHTTPServer):
    """Our own side of the webhooks: keeps what arrives, and may hang up on each first attempt."""

    def __init__(self, *, hangs_up_first: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), ReceiverHandler)
        self.hangs_up_first = hangs_up_first
        self.attempted: set[str] = set()
        self.seen: Queue[tuple[str, dict[str, str], dict[str, str]]] = Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def forms(self, count: int) -> list[dict[str, str]]:
        return [self.seen.get(timeout=60)[1] for _ in range(count)]


class ReceiverHandler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(parse_qsl(body, keep_blank_values=True))
        self.server.seen.put((f"{self.server.url}{self.path}", form, dict(self.headers)))
        call = self.headers["I-Twilio-Idempotency-Token"]
        if self.server.hangs_up_first and call not in self.server.attempted:
            self.server.attempted.add(call)
            return
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


@contextmanager
def receiving(*, hangs_up_first: bool = False) -> Iterator[Receiver]:
    with Receiver(hangs_up_first=hangs_up_first) as receiver:
        thread = Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


def eventually(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 5
    while not good(found := look()) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert good(found), found
    return found


def final(client: Any, sid: str, status: str) -> Any:
    return eventually(lambda: client.messages(sid).fetch(), lambda message: message.status == status)


def script(url: str, **fault: Any) -> None:
    assert requests.post(f"{url}/sandbox/faults", json=fault, timeout=60).status_code == 201


def texts(url: str, **query: str) -> list[str]:
    rows = requests.get(f"{url}/inbox.json", params=query, timeout=60).json()
    return [row["body"] for row in rows]
