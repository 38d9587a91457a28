"""The sandbox's web server, in a process or in a thread of a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox.twilio.exchange import Exchange
from sandbox.twilio.routes import create_app


class QuietHandler(WSGIRequestHandler):
    # Headers and body are two packets, and Nagle's algorithm would delay the second by 40 ms.
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def make_sandbox(exchange: Exchange, port: int) -> BaseWSGIServer:
    return make_server("127.0.0.1", port, create_app(exchange), threaded=True, request_handler=QuietHandler)


@contextmanager
def running_sandbox(*, port: int = 0, step_seconds: float = 0.01) -> Iterator[str]:
    """Run a sandbox in a thread of this process, on a free port unless one is given; yields its base URL."""
    exchange = Exchange(step_seconds)
    server = make_sandbox(exchange, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        exchange.close()
        server.shutdown()
        thread.join()
