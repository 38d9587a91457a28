"""Real servers for what a command asks beyond the database: Twilio and Vapi by HTTP, workers over Redis."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from celery import Celery

import celeryconfig
import settings
from celeryconfig import Queue


class Outside:
    """Twilio and Vapi in one: accepts every secret except `refused`, and every id except `unknown`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.refused: set[str] = set()
        self.status: int | None = None  # the answer to every request, if it is set
        self.unknown: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def answer(self, path: str, authorization: str) -> int:
        kind, _, said = authorization.partition(" ")
        secret = base64.b64decode(said).decode().partition(":")[2] if kind == "Basic" else said
        self.asked.append((path, secret))
        if self.status:
            return self.status
        if secret in self.refused:
            return 401
        return 404 if path.rpartition("/")[2] in self.unknown else 200


@contextmanager
def outside() -> Iterator[Outside]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(world.answer(self.path, self.headers.get("Authorization", "")))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        world = Outside(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield world
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def workers() -> Iterator[None]:
    """A worker that answers for every queue, and takes no task."""
    over, listening = threading.Event(), threading.Event()

    def live() -> None:
        with Celery("worker-of-the-tests", set_as_current=False) as app:
            celeryconfig.configure(app, settings.get())
            with app.connection_for_write() as connection, connection.channel() as channel:
                mailbox: Any = vars(app.control)["mailbox"]  # Celery's types do not know it
                node = mailbox.Node(
                    "worker@tests", state=None, channel=channel, handlers={"active_queues": queues}
                )
                with node.listen():
                    listening.set()
                    while not over.is_set():
                        with suppress(TimeoutError):
                            connection.drain_events(timeout=0.1)

    def queues(_state: Any, **_: Any) -> list[dict[str, str]]:
        return [{"name": queue.value} for queue in Queue]

    thread = threading.Thread(target=live)
    thread.start()
    try:
        assert listening.wait(30)
        yield
    finally:
        over.set()
        thread.join(10)
