"""The checks of the machine: addresses, the database and its backup, Redis, the workers and beat."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import redis
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

import settings
from celeryconfig import Queue, Task
from models.base import preconditions
from models.base.session import Door, system_transaction
from models.clinics import sweeps
from runtime import preflight
from webapp.cli import workers
from webapp.cli.doctor.findings import Findings, missing, ok, warning
from webapp.ops.health import FUNCTIONS, missing_functions, newest_revision

MIGRATE = "alembic upgrade head, with the settings of the web process"

#: Seconds. Beat ticks every five, and without beat a worker ticks every fifteen.
BEAT_AWAY = 30.0


def check_surroundings() -> Findings:
    config = settings.get()
    url = urlsplit(config.public_base_url)
    mend = "set PUBLIC_BASE_URL to https://… as Twilio and Vapi reach it, without a path"
    local = _is_local(url.hostname or "")
    if url.scheme == "https" and not local:
        yield ok("PUBLIC_BASE_URL", config.public_base_url)
    elif config.development:
        yield ok("PUBLIC_BASE_URL", f"{config.public_base_url}, which will do for development")
    else:
        why = "it cannot be reached from outside" if local else "it is not https"
        yield missing("PUBLIC_BASE_URL", f"{config.public_base_url}: {why}", mend)
    if config.proxy_is_overlooked:
        yield warning(
            "proxies",
            "PUBLIC_BASE_URL is https, so a proxy stands in front, but PROXIES is 0: all clients"
            " behind it count as one address",
            "set PROXIES to the number of reverse proxies in front (1 for a single nginx)",
        )
    else:
        yield ok("proxies", f"{config.proxies_in_front} in front")


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in ("", "localhost") or host.endswith((".localhost", ".local"))
    return address.is_loopback or address.is_private or address.is_unspecified


def check_database() -> Findings:
    try:
        with system_transaction(Door.READINESS) as session:
            revision = session.scalar(text("SELECT version_num FROM alembic_version"))
            lost = missing_functions(session)
    except SQLAlchemyError as error:
        yield missing(
            "database",
            f"no answer ({type(error).__name__})",
            "check DATABASE_URL, and that the database is migrated",
        )
        return
    newest = newest_revision()
    if revision == newest:
        yield ok("database", f"at revision {revision}")
    else:
        yield missing("database", f"it is at revision {revision}, the code needs {newest}", MIGRATE)
    if lost:
        yield missing("SQL functions", f"missing: {', '.join(lost)}", MIGRATE)
    else:
        yield ok("SQL functions", ", ".join(FUNCTIONS))
    yield from _backup()
    yield from _preflight()


#: The tables and sequences that pg_dump must read but the role may not.
_UNREADABLE = """
SELECT c.relname::text
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace
   AND CASE c.relkind WHEN 'r' THEN NOT has_table_privilege(c.oid, 'SELECT')
                      WHEN 'S' THEN NOT has_sequence_privilege(c.oid, 'SELECT') END
 ORDER BY c.relname
"""


def _backup() -> Findings:
    """Whether the backup of docs/operations.md (pg_dump) would see every row of every table."""
    try:
        with system_transaction(Door.READINESS) as session:
            sees_all = session.scalar(text("SELECT in_system_scope()"))
            unreadable = session.scalars(text(_UNREADABLE)).all()
    except SQLAlchemyError:
        return  # reported by check_database
    if not sees_all:
        yield missing("backup", "the role does not see every clinic, so pg_dump would fail", MIGRATE)
    elif unreadable:
        yield missing("backup", f"the role may not read {', '.join(unreadable)}: pg_dump would fail", MIGRATE)
    else:
        yield ok("backup", "pg_dump can read everything; the command is in docs/operations.md under Backup")


def _preflight() -> Findings:
    """The checks of every process at its start: the role, its isolation, row security, Redis's policy."""
    problems, noticed = preflight.problems(preconditions.look), preflight.warnings(preconditions.look)
    for problem in problems:
        yield missing("before the start", problem)
    for notice in noticed:
        yield warning("before the start", notice)
    if not (problems or noticed):
        yield ok("before the start", "row security, isolation and Redis are in order")


def check_redis_and_workers() -> Findings:
    mend = "check REDIS_URL, and that the server runs; meanwhile calls are answered and SMS wait"
    try:
        with preflight.redis_client() as client:
            client.ping()
        yield ok("Redis", "answers")
        served = workers.queues_served()
    except (redis.RedisError, workers.RedisAway) as error:
        yield missing("Redis", f"no answer ({type(error).__name__})", mend)
        return
    for queue in Queue:
        process = "worker_otp" if queue is Queue.OTP else "worker"
        if queue.value in served:
            yield ok(f"queue {queue.value}", "a worker answers")
        else:
            yield missing(f"queue {queue.value}", "no worker answers", f"start the Procfile's {process}")
    if Queue.HOUSEKEEPING.value in served:
        yield from _beat()


def _beat() -> Findings:
    """Whether beat ticks, judged by the rows that its ticks leave, and so by the database's clock."""
    try:
        with system_transaction(Door.READINESS) as session:
            ages = sweeps.ages(session, Task.SWEEP_SMS.value)
    except SQLAlchemyError:
        return  # reported by check_database
    if ages.beat is None:
        yield missing("beat", "it has never ticked", "start one beat, as the Procfile has it")
    elif ages.beat > BEAT_AWAY:
        yield missing(
            "beat", f"it last ticked {ages.beat:.0f} seconds ago", "start one beat, as the Procfile has it"
        )
    else:
        yield ok("beat", f"it last ticked {ages.beat:.0f} seconds ago")
    if ages.done is None or ages.done > BEAT_AWAY:
        yield missing(
            "sweeps",
            "none has ever finished" if ages.done is None else f"the last one finished {ages.done:.0f} s ago",
            "check that the Procfile's worker runs, and read its log",
        )
