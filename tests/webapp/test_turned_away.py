"""What is left of those who are turned away: a count, a line in the log, and a process that can stop."""

from __future__ import annotations

import contextlib
import urllib.request
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.slow import CHECK
from tests.factories import create_clinic
from tests.slow import ask
from tests.stack import eventually
from tests.webapp.agents.vapi.signing import make_secret
from tests.webapp.test_serving import Web
from tests.webapp.wire import TOOL, Client, head, one_process, whole

TOKEN = "token-of-the-metrics-page-5512"


@pytest.fixture
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A process of one test: in a shared one the half requests of the test before are still being counted."""
    with one_process(tmp_path_factory, METRICS_TOKEN=TOKEN, CONNECTIONS_PER_ADDRESS="20") as served:
        yield served


def figures(web: Web) -> Counter[str]:
    """How many attacks /metrics tells of each kind."""
    page = urllib.request.Request(
        f"http://127.0.0.1:{web.port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(page, timeout=60) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return Counter(
        {
            sample.labels["kind"]: int(sample.value)
            for family in families
            for sample in family.samples
            if sample.name == "holdline_attacks_total"
        }
    )


def test_who_is_turned_away_is_counted(web: Web) -> None:
    before = figures(web)["refused_connection"]
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(Client(web, head(9, ""), b"{"))
        eventually(lambda: figures(web)["refused_connection"] - before >= 30)
    assert "attack: refused_connection, " in web.log.read_text()


def test_who_hangs_up_without_a_request_is_counted_after_a_while(web: Web) -> None:
    before = figures(web)["refused_connection"]
    with Client(web) as silent, Client(web, "POST ") as half:
        for client in (silent, half):
            client.socket.settimeout(1.5)
            with contextlib.suppress(TimeoutError):
                client.socket.recv(1)
    eventually(lambda: figures(web)["refused_connection"] - before >= 2)


def test_a_wrong_credential_is_counted_once_though_it_is_judged_twice(web: Web) -> None:
    before = figures(web)
    for length in (4_000_000, 4_000_000, 4_000_000, 9):
        with Client(web, head(length, "nobodys"), b"{" * 9) as client:
            assert client.status == 401
    after = eventually(
        lambda: (now := figures(web))["wrong_credential"] - before["wrong_credential"] >= 4 and now
    )
    assert after["wrong_credential"] - before["wrong_credential"] == 4


def test_slow_clients_keep_no_process_from_stopping(tmp_path_factory: pytest.TempPathFactory) -> None:
    """And who has sent the half of a request may send the other."""
    secret = make_secret(create_clinic())
    with one_process(tmp_path_factory) as web, contextlib.ExitStack() as stack:
        for first in (
            b"",
            b"POST ",
            whole(secret)[:-1],
            f"POST {CHECK} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
        ):
            for _ in range(20):
                stack.enter_context(Client(web, first))
        honest = stack.enter_context(Client(web, whole(secret)[:-1]))
        web.terminate()
        honest.send(TOOL[-1:])
        assert honest.status == 200
        assert web.master.wait(180) == 0
        assert "Worker exiting" in web.log.read_text()  # it was not killed by its master


def test_a_process_without_a_file_left_ends_the_oldest_connection(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    secret = make_secret(create_clinic())
    with one_process(tmp_path_factory) as web, contextlib.ExitStack() as stack:
        assert ask(web.port, "POST", CHECK, TOOL, secret=secret, within=60) == 200
        [worker] = web.master.children()
        _, hard = worker.rlimit(psutil.RLIMIT_NOFILE)
        worker.rlimit(psutil.RLIMIT_NOFILE, (worker.num_fds() + 10, hard))
        clients = [stack.enter_context(Client(web, "POST ")) for _ in range(40)]
        assert clients[0].status == 503
        for _ in range(10):
            assert ask(web.port, "POST", CHECK, TOOL, secret=secret, within=60) == 200
        assert [worker] == web.master.children()
