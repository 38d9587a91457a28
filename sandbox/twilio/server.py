"""The web server: in a thread of a test, or as a process of its own."""

import ipaddress
import os
import re
import secrets
import signal
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from itertools import islice
from queue import SimpleQueue
from typing import Any
from urllib.parse import urldefrag, urlencode, urlsplit

import requests
from flask import Flask, Response, g, jsonify, render_template, request
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped,unused-ignore]
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox.segments import count_segments

class QuietHandler(WSGIRequestHandler):
    # headers and body go out as two packets, which Nagle's algorithm would hold 40 ms apart
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def make_sandbox(exchange: Exchange, port: int) -> BaseWSGIServer:
    return make_server("127.0.0.1", port, create_app(exchange), threaded=True, request_handler=QuietHandler)


@contextmanager
def running_sandbox(*, port: int = 0, step_seconds: float = 0.01) -> Iterator[str]:
    """A sandbox in a thread of this process, on a free port; yields its base URL."""
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


def main() -> None:
    port = int(os.environ.get("INBOX_PORT", "3002"))
    server = make_sandbox(Exchange(float(os.environ.get("SANDBOX_STEP_SECONDS", "0.15"))), port)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: os._exit(0))  # all state is in memory: nothing to put in order first
    print(f"Sandbox Twilio: its inbox is at http://127.0.0.1:{port}/", flush=True)
    server.serve_forever()
