"""Every form of REDIS_URL that is documented, tried by all that speak to Redis, or refused in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import redis
from flask.testing import FlaskClient

from models.base import preconditions
from runtime import preflight, redis_address
from tests import redis_doors
from tests.places import ROOT, free_port
from tests.processes import CELERY
from tests.stack import eventually
from tests.surroundings import environment

#: The web's producer, a worker's channel, Flower's page of the queues, the readiness page and the preflight.
EVERYBODY = """
import asyncio, json, sys
from types import SimpleNamespace
import settings
from webapp.nudge import _producer
from models.base import preconditions
from runtime import preflight
from tasks.flower import Queues, app
from webapp import create_app

queue = sys.argv[1]
with _producer(settings.get()).connection_for_write() as web:
    web.default_channel.client.rpush(queue, "from the web")
with app.connection_for_write() as worker:
    channel = worker.default_channel
    channel.client.rpush(queue, "from a worker")
    waits = channel._connparams()
handler = SimpleNamespace(capp=app)
[length] = asyncio.run(Queues(handler).queues([queue]))
with preflight.redis_client() as ours:
    told = {
        "database": ours.connection_pool.connection_kwargs["db"],
        "messages": [message.decode() for message in ours.lrange(queue, 0, -1)],
    }
    ours.delete(queue)
looks = (*preflight.problems(preconditions.look), *preflight.warnings(preconditions.look))
found = [each for each in looks if "Redis" in each]
ready = create_app().test_client().get("/readyz").get_json()["checks"]["redis"]
told |= {"flower": length["messages"], "waits": waits.get("socket_timeout"), "found": found, "ready": ready}
print(json.dumps(told))
"""


@dataclass(frozen=True)
class Door:
    login: str
    port: int
    tls_port: int
    certificate: Path
    socket: str


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    known = urlsplit(os.environ["REDIS_URL"])
    assert known.port
    login = known.netloc.rpartition("@")[0]
    folder = tmp_path_factory.mktemp("redis")
    with redis_doors.tls(known.port, folder) as (tls_port, certificate), redis_doors.unix(known.port) as path:
        yield Door(login, known.port, tls_port, certificate, path)


def written(form: str, door: Door) -> str:
    return form.format(
        login=door.login,
        password=quote(door.login.partition(":")[2], safe=""),
        port=door.port,
        tls=door.tls_port,
        ca=door.certificate,
        socket=door.socket,
    )


TAKEN = [
    "redis://{login}@127.0.0.1:{port}/",
    "redis://{login}@localhost:{port}/?db=3&client_name=holdline",
    "REDIS://default:{password}@127.0.0.1:{port}/0?virtual_host=0&socket_timeout=5&socket_connect_timeout=2.5",
    "redis://{login}@127.0.0.1:{port}?health_check_interval=30&socket_keepalive=True&retry_on_timeout=1",
    "rediss://{login}@127.0.0.1:{tls}/0?ssl_cert_reqs=CERT_NONE",
    "rediss://{login}@127.0.0.1:{tls}/3?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={ca}&socket_timeout=5",
    "rediss://{login}@localhost:{tls}?ssl_cert_reqs=optional&ssl_ca_certs={ca}&ssl_check_hostname=false",
    "unix://{login}@{socket}?db=3",
    "redis+socket://{login}@{socket}?virtual_host=3&socket_timeout=5",
]


@pytest.mark.parametrize("form", TAKEN)
def test_everybody_reads_it_alike(form: str, door: Door) -> None:
    queue = f"alike-{uuid.uuid4()}"
    variables = {"REDIS_URL": written(form, door), "FLOWER_BASIC_AUTH": "ops:a-Password-7391"}
    done = subprocess.run(
        [sys.executable, "-c", EVERYBODY, queue],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "database": 3 if any(each in form for each in ("/3", "db=3", "virtual_host=3")) else 0,
        "messages": ["from the web", "from a worker"],
        "flower": 2,
        "waits": 5 if "socket_timeout=5" in form else None,
        "found": [],
        "ready": "ok",
    }


@pytest.mark.parametrize(
    "form",
    [
        "rediss://{login}@127.0.0.1:{tls}/0?ssl_cert_reqs=CERT_NONE&socket_timeout=1",
        "redis+socket://{login}@{socket}",
    ],
)
def test_a_worker_works_behind_it(form: str, door: Door, tmp_path: Path) -> None:
    url = written(form, door)
    name = f"behind-{uuid.uuid4().hex[:8]}"
    log = tmp_path / "worker.log"
    with log.open("w") as said:
        worker = subprocess.Popen(
            [*CELERY, "worker", *f"-c 1 -Q otp -n {name}@x --without-gossip --without-mingle".split()],
            cwd=ROOT,
            env=os.environ | {"REDIS_URL": url},
            stdout=said,
            stderr=said,
        )
    ping = [*CELERY, "inspect", "ping", "-d", f"{name}@x", "-t", "2"]
    try:
        eventually(
            lambda: (
                subprocess.run(
                    ping,
                    cwd=ROOT,
                    env=os.environ | {"REDIS_URL": url},
                    capture_output=True,
                    check=False,
                    timeout=300,
                ).returncode
                == 0
                or worker.poll() is not None
            ),
            within=300,
        )
        assert worker.poll() is None, log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        worker.terminate()
        worker.wait(30)


REFUSED = [
    ("redis://x/abc", "whole number"),
    ("redis://x/0?db=1", "two databases"),
    ("redis://x?db=one", "db in it must be a whole number"),
    ("redis://x?ssl_cert_reqs=none", "write rediss://"),
    ("unix:///x?ssl_cert_reqs=none", "write rediss://"),
    ("rediss://x?ssl_cert_reqs=never", "none, optional, required"),
    ("rediss://x?ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs in it names a file that is not there"),
    (f"rediss://x?ssl_ca_certs={__file__}", "ssl_ca_certs in it cannot be used (NO_CERTIFICATE"),
    ("rediss://x?ssl_ca_certs=/tmp", "ssl_ca_certs in it cannot be used (Is a directory)"),
    (f"rediss://x?ssl_keyfile={__file__}", "ssl_keyfile in it needs ssl_certfile beside it"),
    (f"rediss://x?ssl_certfile={__file__}", "ssl_certfile and ssl_keyfile in it cannot be used"),
    ("rediss://x?ssl_check_hostname=perhaps", "true or false"),
    ("redis://x?socket_timeout=soon", "socket_timeout in it must be a number of seconds"),
    ("redis://x?socket_timeout=0", "more than 0"),
    ("redis://x?socket_timeout=", "number of seconds"),
    ("redis://x?socket_timeout=inf", "number of seconds"),
    ("redis://x?health_check_interval=-1", "whole number"),
    ("redis://x?visibility_timeout=9", "“visibility_timeout” in it is not understood"),
    ("unix://", "unix:///path"),
    ("unix://host/path", "unix:///path"),
    ("redis+socket://", "unix:///path"),
    ("sentinel://x:26379", "it must be redis://"),
    ("redis+sentinel://x", "it must be redis://"),
    ("redis://a:6379;redis://b:6379", "it must be redis://"),
    ("amqp://x", "it must be redis://"),
    ("redis:///0", "it must be redis://"),
    ("redis://:pass word@x/0", "it must be redis://"),
    ("redis://x/0 ", "it must be redis://"),
    ("redis://x/0#1", "it must be redis://"),
]


@pytest.mark.parametrize(("url", "sentence"), REFUSED)
def test_what_cannot_work_is_refused_in_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        redis_address.read(url, accept_self_signed=False)
    assert sentence in str(caught.value)


def test_a_refusal_quotes_no_password() -> None:
    for url, _ in REFUSED:
        with_login = url.replace("://", "://me:pa55word@", 1)
        with pytest.raises(ValueError, match=r".") as caught:
            redis_address.read(with_login, accept_self_signed=False)
        assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize(("said", "waits"), [("0.2", 0.2), ("30", 1.0)])
def test_a_request_waits_for_the_shorter_of_two_times(said: str, waits: float) -> None:
    url = f"redis://127.0.0.1/?socket_timeout={said}&socket_connect_timeout={said}"
    client = redis_address.read(url, accept_self_signed=False).client(patience=1.0)
    assert (client["socket_timeout"], client["socket_connect_timeout"]) == (waits, waits)


def test_the_address_stands_before_the_setting() -> None:
    def asked(url: str, *, self_signed: bool) -> object:
        tls = redis_address.read(url, accept_self_signed=self_signed).tls
        return tls and tls["ssl_cert_reqs"]

    assert asked("rediss://x", self_signed=False) == "required"
    assert asked("rediss://x", self_signed=True) == "none"
    assert asked("rediss://x?ssl_cert_reqs=CERT_REQUIRED", self_signed=True) == "required"
    assert asked("rediss://x?ssl_cert_reqs=none", self_signed=False) == "none"
    assert asked("redis://x", self_signed=True) is None


def test_readiness_says_what_is_wrong_with_the_way_to_redis(door: Door, client: FlaskClient) -> None:
    for form, sentence in {
        "rediss://{login}@127.0.0.1:{tls}": "set REDIS_SELF_SIGNED=true",
        "redis://:wrong@127.0.0.1:{port}": "refuses the user or the password",
        "redis://{login}@127.0.0.1:{port}/9999": "refuses what REDIS_URL asks for (DB index is out of range)",
        "redis://127.0.0.1:" + str(free_port()): "does not answer (ConnectionError)",
    }.items():
        with environment(REDIS_URL=written(form, door)):
            answer = client.get("/readyz")
            assert answer.status_code == 503
            assert sentence in answer.get_json()["checks"]["redis"], form
            assert any(sentence in each for each in preflight.warnings(preconditions.look))
    with environment(REDIS_URL=written("rediss://{login}@127.0.0.1:{tls}", door), REDIS_SELF_SIGNED="true"):
        assert client.get("/readyz").get_json()["checks"]["redis"] == "ok"


def test_eviction_is_looked_at_behind_tls(door: Door) -> None:
    url = written("rediss://{login}@127.0.0.1:{tls}/0?ssl_cert_reqs=CERT_NONE", door)
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as admin:
        before = admin.config_get("maxmemory-policy")["maxmemory-policy"]
        admin.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with environment(APP_ENV="production", REDIS_URL=url):
                [problem] = preflight.problems(preconditions.look)
        finally:
            admin.config_set("maxmemory-policy", before)
    assert "maxmemory-policy allkeys-lru" in problem
