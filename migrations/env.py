"""How Alembic reaches the database: the settings' URL, one migrator at a time, no long waits for locks."""

from __future__ import annotations

import sys

from alembic import context
from sqlalchemy import Connection, Engine, create_engine, pool, text
from sqlalchemy.exc import DBAPIError

import settings
from models.base.session import DRIVER_OPTIONS, sqlalchemy_url
from models.base.tables import Base


def bind_system_scope(connection: Connection, system_database_url: str) -> None:
    """Let only the second role, if there is one, see every organisation; otherwise any session may ask to.

    Written at every release, because the setting may have come or gone.
    """
    if connection.scalar(text("SELECT to_regprocedure('in_system_scope()')")) is None:
        return  # all migrations were undone
    rule = "coalesce(current_setting('app.scope', true) = 'system', false)"
    if system_database_url:
        role, name = connection.execute(
            text("SELECT quote_ident(:role), quote_literal(:role)"),
            {"role": sqlalchemy_url(system_database_url).username},
        ).one()
        rule += f" AND current_user = {name}"
        grants = [
            f"GRANT USAGE ON SCHEMA public TO {role}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",  # pg_dump reads them
        ]
        if connection.scalar(text("SELECT to_regclass('audit_log')")) is not None:
            grants.append(f"REVOKE UPDATE, DELETE ON audit_log FROM {role}")
        for grant in grants:
            connection.execute(text(grant))
    connection.execute(
        text(
            "CREATE OR REPLACE FUNCTION in_system_scope() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE"
            f" AS $$ SELECT {rule} $$"
        )
    )


def _connected(engine: Engine) -> Connection:
    """A connection; exits with a sentence if there is none. A migration that fails keeps its traceback."""
    try:
        return engine.connect()
    except DBAPIError as error:
        why = " ".join(str(error.orig).split())
        hint = "; a pooler must work by session or by transaction" if "statement pooling" in why else ""
        sys.exit(f"The release cannot use the database that DATABASE_URL names: {why}{hint}")


def migrate(config: settings.Settings) -> None:
    """Run the migrations in one transaction, behind an advisory lock, so that two releases queue up."""
    url = sqlalchemy_url(config.database_url)
    engine = create_engine(url, poolclass=pool.NullPool, connect_args=DRIVER_OPTIONS)
    with _connected(engine) as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended('holdline/migrations', 0))")
            )
            connection.execute(text("SET LOCAL lock_timeout = '4s'"))
            # A migration sees the rows of every clinic. No other session does: what is changed here takes
            # effect for others only when all is committed.
            bind_system_scope(connection, "")
            connection.execute(text("SELECT set_config('app.scope', 'system', true)"))
            context.run_migrations()
            bind_system_scope(connection, config.system_database_url)


migrate(settings.get_or_exit())
