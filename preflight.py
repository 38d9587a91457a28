"""What must be right around a process before it serves anybody, looked at in the running database and Redis.

What would make a promise hollow forbids the start. What cannot be looked at is only a warning: the product
starts and answers while the database or Redis is away.
"""

from __future__ import annotations

import logging
import os
import ssl
import sys
import uuid
from collections.abc import Iterator

import redis
from psycopg import errors
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

import settings
from models.base.session import engine, not_kept, system_engine, transaction
from models.base.tables import Base
from runtime.masking import mask

log = logging.getLogger(__name__)

#: The exit status. Gunicorn takes it for "the application cannot start" and stops, instead of starting
#: the same worker again and again.
REFUSED = 3


#: Variables that a platform sets by itself: Heroku, Render, Railway, Fly, Cloud Run, App Service.
PLATFORMS = ("DYNO", "RENDER", "RAILWAY_ENVIRONMENT", "FLY_APP_NAME", "K_SERVICE", "WEBSITE_SITE_NAME")


class _Problem(str):
    """A sentence about what forbids the start."""

    __slots__ = ()


class _Notice(str):
    """A sentence about what somebody should know."""

    __slots__ = ()


def problems() -> list[str]:
    """What forbids the start here, each as a sentence that says how to mend it."""
    return [found for found in _look() if isinstance(found, _Problem)]


def warnings() -> list[str]:
    """What somebody should know, and what could not be looked at."""
    return [found for found in _look() if isinstance(found, _Notice)]


def refuse_to_start() -> None:
    """Log what is to be noticed; with any problem, say them all on standard error and end the process."""
    found = list(_look())
    for each in (engine(), system_engine()):
        each.dispose()  # a worker's parent has no further use for a connection
    for notice in found:
        if isinstance(notice, _Notice):
            log.warning("%s", notice)
    fatal = [problem for problem in found if isinstance(problem, _Problem)]
    if fatal:
        sys.stderr.write("\n  ".join(["Holdline does not start:", *fatal]) + "\n")
        raise SystemExit(REFUSED)


def redis_client() -> redis.Redis:
    """A client of the broker that waits no longer for it than a request would."""
    config = settings.get()
    return redis.Redis(**config.redis.client(patience=config.broker_timeout))


def no_answer_of_redis(error: redis.RedisError) -> str:
    """Why Redis could not be asked, as the end of a sentence that begins "Redis", without its address."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"has a certificate that is not trusted ({cause.verify_message}); where it is self-signed,"
                " set REDIS_SELF_SIGNED=true, else name its authority: REDIS_URL=…?ssl_ca_certs=/path"
            )
        if isinstance(cause, ssl.SSLError):
            return f"does not speak TLS as REDIS_URL asks for ({cause.reason}); redis:// is without it"
        if isinstance(cause, redis.AuthenticationError):
            return "refuses the user or the password of REDIS_URL"
        if isinstance(cause, redis.ResponseError):
            return f"refuses what REDIS_URL asks for ({mask(str(cause))})"
    return f"does not answer ({type(error).__name__})"


def _look() -> Iterator[_Problem | _Notice]:
    """In development only the exception from credentials is dangerous; all else is just told."""
    for name in settings.ignored:
        yield _Notice(f"{name} is ignored: the broker is what REDIS_URL names, and there is no other.")
    if not settings.get().development:
        yield from _debugging()
        yield from _database()
        yield from _redis()
        return
    for name in PLATFORMS:
        if name in os.environ:
            yield _Problem(
                f"APP_ENV is development on a managed platform ({name} is set), so tool calls would be"
                " answered without a credential: unset APP_ENV there."
            )
    if settings.get().public_base_url.startswith("https://"):
        yield _Notice(
            "APP_ENV is development, and PUBLIC_BASE_URL is for the world: whoever reaches it needs no"
            " credential. Unset APP_ENV where that is not one machine's own trial."
        )
    yield from map(_Notice, (*_database(), *_redis()))


def _debugging() -> Iterator[_Problem]:
    if os.environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no"):
        yield _Problem("FLASK_DEBUG is on, and shows code and values to whoever meets an error: unset it.")


# --- the database -------------------------------------------------------------------------------

_ROLE = """
SELECT rolname, rolsuper, rolbypassrls, current_setting('default_transaction_isolation') AS isolation
  FROM pg_roles WHERE rolname = current_user
"""

#: Every table with an organisation, and that of the organisations themselves.
_UNWALLED = """
SELECT DISTINCT c.relname FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = ANY (current_schemas(false))
  JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
 WHERE c.relkind IN ('r', 'p') AND (a.attname = 'org_id' OR c.relname = 'organizations')
   AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
 ORDER BY c.relname
"""


#: Policies beside the one of the migrations (each of them lets through what it lets through), and that one
#: where it has become another.
_OTHER_POLICIES = """
SELECT DISTINCT c.relname FROM pg_policy p
  JOIN pg_class c ON c.oid = p.polrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = ANY (current_schemas(false))
  JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
 WHERE (a.attname = 'org_id' OR c.relname = 'organizations') AND p.polpermissive
   AND c.relname = ANY (:ours)
   AND (p.polname <> 'own_organization'
        OR strpos(pg_get_expr(p.polqual, c.oid), 'app.org_id') = 0)
 ORDER BY c.relname
"""


def _database() -> Iterator[_Problem | _Notice]:
    for each in dict.fromkeys((engine(), system_engine())):
        found: list[_Problem | _Notice] = []
        try:
            with each.connect() as connection:
                # One after the other: what was found stands, also if the next look is not allowed.
                for look in (_of_the_role, _of_the_tables):
                    found += look(connection)
                found += _of_the_system_scope(connection, may_ask=each is system_engine() or _one_role())
        except SQLAlchemyError as error:
            found.append(_unseen(error))
        yield from found
    yield from _of_a_transaction()


def _unseen(error: SQLAlchemyError) -> _Problem | _Notice:
    orig = getattr(error, "orig", None)
    if isinstance(orig, errors.ProtocolViolation):
        return _Problem(
            f"What stands before the database refuses a transaction ({orig.diag.message_primary}): a pooler"
            " must work by session or by transaction, not by statement."
        )
    how = "does not answer" if isinstance(error, OperationalError) else "could not be asked"
    return _Notice(
        f"The database {how} ({type(error).__name__}), so its role, its isolation level and its row"
        " security could not all be looked at."
    )


def _of_a_transaction() -> Iterator[_Problem]:
    """Whether one that is begun as all of them are has the time-outs and the rest that it asks for."""
    try:
        with transaction(uuid.UUID(int=0)) as session:
            lost = not_kept(session)
    except SQLAlchemyError:
        return  # which was told already
    if lost:
        yield _Problem(
            f"A transaction does not keep what it was begun with: {'; '.join(lost)}. What stands before the"
            " database changes that: connect to the database itself, or to a pooler that does not."
        )


def _one_role() -> bool:
    """Whether the second role is the first."""
    return engine().url.username == system_engine().url.username


def _of_the_role(connection: Connection) -> Iterator[_Problem]:
    role, superuser, bypasses, isolation = connection.execute(text(_ROLE)).one()
    if superuser or bypasses:
        yield _Problem(
            f"The database role {role} {'is a superuser' if superuser else 'has BYPASSRLS'}, and row security"
            " does not bind it: connect as another, or as an administrator run"
            f" `ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS`."
        )
    if isolation != "read committed":
        yield _Problem(
            f"Transactions of the database role {role} are {isolation} by default, and the locks need read"
            f" committed: run `ALTER ROLE {role} SET default_transaction_isolation TO 'read committed'`, or"
            " the same with ALTER DATABASE."
        )


def _of_the_tables(connection: Connection) -> Iterator[_Problem]:
    if tables := connection.scalars(text(_UNWALLED)).all():
        yield _Problem(
            f"Row security is not forced on {', '.join(tables)}: run `alembic upgrade head`, and if that"
            " changes nothing, `ALTER TABLE … ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`."
        )
    ours = list(Base.metadata.tables)
    if tables := connection.scalars(text(_OTHER_POLICIES), {"ours": ours}).all():
        yield _Problem(
            f"Row security has another policy than ours on {', '.join(tables)}, and lets through what that"
            " lets through: look at `\\d` of the table, and `DROP POLICY` what is not own_organization."
        )


def _of_the_system_scope(connection: Connection, *, may_ask: bool) -> Iterator[_Problem]:
    """Whether the last release bound it to the role that the settings name now."""
    if connection.scalar(text("SELECT to_regprocedure('in_system_scope()')")) is None:
        return  # not migrated, which the readiness page tells
    connection.execute(text("SELECT set_config('app.scope', 'system', true)"))
    asks = connection.scalar(text("SELECT in_system_scope()"))
    connection.rollback()
    if asks and not may_ask:
        yield _Problem(
            "SYSTEM_DATABASE_URL names a second role, and the first one may still look at every"
            " organisation: run `alembic upgrade head` with both settings, which binds that to the second."
        )
    elif may_ask and not asks:
        yield _Problem(
            "The last release bound the look at every organisation to another role than the one that asks"
            " for it here: run `alembic upgrade head` with the SYSTEM_DATABASE_URL that the processes have."
        )


# --- Redis --------------------------------------------------------------------------------------


def _redis() -> Iterator[_Problem | _Notice]:
    try:
        with redis_client() as client:
            client.ping()
            policy = _policy(client)
    except redis.RedisError as error:
        yield _Notice(f"Redis {no_answer_of_redis(error)}: SMS wait in the database meanwhile.")
    else:
        if isinstance(policy, redis.ResponseError):
            yield _unknown_policy(type(policy).__name__)
        elif policy is None:
            yield _unknown_policy("INFO does not name it")
        elif policy != "noeviction":
            yield _Problem(
                f"Redis throws keys away when it is full (maxmemory-policy {policy}), and tasks with them:"
                " run `CONFIG SET maxmemory-policy noeviction`, or choose it where the platform offers it."
            )


def _policy(client: redis.Redis) -> str | redis.ResponseError | None:
    """What it does when it is full; some platforms refuse to say."""
    try:
        policy: str | None = client.info("memory").get("maxmemory_policy")
    except redis.ResponseError as error:
        return error
    return policy


def _unknown_policy(why: str) -> _Notice:
    return _Notice(f"Redis does not tell its maxmemory-policy ({why}): make sure that it is noeviction.")
