"""The servers' data folder: its locks, its passwords, and the account that owns it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pwd
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psycopg
import redis

from sandbox import supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OWN_SERVER = "set DATABASE_URL to a PostgreSQL (15 or newer) and REDIS_URL to a Redis of your own"
SERVER_ENV = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}  # the same on every machine


class ServicesError(RuntimeError):
    """The servers cannot run. The message is one sentence that says what to do."""


@dataclasses.dataclass(frozen=True)
class Secrets:
    """The contents of services.json: a second start reads the passwords there, and the orphans' ports."""

    superuser: str
    holdline: str
    redis: str
    pg_port: int = 0
    redis_port: int = 0

    def database_url(self, user: str = "holdline", database: str = "holdline") -> str:
        password = self.holdline if user == "holdline" else self.superuser
        return f"postgresql://{user}:{password}@127.0.0.1:{self.pg_port}/{database}"

    @property
    def admin_url(self) -> str:
        return self.database_url("postgres", "postgres")

    @property
    def redis_url(self) -> str:
        return f"redis://:{self.redis}@127.0.0.1:{self.redis_port}/0"


@contextlib.contextmanager
def claimed(data_dir: Path) -> Iterator[int]:
    """Hold the folder; yields the descriptor of kids.lock for child processes to inherit.

    There are two locks. This process alone holds owner.lock: if it is taken, another copy runs. All processes
    that we start inherit kids.lock: if it is free, all of them have ended, however the last run ended. So pid
    files can be ignored (in a container another process soon has the same pid).
    """
    _prepare(data_dir)
    with (data_dir / "owner.lock").open("w") as owner, (data_dir / "kids.lock").open("w") as kids:
        if not wait(1.0, lambda: _locked(owner)):  # a copy that was killed takes a moment to end
            raise ServicesError(
                f"another copy runs in {data_dir}; stop it, or set HOLDLINE_DATA_DIR to another folder"
            )
        if not wait(supervisor.GRACE + 1, lambda: _locked(kids)):
            _stop_orphans(data_dir)
            if not wait(supervisor.GRACE, lambda: _locked(kids)):
                raise ServicesError(f"processes of an earlier run still use {data_dir}; stop them first")
        yield kids.fileno()


def in_use(data_dir: Path) -> bool:
    """Whether a copy runs in that folder right now."""
    with contextlib.suppress(OSError), (data_dir / "owner.lock").open("r") as owner:
        return not _locked(owner)
    return False


def reachable(folder: Path) -> bool:
    """Whether the account of Postgres, which refuses to run as root, can reach the folder."""
    while not folder.exists():
        folder = folder.parent
    return may("-x", folder, account_of_servers())


def _prepare(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if data_dir.stat().st_uid != os.geteuid():
            raise ServicesError(f"{data_dir} is another user's; set HOLDLINE_DATA_DIR to another folder")
        data_dir.chmod(0o711)  # Postgres's account must pass through; no other account may read
        (data_dir / "log").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ServicesError(
            f"{data_dir} cannot be used ({error.strerror}); set HOLDLINE_DATA_DIR to a folder of your own"
        ) from error
    if not reachable(data_dir):
        raise ServicesError(
            f"Postgres does not run as root, and the account that it runs as cannot get to {data_dir};"
            " set HOLDLINE_DATA_DIR to a folder below /var/lib or /var/tmp"
        )


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stop_orphans(data_dir: Path) -> None:
    """Stop servers whose keepers were killed as well. Our password proves them ours, which a pid cannot."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        known = Secrets(**json.loads((data_dir / "services.json").read_text()))
        with contextlib.suppress(redis.RedisError):
            redis.Redis.from_url(known.redis_url, socket_timeout=2).shutdown()
        with contextlib.suppress(psycopg.Error), psycopg.connect(known.admin_url, connect_timeout=2) as admin:
            for (pid_file,) in admin.execute("SELECT pg_read_file('postmaster.pid')"):
                os.kill(int(pid_file.split()[0]), signal.SIGINT)


def account_of_servers() -> tuple[int, int] | None:
    """The user and group id for the servers if we are root, which Postgres refuses to run as; else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise ServicesError("Postgres does not run as root, and there is no account named postgres or nobody")


def may(test: str, path: Path, account: tuple[int, int] | None) -> bool:
    """Whether the account passes this test of the shell: modes do not show access lists and mounts."""
    if account is None:
        return True
    command = ["/bin/sh", "-c", f'[ {test} "$0" ]', str(path)]
    user, group = account
    return not subprocess.run(
        command, user=user, group=group, extra_groups=[], cwd="/", env=SERVER_ENV, check=False
    ).returncode


def wait(seconds: float, done: Callable[[], bool]) -> bool:
    """Ask `done` until it is true or the seconds are over; returns whether it became true."""
    deadline = time.monotonic() + seconds
    while not (finished := done()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return finished


def write_private(path: Path, text: str) -> None:
    """Replace the whole file; only our account can read it, from the start."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(path)
