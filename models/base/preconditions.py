"""Checks of the running database: its role, isolation level, row security and transactions.

A finding that would break one of the promises is a Problem; a check that could not run is a Notice.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from psycopg import errors
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from models.base.session import engine, not_kept, system_engine, transaction
from models.base.tables import Base
from runtime.findings import Notice, Problem

_ROLE = """
SELECT rolname, rolsuper, rolbypassrls, current_setting('default_transaction_isolation') AS isolation
  FROM pg_roles WHERE rolname = current_user
"""

#: The tables with a clinic's rows, and the table of clinics, on which row security is not forced.
_UNWALLED = """
SELECT DISTINCT c.relname FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = ANY (current_schemas(false))
  JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
 WHERE c.relkind IN ('r', 'p') AND (a.attname = 'org_id' OR c.relname = 'organizations')
   AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
 ORDER BY c.relname
"""


#: The tables with a policy beside that of the migrations, since policies add up, and the tables on which
#: that policy has changed.
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


def look_at_start() -> Iterator[Problem | Notice]:
    """As `look`, and close all connections: a worker's parent process needs none afterwards."""
    yield from look()
    for each in (engine(), system_engine()):
        each.dispose()


def look() -> Iterator[Problem | Notice]:
    """The problems of the database, and a notice for each check that could not run."""
    for each in dict.fromkeys((engine(), system_engine())):
        found: list[Problem | Notice] = []
        try:
            with each.connect() as connection:
                # One check after the other, so that findings are kept when the next check is not allowed.
                for ask in (_of_the_role, _of_the_tables):
                    found += ask(connection)
                found += _of_the_system_scope(connection, may_ask=each is system_engine() or _one_role())
        except SQLAlchemyError as error:
            found.append(_unseen(error))
        yield from found
    yield from _of_a_transaction()


def _unseen(error: SQLAlchemyError) -> Problem | Notice:
    orig = getattr(error, "orig", None)
    if isinstance(orig, errors.ProtocolViolation):
        return Problem(
            f"What stands before the database refuses a transaction ({orig.diag.message_primary}): a pooler"
            " must work by session or by transaction, not by statement."
        )
    how = "does not answer" if isinstance(error, OperationalError) else "could not be asked"
    return Notice(
        f"The database {how} ({type(error).__name__}), so its role, its isolation level and its row"
        " security could not all be looked at."
    )


def _of_a_transaction() -> Iterator[Problem]:
    """Whether a transaction has the time-outs and the other settings that it asks for as it begins."""
    try:
        with transaction(uuid.UUID(int=0)) as session:
            lost = not_kept(session)
    except SQLAlchemyError:
        return  # the checks of the connection have reported it
    if lost:
        yield Problem(
            f"A transaction does not keep what it was begun with: {'; '.join(lost)}. What stands before the"
            " database changes that: connect to the database itself, or to a pooler that does not."
        )


def _one_role() -> bool:
    """Whether both engines use the same role."""
    return engine().url.username == system_engine().url.username


def _of_the_role(connection: Connection) -> Iterator[Problem]:
    role, superuser, bypasses, isolation = connection.execute(text(_ROLE)).one()
    if superuser or bypasses:
        yield Problem(
            f"The database role {role} {'is a superuser' if superuser else 'has BYPASSRLS'}, and row security"
            " does not bind it: connect as another, or as an administrator run"
            f" `ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS`."
        )
    if isolation != "read committed":
        yield Problem(
            f"Transactions of the database role {role} are {isolation} by default, and the locks need read"
            f" committed: run `ALTER ROLE {role} SET default_transaction_isolation TO 'read committed'`, or"
            " the same with ALTER DATABASE."
        )


def _of_the_tables(connection: Connection) -> Iterator[Problem]:
    if tables := connection.scalars(text(_UNWALLED)).all():
        yield Problem(
            f"Row security is not forced on {', '.join(tables)}: run `alembic upgrade head`, and if that"
            " changes nothing, `ALTER TABLE … ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`."
        )
    ours = list(Base.metadata.tables)
    if tables := connection.scalars(text(_OTHER_POLICIES), {"ours": ours}).all():
        yield Problem(
            f"Row security has another policy than ours on {', '.join(tables)}, and lets through what that"
            " lets through: look at `\\d` of the table, and `DROP POLICY` what is not own_organization."
        )


def _of_the_system_scope(connection: Connection, *, may_ask: bool) -> Iterator[Problem]:
    """Whether the last release bound the system scope to the role that the settings name now."""
    if connection.scalar(text("SELECT to_regprocedure('in_system_scope()')")) is None:
        return  # not migrated: the readiness page says so
    connection.execute(text("SELECT set_config('app.scope', 'system', true)"))
    asks = connection.scalar(text("SELECT in_system_scope()"))
    connection.rollback()
    if asks and not may_ask:
        yield Problem(
            "SYSTEM_DATABASE_URL names a second role, and the first one may still look at every"
            " organisation: run `alembic upgrade head` with both settings, which binds that to the second."
        )
    elif may_ask and not asks:
        yield Problem(
            "The last release bound the look at every organisation to another role than the one that asks"
            " for it here: run `alembic upgrade head` with the SYSTEM_DATABASE_URL that the processes have."
        )
