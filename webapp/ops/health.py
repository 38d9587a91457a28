"""/healthz: the process lives. /readyz: it can do its work."""

from __future__ import annotations

import uuid
from functools import cache
from http import HTTPStatus
from pathlib import Path

import redis
from flask import Blueprint, Response, jsonify, redirect, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from celeryconfig import Task
from models.base import preconditions
from models.base.session import Door, not_kept
from models.base.tables import Base
from models.clinics import sweeps
from models.clinics.organizations import Organization
from runtime import logs, preflight
from webapp.errors import wants_a_page
from webapp.unit_of_work import Busy, DatabaseAway, in_system_transaction, in_transaction

blueprint = Blueprint("health", __name__)

#: Seconds. A worker takes a due row within a few; if a row waits for longer than this, a worker is away.
_TOO_LONG = 60

#: Rows that are due and not taken, by the process that takes them. The rows are the queues; Redis only holds
#: nudges.
_WAITING = """
    SELECT CASE kind WHEN 'otp' THEN 'worker_otp' ELSE 'worker' END AS process, count(*) AS waiting,
           extract(epoch FROM app_clock() - min(next_attempt_at)) AS age
      FROM sms_messages WHERE status = 'queued' AND next_attempt_at < app_clock() GROUP BY 1
    UNION ALL
    SELECT 'worker', count(*), extract(epoch FROM app_clock() - min(score_due_at))
      FROM calls WHERE score_due_at < app_clock() HAVING count(*) > 0
"""

#: Rules that are functions in the database. A restore of its tables alone loses them.
FUNCTIONS = ("claim_slot_atomic", "confirm_held_slot", "release_hold", "begin_tool_call")


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """Lead people to the dashboard, and programs to the addresses that are for them."""
    if wants_a_page():
        return redirect(url_for("dashboard.home"), HTTPStatus.SEE_OTHER)
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
    """Try what a tool call needs, in transactions like a tool call's. Returns "ok" or what is wrong."""
    try:
        trouble = (
            in_system_transaction(Door.READINESS, _trouble_of_the_schema)
            or in_system_transaction(Door.READINESS, _trouble_of_writing)
            or in_transaction(in_system_transaction(Door.READINESS, _any_clinic), _trouble_of_writing)
        )
    except (Busy, DatabaseAway) as error:
        return _why(error)
    return trouble or " ".join(preflight.problems(preconditions.look)) or "ok"


def _trouble_of_the_schema(session: Session) -> str | None:
    revision = session.scalar(text("SELECT version_num FROM alembic_version"))
    if revision != newest_revision():
        return f"schema is at {revision}, the code needs {newest_revision()}: run `alembic upgrade head`"
    if missing := missing_functions(session):
        return f"functions are missing: {', '.join(missing)}"
    return None


def _any_clinic(session: Session) -> uuid.UUID:
    return session.scalar(select(Organization.id).limit(1)) or uuid.UUID(int=0)


#: The row that every tool call writes. Without a clinic nothing is written, but it needs the same privileges.
_WRITE = text(
    "INSERT INTO tool_calls (org_id, call_id, tool_call_id, tool, arguments_digest, reply, created_at)"
    " SELECT id, 'readyz', gen_random_uuid()::text, 'readyz', '', '{}', app_clock()"
    " FROM organizations LIMIT 1"
)

#: The tables that the role may not read and write. The audit log needs no UPDATE: nothing in it may change.
_DENIED = text(
    "SELECT name FROM unnest(CAST(:tables AS text[])) AS name WHERE NOT"
    " (has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT')"
    "  AND (name = 'audit_log' OR has_table_privilege(name, 'UPDATE'))) ORDER BY name"
)


def _trouble_of_writing(session: Session) -> str | None:
    """Write a row and roll it back, so that nothing is left; for all tables, check the privileges."""
    if denied := session.scalars(_DENIED, {"tables": list(Base.metadata.tables)}).all():
        return f"the role may not read and write {', '.join(denied)}; is a limit of the plan used up?"
    with session.begin_nested() as savepoint:
        session.execute(_WRITE)
        savepoint.rollback()
    if lost := not_kept(session):
        return f"a transaction does not keep what it was begun with: {'; '.join(lost)}"
    return None


def _why(error: Exception) -> str:
    """The error's name, with what the database said if that is about itself and not about a row."""
    cause = error.__cause__
    told = logs.describe(cause)[-1] if cause else {}
    words = told.get("text") if "sqlstate" in told else None  # else they are libpq's, and name a host
    return f"no answer: {type(cause or error).__name__}{f' ({words})' if words else ''}"


def _queues() -> str:
    try:
        rows, swept = in_system_transaction(
            Door.READINESS,
            lambda session: (
                session.execute(text(_WAITING)).all(),
                sweeps.ages(session, Task.SWEEP_SMS.value).done,
            ),
        )
    except (Busy, DatabaseAway) as error:
        return _why(error)
    late = [
        f"{row.waiting} rows wait for {row.process}, the oldest for {row.age:.0f} seconds"
        for row in rows
        if row.age > _TOO_LONG
    ]
    return f"{'; '.join(late)}: is it running? {_sweeps(swept)}" if late else "ok"


def _sweeps(age: float | None) -> str:
    if age is None:
        return "No sweep has ever ended."
    return f"The last sweep ended {age:.0f} seconds ago."


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
    """The revision of the schema that the code needs."""
    # Imported late: it takes a fifth of a second, and few commands need it.
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config(str(Path(__file__).parents[2] / "alembic.ini"))
    return ScriptDirectory.from_config(config).get_current_head()
