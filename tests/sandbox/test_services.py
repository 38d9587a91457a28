"""The servers from wheels, as real processes: they heal, they refuse in plain words, they leave nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from sandbox import data_folder, services, supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(services.__file__).parent.parent
run = partial(services.running, pg_port=None, redis_port=None, fsync=False)
# Ends with its standard input, so that nothing outlives a pytest that is killed.
HOLDER = """
import sys
from pathlib import Path
from sandbox import services
with services.running(Path(sys.argv[1]), pg_port=None, redis_port=None, fsync=False) as running:
    keepers = [keeper._keeper.pid for keeper in running.keepers]
    print(running.database_url, running.redis_url, *keepers, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: its parent is closed to the account that Postgres runs as when we are root.
    path = Path(tempfile.mkdtemp(prefix="holdline-"))
    yield path
    shutil.rmtree(path)


def until(done: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def query(url: str, sql: str) -> object:
    with psycopg.connect(url, connect_timeout=5) as session:
        cursor = session.execute(sql.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def answers(url: str) -> bool:
    try:
        if url.startswith("redis:"):
            with redis.Redis.from_url(url, socket_timeout=2) as client:
                return bool(client.ping())
        return query(url, "SELECT 1") == 1
    except (redis.RedisError, psycopg.OperationalError):
        return False


def test_the_app_is_no_superuser_and_may_do_what_migrations_and_tests_need(folder: Path) -> None:
    with run(folder) as running:
        rights = "concat_ws(' ', rolsuper, rolbypassrls, rolcreatedb, rolcreaterole)"
        assert query(running.database_url, f"SELECT {rights} FROM pg_roles WHERE rolname = user") == "f f t f"
        query(running.database_url, "CREATE EXTENSION btree_gist")
        assert query(running.database_url, "SHOW timezone") == "UTC"
        assert query(running.database_url, "SELECT upper('\u00e4')") == "\u00c4"
        assert running.admin_url is not None
        assert query(running.admin_url, "SHOW max_connections") == "200"
        assert running.bin_dir is not None
        assert (running.bin_dir / "psql").exists()
        assert (folder / "services.json").stat().st_mode & 0o777 == 0o600
        without_password = running.database_url.replace(
            ":" + running.database_url.split(":")[2], "@127.0.0.1"
        )
        assert not answers(without_password)
        assert not answers(f"redis://127.0.0.1:{running.redis_url.split(':')[-1]}")


def test_kill_9_of_the_starter_stops_the_servers_and_loses_nothing(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        database_url, redis_url, *_ = holder.stdout.readline().split()
        query(database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        holder.kill()
        # Started in the same moment: it waits until the servers of the killed copy are gone.
        with run(folder) as running:
            assert not answers(database_url)
            assert not answers(redis_url)
            assert query(running.database_url, "SELECT answer FROM kept") == 42
            same_password = database_url.rpartition("@")[0]
            assert running.database_url.rpartition("@")[0] == same_password


def test_two_folders_run_side_by_side_and_one_folder_runs_once(folder: Path) -> None:
    other = folder / "a long name with spaces, \u00e4 and a 'quote'"
    with run(folder) as one, run(other) as two:
        query(one.database_url, "CREATE TABLE here ()")
        assert query(one.database_url, "SELECT count(*) FROM pg_tables WHERE tablename = 'here'") == 1
        assert query(two.database_url, "SELECT count(*) FROM pg_tables WHERE tablename = 'here'") == 0
        assert data_folder.in_use(folder)
        with pytest.raises(services.ServicesError, match="another copy runs in"), run(folder):
            pass
    assert not data_folder.in_use(folder)


@pytest.mark.parametrize("server", ["postgres", "redis"])
def test_a_killed_server_comes_back_by_itself_where_it_was(folder: Path, server: str) -> None:
    with run(folder) as running:
        keeper = next(keeper for keeper in running.keepers if keeper.process.name == server)
        url = running.database_url if server == "postgres" else running.redis_url
        keeper.events()
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGKILL)
        until(lambda: keeper.events() == [f"{server} died (signal 9); starting it again"])
        until(lambda: answers(url), 5.0)


def test_servers_whose_keepers_were_killed_too_are_found_and_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "GRACE", 1.0)  # how long the second copy waits for keepers
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        database_url, redis_url, *keepers = holder.stdout.readline().split()
        holder.send_signal(signal.SIGSTOP)
        for pid in keepers:
            os.kill(int(pid), signal.SIGKILL)
        holder.kill()
        assert answers(database_url)
        assert answers(redis_url)
        with run(folder) as running:
            assert not answers(database_url)
            assert not answers(redis_url)
            assert answers(running.database_url)


def test_a_port_in_use_is_named_with_its_variable(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(services.ServicesError, match=f"^port {port} is in use; set PG_PORT to another$"),
            services.running(folder, pg_port=port, redis_port=None),
        ):
            pass
        with (
            pytest.raises(
                services.ServicesError, match=f"^port {port} is in use; set FLOWER_PORT to another$"
            ),
            run(folder, ports={"FLOWER_PORT": port}),
        ):
            pass


def test_servers_of_ones_own_are_left_alone(folder: Path) -> None:
    with run(folder, database_url="postgresql://elsewhere/x", redis_url="rediss://elsewhere") as running:
        assert running.keepers == ()
        assert (running.database_url, running.redis_url) == ("postgresql://elsewhere/x", "rediss://elsewhere")
        assert running.admin_url is None
        assert running.bin_dir is None


def test_binaries_that_do_not_run_are_an_advice_and_no_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_BIN_DIR", str(folder))
    with pytest.raises(services.ServicesError, match="set DATABASE_URL"), run(folder):
        pass


def test_a_database_whose_passwords_are_lost_is_an_advice_and_no_traceback(folder: Path) -> None:
    (folder / "pg").mkdir()
    with pytest.raises(services.ServicesError, match="to start afresh"), run(folder):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the servers to another account")
def test_a_folder_that_the_servers_account_cannot_reach_is_refused(folder: Path) -> None:
    folder.chmod(0o700)
    closed = folder / "below"
    assert not data_folder.reachable(closed)
    with pytest.raises(services.ServicesError, match="cannot get to"), run(closed):
        pass
