"""What a wall between organisations is, two clinics with rows behind it, and a database to make holes in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from flask import Flask
from psycopg import sql as compose

from tests.concurrency.databases import ROOT, new_database
from tests.furnished import create_furnished_clinic
from tests.surroundings import environment

Sql = psycopg.Connection[tuple[Any, ...]]

#: What a policy must say, of USING and of WITH CHECK.
RULE = (
    "CASE WHEN in_system_scope() THEN true ELSE ({column} = (current_setting('app.org_id'::text))::uuid) END"
)

#: Every relation with an organisation, the column that has it, and what stands between two of them.
WALLS = """
SELECT c.relname::text, c.relkind::text, a.attname::text, c.relrowsecurity, c.relforcerowsecurity,
       coalesce('security_invoker=true' = ANY (c.reloptions), false),
       coalesce((SELECT jsonb_agg(jsonb_build_array(p.polcmd, p.polpermissive, p.polroles = '{0}',
              btrim(regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\\s+', ' ', 'g')),
              btrim(regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), '\\s+', ' ', 'g'))))
          FROM pg_policy p WHERE p.polrelid = c.oid), '[]')
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
   AND a.attname = CASE c.relname WHEN 'organizations' THEN 'id' ELSE 'org_id' END
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'f', 'm', 'v')
"""


def without_a_wall(sql: Sql) -> dict[str, str]:
    """What is wrong with whichever relation."""
    wrong = {}
    for name, kind, column, enabled, forced, invoker, policies in sql.execute(WALLS.encode()):
        rule = RULE.format(column=column)
        if kind == "v":
            problem = "" if invoker else "a view that looks with its owner's eyes"
        elif not enabled or not forced:
            problem = "not enabled" if not enabled else "not forced"
        else:
            problem = "" if policies == [["*", True, True, rule, rule]] else f"policies: {policies}"
        if problem:
            wrong[name] = problem
    return wrong


def guarded(sql: Sql) -> dict[str, str]:
    """The tables with an organisation, and the column that has it."""
    return {row[0]: row[2] for row in sql.execute(WALLS.encode()) if row[1] in "rp"}


@pytest.fixture(scope="module")
def scratch(database_url: str) -> Iterator[str]:
    """A database of this module's own, as a release leaves it."""
    with new_database(database_url) as url:
        with environment(DATABASE_URL=url):
            command.upgrade(Config(str(ROOT / "alembic.ini")), "head")
        yield url


@pytest.fixture(scope="module")
def two(app: Flask, database_url: str) -> tuple[str, str]:
    """Two clinics with rows in every table."""
    with psycopg.connect(database_url, autocommit=True, options="-c app.scope=system") as sql:
        made = [create_furnished_clinic(app.test_client(), sql) for _ in range(2)]
    return made[0], made[1]


@pytest.fixture(scope="module")
def tables(two: tuple[str, str], database_url: str) -> dict[str, str]:
    """The tables with an organisation in which both have a row, and the column that has it."""
    filled = {}
    with psycopg.connect(database_url, options="-c app.scope=system") as sql:
        for table, column in guarded(sql).items():
            names = {"table": compose.Identifier(table), "column": compose.Identifier(column)}
            having = compose.SQL("SELECT DISTINCT {column}::text FROM {table} WHERE {column} = ANY (%s)")
            if len(sql.execute(having.format(**names), [list(two)]).fetchall()) == 2:
                filled[table] = column
    return filled


@pytest.fixture
def bound(database_url: str) -> Iterator[Sql]:
    """A connection of the application's role to which nothing was said. Its transaction is undone."""
    with psycopg.connect(database_url) as connection:
        yield connection
        connection.rollback()
