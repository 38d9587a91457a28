"""A real Postgres and a real Redis of the tests' own, and an application on them.

Every test makes its own clinic, so that tests share a database without seeing each other, and commit
for real: rollback isolation would never fire a deferred constraint and would keep every advisory lock.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from sandbox import services
from sandbox.twilio.server import running_sandbox
from tests.places import ROOT, free_port
from tests.stack import stack as stack  # the fixture  # noqa: PLC0414

#: The clock can be shifted in the tests' database only (fixture clock).
SHIFTED_CLOCK = """
CREATE TABLE test_clock (shift interval NOT NULL, stopped_at timestamptz);
INSERT INTO test_clock VALUES ('0');
CREATE OR REPLACE FUNCTION app_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
AS $$ SELECT coalesce(stopped_at, clock_timestamp()) + shift FROM test_clock $$;
"""

# The time that an example takes depends on the machine, and is not a finding.
hypothesis_settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("any machine")

#: The URL of the superuser, who can make roles.
ADMIN_URL = pytest.StashKey[str]()

#: Shares that take minutes although they have few tests.
LONG = {
    "the whole product",
    "tests/security/test_adversary.py",
    "tests/security/test_schemathesis.py",
    "tests/tasks/test_alert_limits.py",
    "tests/tasks/test_beat.py",
    "tests/tasks/test_kill.py",
    "tests/tasks/test_sms_limits.py",
    "tests/runtime/test_preflight.py",
    "tests/webapp/test_serving.py",
    "tests/webapp/agents/test_stateful.py",
}

_stack = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers and set the variables, before our code reads the settings of the process."""
    if config.option.collectonly or config.option.help:
        return
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        return  # this process hands the tests to workers (pytest -n), each of which has servers of its own
    folder = Path(tempfile.mkdtemp(prefix="holdline-tests-"))
    folder.chmod(0o711)  # Postgres never runs as root: its account must pass through
    _stack.callback(shutil.rmtree, folder, ignore_errors=True)
    try:
        running = _stack.enter_context(services.running(folder, pg_port=None, redis_port=None, fsync=False))
    except services.ServicesError as error:
        _stack.close()
        pytest.exit(str(error), returncode=1)
    config.stash[ADMIN_URL] = running.admin_url or ""
    os.environ.update(
        APP_ENV="development",
        DATABASE_URL=running.database_url,
        REDIS_URL=running.redis_url,
        PUBLIC_BASE_URL="http://127.0.0.1:1",  # no server listens: a test posts receipts itself
        TWILIO_API_BASE_URL=f"http://127.0.0.1:{free_port()}",
        BROKER_TIMEOUT="5",  # the maximum: a busy machine must not lose a nudge that a test looks for
        SMS_WATCH="0",  # no worker runs beside these tests; the journeys have their own
        SECRET_KEY="7d1f0c2ab94e58633e0a9c71d2f8b6450f9a2e7cd3b1846e5a70c9f12b8d3e64",
    )
    command.upgrade(Config(str(ROOT / "alembic.ini")), "head")
    with psycopg.connect(running.database_url, autocommit=True) as connection:
        connection.execute(SHIFTED_CLOCK)
        role = connection.execute(
            "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        )
        if role.fetchone() != (False,):
            pytest.exit("the tests connect as a superuser, whom no wall stops: they would prove nothing", 1)


def pytest_unconfigure() -> None:
    if attacks := sys.modules.get("webapp.attacks"):
        attacks.flush()  # or its thread would connect to a database that is gone
    _stack.close()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin each test as after a start; the fixtures of its module are made after this."""
    from tests import afresh  # noqa: PLC0415 (its settings exist only now)

    afresh.forget_all(_operator())


@cache
def _operator() -> psycopg.Connection:
    """An operator's connection that lasts as long as the tests run."""
    return _stack.enter_context(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True))


@pytest.fixture(autouse=True, scope="session")
def _patience() -> None:
    """Lengthen the time-out in a transaction, so that a test on a busy machine is not taken for frozen."""
    from models.base import session  # noqa: PLC0415 (its settings exist only now)

    session.IDLE_IN_TRANSACTION = 120


@pytest.fixture(scope="session")
def database_url() -> str:
    return os.environ["DATABASE_URL"]


@pytest.fixture(scope="session")
def admin_url(pytestconfig: pytest.Config) -> str:
    """The superuser's URL; only to make the roles that a test is about."""
    return pytestconfig.stash[ADMIN_URL]


@pytest.fixture(scope="session")
def app() -> Flask:
    from tests import afresh  # noqa: PLC0415 (its settings exist only now)

    return afresh.application()


@pytest.fixture(scope="session")
def twilio() -> Iterator[str]:
    """Run the sandbox Twilio at the address of the settings; yields its URL."""
    port = int(os.environ["TWILIO_API_BASE_URL"].rpartition(":")[2])
    with running_sandbox(port=port) as url:
        yield url


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection]:
    """An operator's own connection, committing each statement."""
    with psycopg.connect(database_url, autocommit=True, options="-c app.scope=system") as connection:
        yield connection


@pytest.fixture
def clock(sql: psycopg.Connection) -> Iterator[Clock]:
    """The database's clock, which the test moves; it is set right afterwards."""
    yield Clock(sql)
    sql.execute("UPDATE test_clock SET shift = '0', stopped_at = NULL")


class Clock:
    def __init__(self, sql: psycopg.Connection) -> None:
        self._sql = sql

    def stop(self) -> None:
        """Stop the clock; from now on only `forward` moves it."""
        self._sql.execute("UPDATE test_clock SET stopped_at = coalesce(stopped_at, clock_timestamp())")

    def forward(self, seconds: float) -> None:
        self._sql.execute("UPDATE test_clock SET shift = shift + make_interval(secs => %s)", [seconds])


# --- side by side -------------------------------------------------------------------------------


def share(test: str) -> str:
    """The share of a test, which one worker runs as a whole: its file, or all tests of the whole product."""
    file = test.partition("::")[0]
    return "the whole product" if file.startswith(("tests/journey/", "tests/browser/")) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Make `pytest -n` deal the tests out by shares, because the tests of a share start the same slow things.

    The order is that of pytest_collection_modifyitems. Another `--dist` is left as it is.
    """
    if config.option.dist != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 (only `-n` needs it)

    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = share
    return scheduler


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the longest shares first for workers, so that no long share is left at the end."""
    if hasattr(config, "workerinput"):
        many = Counter(share(item.nodeid) for item in items)
        items.sort(key=lambda item: (share(item.nodeid) not in LONG, -many[share(item.nodeid)]))
