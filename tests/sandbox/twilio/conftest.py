"""A sandbox for each test, the ordinary client, and a receiver of webhooks."""

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.twilio.server import running_sandbox
from tests.sandbox.twilio.wire import Receiver, client_of, receiving


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own library obeys proxy settings; loopback needs none."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def url() -> Iterator[str]:
    with running_sandbox() as base:
        yield base


@pytest.fixture
def standing_url() -> Iterator[str]:
    """A sandbox in which no message ever moves."""
    with running_sandbox(step_seconds=3600) as base:
        yield base


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with client_of(url) as made:
        yield made


@pytest.fixture
def standing_client(standing_url: str) -> Iterator[Any]:
    with client_of(standing_url) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made
