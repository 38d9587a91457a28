"""Databases for one test each, migrated as a release migrates them."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def new_database(database_url: str, *, template: str = "template1") -> Iterator[str]:
    """An empty database, or a copy of a template that has no connections. Yields its URL.

    The role of `database_url` must be allowed to end the sessions that are left in it.
    """
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        try:
            yield database_url.rsplit("/", 1)[0] + f"/{name}"
        finally:
            # WITH (FORCE) would fail on an autovacuum worker, which only a superuser may end; without it
            # Postgres asks the worker to leave, and waits for it.
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND backend_type = 'client backend'",
                [name],
            )
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def name_of(database_url: str) -> str:
    return database_url.rsplit("/", 1)[1]


def of_superuser(admin_url: str, database_url: str) -> str:
    """The URL of the same database for a superuser, whom no row security binds."""
    return f"{admin_url.rsplit('/', 1)[0]}/{name_of(database_url)}"


def every_row(admin_url: str, database_url: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table, as a superuser sees them."""
    with psycopg.connect(of_superuser(admin_url, database_url)) as admin:
        tables = admin.execute("SELECT relname::text FROM pg_stat_user_tables").fetchall()
        query = sql.SQL("SELECT to_jsonb(t) FROM {} t")
        return {
            name: [row for (row,) in admin.execute(query.format(sql.Identifier(name)))] for (name,) in tables
        }


def alembic(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Alembic in a process of its own, with settings for this database."""
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
