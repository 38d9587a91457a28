"""A port that was picked is still there when a server wants it."""

from __future__ import annotations

import http.client
import socket
import sys

import pytest

from sandbox.twilio.server import running_sandbox
from tests.places import free_port

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port is only looked up")


@linux
def test_nobody_else_is_given_it_and_a_server_is() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.socket() as caller:
        assert caller.connect_ex(("127.0.0.1", port)) != 0  # nobody listens
    with running_sandbox(port=port) as url:
        assert url.endswith(f":{port}")
        web = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        web.request("GET", "/inbox.json")
        assert web.getresponse().status == 200
        web.close()
