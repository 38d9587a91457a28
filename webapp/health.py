"""/healthz: the process lives. /readyz: it can do its work."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import redis
from alembic.config import Config
from alembic.script import ScriptDirectory
from flask import Blueprint, Response, jsonify
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

import preflight
from models.session import Door, system_transaction

blueprint = Blueprint("health", __name__)

#: Seconds. A row that is due is taken within a few; one that waits so long waits for a worker.
_TOO_LONG = 60

#: What is due and nobody has taken, by what takes it. The rows are the queues; Redis only has hints of them.
_WAITING = """
    SELECT CASE kind WHEN 'otp' THEN 'worker_otp' ELSE 'worker' END AS process, count(*) AS waiting,
           extract(epoch FROM app_clock() - min(next_attempt_at)) AS age
      FROM sms_messages WHERE status = 'queued' AND next_attempt_at < app_clock() GROUP BY 1
    UNION ALL
    SELECT 'worker', count(*), extract(epoch FROM app_clock() - min(score_due_at))
      FROM calls WHERE score_due_at < app_clock() HAVING count(*) > 0
"""

#: The rules that stand in the database. Whoever restores only its tables has lost them.
FUNCTIONS = ("claim_slot_atomic", "confirm_held_slot", "release_hold", "begin_tool_call")


@blueprint.get("/")
def index() -> Response:
    return jsonify(name="Holdline", openapi="/openapi.json", healthz="/healthz", readyz="/readyz")


@blueprint.get("/healthz")
def healthz() -> Response:
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """200 when every check is "ok", else 503; each check says in words what is wrong."""
    checks = {"database": _database(), "redis": _redis(), "queues": _queues()}
    ready = all(outcome == "ok" for outcome in checks.values())
    return jsonify(status="ready" if ready else "not ready", checks=checks), 200 if ready else 503


def _database() -> str:
    try:
        with system_transaction(Door.READINESS) as session:
            revision = session.scalar(text("SELECT version_num FROM alembic_version"))
            missing = missing_functions(session)
            level = session.scalar(text("SHOW transaction_isolation"))
    except SQLAlchemyError as error:
        return f"no answer: {type(error).__name__}"
    if revision != newest_revision():
        return f"schema is at {revision}, the code needs {newest_revision()}: run `alembic upgrade head`"
    if missing:
        return f"functions are missing: {', '.join(missing)}"
    if level != "read committed":
        return f"isolation level is {level}; the locks need read committed"
    if problems := preflight.problems():
        return " ".join(problems)
    return "ok"


def _queues() -> str:
    try:
        with system_transaction(Door.READINESS) as session:
            rows = session.execute(text(_WAITING)).all()
    except SQLAlchemyError as error:
        return f"no answer: {type(error).__name__}"
    late = [
        f"{row.waiting} rows wait for {row.process}, the oldest for {row.age:.0f} seconds"
        for row in rows
        if row.age > _TOO_LONG
    ]
    return "; ".join(late) + ": is it running, and beat too?" if late else "ok"


def _redis() -> str:
    client = preflight.redis_client()
    try:
        client.ping()
    except redis.RedisError as error:
        return f"it {preflight.no_answer_of_redis(error)}; SMS wait in the database until it is back"
    finally:
        client.close()
    return "ok"


def missing_functions(session: Session) -> list[str]:
    """Those of FUNCTIONS that are not in this database."""
    names = text("SELECT proname FROM pg_proc WHERE proname = ANY(:names)")
    return sorted(set(FUNCTIONS) - set(session.scalars(names, {"names": list(FUNCTIONS)})))


@cache
def newest_revision() -> str | None:
    """That which the code needs."""
    config = Config(str(Path(__file__).parent.parent / "alembic.ini"))
    return ScriptDirectory.from_config(config).get_current_head()
