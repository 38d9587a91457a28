"""A real PgBouncer before the tests' database, in its default configuration except the mode."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from tests.places import free_port

#: Debian installs it in /usr/sbin, which is not on every PATH.
BINARY = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")

CONFIGURATION = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
logfile = {folder}/log
"""


@contextmanager
def pooler(database_url: str, mode: str) -> Iterator[str]:
    """PgBouncer before a server, until the block ends. Yields the URL to reach the database by.

    Skips without the program, unless PGBOUNCER_REQUIRED is set, as in CI.
    """
    if BINARY is None:
        if os.environ.get("PGBOUNCER_REQUIRED"):
            pytest.fail("no pgbouncer was found, and PGBOUNCER_REQUIRED is set")
        pytest.skip("no pgbouncer on this machine (Debian: apt install pgbouncer)")
    database = make_url(database_url)
    listen = free_port()
    values = {"host": database.host, "port": database.port, "listen": listen, "mode": mode}
    with tempfile.TemporaryDirectory(prefix="holdline-pooler-") as made:
        folder = Path(made)
        (folder / "users").write_text(f'"{database.username}" "{database.password}"\n')
        (folder / "ini").write_text(CONFIGURATION.format(folder=folder, **values))
        account = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
        if account:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, account)
        command = [BINARY, "-q", str(folder / "ini")]
        process = subprocess.Popen(command, user=account, stderr=subprocess.DEVNULL, cwd="/")
        url = database.set(host="127.0.0.1", port=listen).render_as_string(hide_password=False)
        try:
            _wait_until_it_answers(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            return psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if "statement pooling mode" in str(error):
                return None
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.05)
