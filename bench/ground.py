"""The ground of the measurements: a Postgres and a Redis of our own with fsync on, migrated, with clinics."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

import settings
from sandbox import services, supervisor

ROOT = Path(__file__).resolve().parent.parent
CALENDARS = 200
PATIENTS = 1000  # who have called before
HOT = "hot"  # one more calendar, on which all clients claim
#: In a schema of their own, because the product does not start if one of its tables has no row security.
PLAIN, CONSTRAINED = "bench.plain", "bench.constrained"

#: The floors: a table with only the columns and the primary key of a hold; and the same table under the
#: exclusion constraint of occupancies, without its stored column.
FLOORS = f"""
CREATE SCHEMA bench;
CREATE TABLE {PLAIN} (LIKE appointment_holds INCLUDING DEFAULTS, PRIMARY KEY (id));
CREATE TABLE {CONSTRAINED} (LIKE appointment_holds INCLUDING DEFAULTS, PRIMARY KEY (id));
DO $$ BEGIN
    EXECUTE (SELECT 'ALTER TABLE {CONSTRAINED} ADD '
                 || replace(pg_get_constraintdef(oid), ' during WITH', ' tstzrange(starts_at, ends_at) WITH')
               FROM pg_constraint WHERE conrelid = 'occupancies'::regclass AND contype = 'x');
END $$;
"""

#: A person with a diary for each name, who works all day, and a calendar of theirs; five do the same service.
SET_UP = """
CREATE TEMP TABLE names ON COMMIT DROP AS
SELECT name AS id, 'visit-' || n / 5 AS service FROM unnest(%(names)s::text[]) WITH ORDINALITY u(name, n);
INSERT INTO services (org_id, id, name, horizon_days)
SELECT DISTINCT %(org)s::uuid, service, 'Visit', 3660 FROM names;
INSERT INTO resources (org_id, id, kind, name, time_zone)
SELECT %(org)s, id, 'person', 'A diary', 'Europe/London' FROM names;
INSERT INTO resource_hours (org_id, resource_id, weekday, from_minute, until_minute)
SELECT %(org)s, id, day, 0, 1440 FROM names, generate_series(0, 6) day;
INSERT INTO service_resources (org_id, service_id, resource_id) SELECT %(org)s, service, id FROM names;
INSERT INTO calendars (org_id, id, name, resource_id, service_id, time_zone)
SELECT %(org)s, id, 'A diary', id, service, 'Europe/London' FROM names
"""

#: Removes the folder when its standard input ends, also after a kill -9 of this process, and once the servers
#: have released the folder.
_CLEANER = """
import fcntl, shutil, sys
sys.stdin.read()
try:
    with open(sys.argv[1] + "/kids.lock") as kids:
        fcntl.flock(kids, fcntl.LOCK_EX)
except OSError:
    pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


@dataclasses.dataclass(frozen=True)
class Clinic:
    org_id: uuid.UUID
    secret: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Ground:
    folder: Path
    database_url: str
    pgbench: Path
    environment: dict[str, str]  # of our processes
    processes: supervisor.Supervisor
    lock: int

    def start(self, name: str, command: list[str], **environment: str) -> None:
        """Start a process, which ends with this one."""
        log = str(self.folder / "log" / f"{name}.log")
        everything = self.environment | environment
        process = supervisor.Process(name, command, log, everything, cwd=str(ROOT), inherit=(self.lock,))
        self.processes.start(process)

    def connect(self) -> psycopg.Connection:
        """The connection of an operator, who sees every clinic."""
        return psycopg.connect(self.database_url, autocommit=True, options="-c app.scope=system")

    def clinic(self, name: str) -> Clinic:
        """Make a clinic with many calendars, patients who have called before, and a credential."""
        clinic = Clinic(uuid.uuid4(), secrets.token_urlsafe(32))
        digest = hashlib.sha256(clinic.secret.encode()).hexdigest()
        with self.connect() as sql, sql.transaction(), sql.cursor() as cursor:
            cursor.execute(
                "INSERT INTO organizations (id, name, region, sandbox, holds_per_phone, unproved_holds)"
                " VALUES (%s, %s, 'GB', true, 1000000, 0)",
                [clinic.org_id, name],
            )
            cursor.execute(
                "INSERT INTO vapi_credentials (org_id, kind, secret_digest) VALUES (%s, 'bearer', %s)",
                [clinic.org_id, digest],
            )
            names = [*map(str, range(CALENDARS)), HOT]
            for statement in SET_UP.split(";\n"):
                cursor.execute(statement.encode(), {"org": clinic.org_id, "names": names})
            cursor.executemany(
                "INSERT INTO contacts (org_id, phone, name) VALUES (%s, %s, 'John Smith')",
                [(clinic.org_id, f"+{phone(number)}") for number in range(PATIENTS)],
            )
        return clinic

    def holds(self, clinic: Clinic) -> int:
        """The number of the clinic's holds, to compare with the claims that succeeded."""
        with self.connect() as sql:
            row = sql.execute("SELECT count(*) FROM appointment_holds WHERE org_id = %s", [clinic.org_id])
            (count,) = row.fetchone() or (0,)
        return int(count)

    def analyze(self) -> None:
        with self.connect() as sql:
            sql.execute("ANALYZE")


def phone(number: int) -> int:
    """A fictional British number, without the plus."""
    return 447_700_900_000 + number


@contextlib.contextmanager
def prepared(say: Callable[[str], None]) -> Iterator[Ground]:
    with _folder() as folder, services.running(folder, pg_port=None, redis_port=None) as servers:
        if servers.bin_dir is None:
            raise services.ServicesError("there is no pgbench")
        environment = _environment(servers)
        with supervisor.Supervisor(say, others=servers.keepers) as processes:
            pgbench = servers.bin_dir / "pgbench"
            ground = Ground(folder, servers.database_url, pgbench, environment, processes, servers.lock)
            migrate = [sys.executable, "-m", "alembic", "upgrade", "head"]
            log = str(folder / "log" / "release.log")
            processes.run(supervisor.Process("release", migrate, log, environment, cwd=str(ROOT)))
            with ground.connect() as sql:
                sql.execute(FLOORS)
            yield ground


def _environment(servers: services.Services) -> dict[str, str]:
    """Production's environment: the settings at their defaults except the limits, which are not measured."""
    ours = {name.upper() for name in settings.Settings.model_fields} | {"GUNICORN_CMD_ARGS"}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    return kept | {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "SECRET_KEY": secrets.token_hex(32),
        "HOST": "127.0.0.1",
        "RATE_PER_CREDENTIAL": "0",
        "RATE_PER_PHONE": "0",  # all calls of the bench come from one number
    }


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder on a disk (/tmp may be memory, where fsync costs nothing), which is removed in any case."""
    disk = Path("/var/tmp")  # noqa: S108 -- mkdtemp makes a folder of its own in it
    folder = Path(tempfile.mkdtemp(prefix="holdline-bench-", dir=disk if os.access(disk, os.W_OK) else None))
    folder.chmod(0o711)  # Postgres never runs as root: its account must pass through
    command = [sys.executable, "-I", "-S", "-c", _CLEANER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/", start_new_session=True):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
