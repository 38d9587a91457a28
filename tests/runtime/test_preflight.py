"""Every way in which a production start is unsafe, each set up for real, and started as a real process."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
import redis
from psycopg import sql as query
from sqlalchemy import make_url

from models.base import preconditions
from runtime import preflight
from tests.concurrency.databases import new_database
from tests.conftest import ADMIN_URL
from tests.places import ROOT, free_port
from tests.processes import CELERY
from tests.surroundings import environment

WEB = (sys.executable, "-c", "import wsgi")
WORKER = (*CELERY, "worker", "-c", "1", "-Q", "otp", "-n", "preflight")

Done = subprocess.CompletedProcess[str]


def start(*command: str, **variables: str) -> Done:
    """Start a process as in production, in the tests' surroundings but for what is given."""
    clean = {
        name: value for name, value in os.environ.items() if name not in (*preflight.PLATFORMS, "FLASK_DEBUG")
    }
    return subprocess.run(
        command or WEB,
        cwd=ROOT,
        env=clean | {"APP_ENV": "production"} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(
    "command",
    [
        WEB,
        (sys.executable, "-m", "alembic", "upgrade", "head"),
        (*CELERY, "worker"),
        (*CELERY, "beat"),
        (sys.executable, "-m", "celery", "-A", "tasks.flower", "flower"),
    ],
)
def test_settings_that_are_wrong_are_said_and_nothing_else(command: tuple[str, ...]) -> None:
    done = start(*command, DATABASE_URL="foo", REDIS_URL="foo")
    assert done.returncode == 1
    first, *lines = done.stderr.splitlines()
    assert first.startswith("Holdline cannot start")
    assert [line.split(":")[0] for line in lines] == ["  DATABASE_URL", "  REDIS_URL"]


def refused(done: Done) -> list[str]:
    """The sentences of a process that did not start."""
    assert done.returncode == 3, done.stderr  # what gunicorn takes for "cannot start"
    said = done.stderr[done.stderr.index("Holdline does not start:") :]
    assert "Traceback" not in said
    return [line.strip() for line in said.splitlines()[1:] if line.startswith("  ")]


@pytest.fixture
def admin(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    with psycopg.connect(request.config.stash[ADMIN_URL], autocommit=True) as connection:
        yield connection


@contextmanager
def role(admin: psycopg.Connection, database_url: str, rights: str, *settings: str) -> Iterator[str]:
    """The URL of the tests' database for a role of its own."""
    name = f"preflight_{uuid.uuid4().hex[:8]}"
    identifier = query.Identifier(name)
    admin.execute(query.SQL(f"CREATE ROLE {{}} LOGIN {rights} PASSWORD 'preflight'").format(identifier))
    try:
        for setting in settings:
            admin.execute(query.SQL(f"ALTER ROLE {{}} SET {setting}").format(identifier))
        url = make_url(database_url).set(username=name, password="preflight")
        yield url.render_as_string(hide_password=False)
    finally:
        admin.execute(query.SQL("DROP ROLE {}").format(identifier))


@contextmanager
def evicting(policy: str = "allkeys-lru") -> Iterator[None]:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        before = client.config_get("maxmemory-policy")["maxmemory-policy"]
        client.config_set("maxmemory-policy", policy)
        try:
            yield
        finally:
            client.config_set("maxmemory-policy", before)


# --- as it should be ----------------------------------------------------------------------------


def test_in_good_surroundings_production_starts_without_a_word() -> None:
    done = start()
    assert (done.returncode, done.stderr) == (0, "")


#: Looks around as a start does, and prints after each look to which ports this process is connected.
LOOKS = """
import psutil
from models.base import preconditions
from runtime import preflight
def connected():
    print(*sorted(each.raddr.port for each in psutil.Process().net_connections() if each.raddr))
assert preflight.problems(preconditions.look) == preflight.warnings(preconditions.look) == []
connected()
preflight.refuse_to_start(preconditions.look_at_start)
connected()
"""


def test_it_keeps_no_connection(database_url: str) -> None:
    """Looked at in a process of its own, which has no connection but those that preflight makes."""
    done = start(sys.executable, "-c", LOOKS)
    assert done.returncode == 0, done.stderr
    looking, started = done.stdout.splitlines()
    assert set(looking.split()) == {str(make_url(database_url).port)}
    assert started == ""


# --- the database -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rights", "named"), [("BYPASSRLS", "has BYPASSRLS"), ("SUPERUSER", "is a superuser")]
)
def test_a_role_that_row_security_does_not_bind(
    admin: psycopg.Connection, database_url: str, rights: str, named: str
) -> None:
    with role(admin, database_url, rights) as url:
        [problem] = refused(start(DATABASE_URL=url))
        assert named in problem
        assert "NOSUPERUSER NOBYPASSRLS" in problem
        assert any(named in problem for problem in refused(start(SYSTEM_DATABASE_URL=url)))


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_another_isolation_level_of_the_role(
    admin: psycopg.Connection, database_url: str, level: str
) -> None:
    with role(admin, database_url, "", f"default_transaction_isolation TO '{level}'") as url:
        [problem] = refused(start(DATABASE_URL=url))
    assert f"are {level} by default" in problem


def test_another_isolation_level_of_the_database(database_url: str) -> None:
    with new_database(database_url) as url, psycopg.connect(url, autocommit=True) as owner:
        name = query.Identifier(url.rsplit("/", 1)[1])
        owner.execute(
            query.SQL("ALTER DATABASE {} SET default_transaction_isolation TO 'serializable'").format(name)
        )
        with environment(APP_ENV="production", DATABASE_URL=url):
            [problem] = preflight.problems(preconditions.look)
    assert "are serializable by default" in problem


@pytest.mark.parametrize("wall", ["", "ENABLE ROW LEVEL SECURITY", "FORCE ROW LEVEL SECURITY"])
def test_a_table_of_organisations_without_its_wall(database_url: str, wall: str) -> None:
    with new_database(database_url) as url, psycopg.connect(url, autocommit=True) as owner:
        for table, columns in (
            ("organizations", "id uuid"),
            ("leaky", "org_id uuid"),
            ("harmless", "id uuid"),
        ):
            owner.execute(query.SQL(f"CREATE TABLE {table} ({columns})"))
            if wall:
                owner.execute(query.SQL(f"ALTER TABLE {table} {wall}"))
        [problem] = refused(start(DATABASE_URL=url))
        assert "not forced on leaky, organizations: run `alembic upgrade head`" in problem
        for table in ("organizations", "leaky"):
            owner.execute(
                query.SQL(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
            )
        assert start(DATABASE_URL=url).returncode == 0


def test_a_policy_that_lets_through_more(database_url: str) -> None:
    with new_database(database_url) as url, psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE TABLE organizations (id uuid)")
        owner.execute("ALTER TABLE organizations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        ours = "USING (id = current_setting('app.org_id')::uuid)"
        owner.execute(query.SQL(f"CREATE POLICY own_organization ON organizations {ours}"))
        assert start(DATABASE_URL=url).returncode == 0
        owner.execute("CREATE POLICY for_a_moment ON organizations USING (true)")
        [problem] = refused(start(DATABASE_URL=url))
        assert "another policy than ours on organizations" in problem
        owner.execute("DROP POLICY for_a_moment ON organizations")
        owner.execute("ALTER POLICY own_organization ON organizations USING (true)")
        [problem] = refused(start(DATABASE_URL=url))
        assert "another policy than ours on organizations" in problem


def test_a_worker_does_not_start_either(admin: psycopg.Connection, database_url: str) -> None:
    with role(admin, database_url, "BYPASSRLS") as url:
        [problem] = refused(start(*WORKER, DATABASE_URL=url))
    assert "BYPASSRLS" in problem


# --- Redis --------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_redis_that_throws_tasks_away(policy: str) -> None:
    with evicting(policy):
        [problem] = refused(start())
    assert f"maxmemory-policy {policy}" in problem


def test_a_redis_that_does_not_tell_is_a_warning() -> None:
    url = os.environ["REDIS_URL"]
    with redis.Redis.from_url(url) as client:
        client.execute_command("ACL", "SETUSER", "limited", "on", ">limited", "~*", "&*", "+@all", "-info")
        try:
            done = start(REDIS_URL=f"redis://limited:limited@{url.rpartition('@')[2]}")
        finally:
            client.execute_command("ACL", "DELUSER", "limited")
    assert done.returncode == 0
    assert "does not tell its maxmemory-policy (NoPermissionError)" in done.stderr


# --- the environment ----------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "starts"), [("1", False), ("true", False), ("0", True), ("", True)])
def test_flasks_debugger(value: str, starts: bool) -> None:  # noqa: FBT001 (one of the parameters)
    with environment(APP_ENV="production", FLASK_DEBUG=value):
        found = preflight.problems(preconditions.look)
    assert (found == []) is starts
    assert all("FLASK_DEBUG" in problem for problem in found)


@pytest.mark.parametrize("name", preflight.PLATFORMS)
def test_the_development_exception_on_a_managed_platform(name: str) -> None:
    assert {"DYNO", "RENDER", "RAILWAY_ENVIRONMENT", "FLY_APP_NAME", "K_SERVICE"} <= set(preflight.PLATFORMS)
    [problem] = refused(start(APP_ENV="development", **{name: "web.1"}))
    assert "without a credential" in problem
    assert name in problem
    assert start(**{name: "web.1"}).returncode == 0


def test_a_default_secret_is_refused_by_the_settings() -> None:
    done = start(SECRET_KEY="development-only-key-never-in-production")
    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr


# --- together -----------------------------------------------------------------------------------


def test_all_problems_are_told_at_once(admin: psycopg.Connection, database_url: str) -> None:
    isolation = "default_transaction_isolation TO 'repeatable read'"
    with role(admin, database_url, "BYPASSRLS", isolation) as url, evicting():
        found = refused(start(DATABASE_URL=url, FLASK_DEBUG="1"))
        told = [problem.split()[0] for problem in found]
        assert told == ["FLASK_DEBUG", "The", "Transactions", "Redis"]
        done = start(DATABASE_URL=url, APP_ENV="development", FLASK_DEBUG="1")
    assert done.returncode == 0  # a laptop's database may be anything
    assert all(problem.split("`")[0] in done.stderr for problem in found[1:])


def test_it_starts_while_database_and_redis_are_away(database_url: str) -> None:
    away = f"postgresql://x:y@127.0.0.1:{free_port()}/x"
    done = start(DATABASE_URL=away, REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    assert done.returncode == 0
    assert "The database does not answer (OperationalError)" in done.stderr
    assert "Redis does not answer (ConnectionError)" in done.stderr
