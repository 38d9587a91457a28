"""Up, down and up again on an empty database; and the schema is the one that the models describe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import models
from models.base.session import sqlalchemy_url
from models.base.tables import Base
from tests.concurrency.databases import ROOT, alembic, new_database

#: What is in the schema public, but for what belongs to an extension: (kind, name, definition).
EVERYTHING = """
SELECT 'relation ' || c.relkind::text, c.relname::text,
       CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) || c.reloptions::text ELSE '' END
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'S', 'm', 'p')
UNION ALL
SELECT 'column', c.relname || '.' || a.attname,
       format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || a.attgenerated::text
       || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid)
  FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
  FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT 'type', t.typname, t.typtype::text
  FROM pg_type t WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd', 'r', 'c')
   AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid)
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')
UNION ALL
SELECT 'extension', extname, '' FROM pg_extension
"""

Thing = tuple[str, str, str]


def contents(database_url: str) -> set[Thing]:
    with psycopg.connect(database_url) as connection:
        rows: list[Any] = connection.execute(EVERYTHING).fetchall()
    return {row for row in rows if "alembic_version" not in row[1]}


@pytest.fixture(scope="module")
def empty(database_url: str) -> Iterator[str]:
    with new_database(database_url) as url:
        yield url


def run(url: str, *arguments: str) -> str:
    done = alembic(url, *arguments)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def test_up_down_and_up_again(empty: str) -> None:
    before = contents(empty)
    run(empty, "upgrade", "head")
    up = contents(empty)
    assert {name for kind, name, _ in up if kind.startswith("relation")} > {
        "occupancies",
        "sms_confirmation_logs",
    }
    run(empty, "downgrade", "base")
    assert contents(empty) - before == {("extension", "btree_gist", "")}
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == []
    run(empty, "upgrade", "head")
    assert contents(empty) == up
    # Not Alembic's own comparison alone, which looks past CHECKs, exclusions and triggers.
    assert "No new upgrade operations detected" in run(empty, "check")


def test_the_migrated_tables_are_those_of_the_models(database_url: str) -> None:
    assert models.booking.holds  # the import fills the metadata
    with new_database(database_url) as migrated, new_database(database_url) as described:
        run(migrated, "upgrade", "head")
        engine = create_engine(sqlalchemy_url(described))
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE EXTENSION btree_gist")
            Base.metadata.create_all(connection)
        engine.dispose()
        kinds = {"column", "constraint", "index", "relation r"}
        by_migration = {thing for thing in contents(migrated) if thing[0] in kinds}
        by_models = {thing for thing in contents(described) if thing[0] in kinds}
    assert by_migration == by_models


RULES = {
    "all": '{"weights": {"want": 4}, "phrases": {"want": ["go"]}, "warm": 30, "services": {"Botox": "low"}}',
    "weights": '{"weights": {"want": 40}}',
    "kept": '{"warm": 30}',
    "none": None,
}


def test_a_clinics_rules_for_scoring_survive_the_upgrade_where_they_still_mean_something(
    database_url: str,
) -> None:
    select = "SELECT name, lead_rules::text FROM organizations ORDER BY name"
    with new_database(database_url) as url:
        run(url, "upgrade", "0022_worth_the_call")
        with psycopg.connect(url, autocommit=True, options="-c app.scope=system") as sql:
            for name, rules in RULES.items():
                sql.execute(
                    "INSERT INTO organizations (id, name, phone, region, lead_rules)"
                    " VALUES (gen_random_uuid(), %s, '+442079460958', 'GB', %s)",
                    [name, rules],
                )
            before = sql.execute(select).fetchall()
            run(url, "upgrade", "head")
            assert dict(sql.execute(select).fetchall()) == {
                "all": '{"warm": 30, "services": {"Botox": "low"}}',
                "kept": '{"warm": 30}',
                "none": None,
                "weights": None,
            }
            run(url, "downgrade", "0022_worth_the_call")
            assert sql.execute(select).fetchall() == before


def test_a_service_takes_over_the_worth_that_the_rules_had_for_its_name(database_url: str) -> None:
    with new_database(database_url) as url:
        run(url, "upgrade", "0028_desk")
        with psycopg.connect(url, autocommit=True, options="-c app.scope=system") as sql:
            for rules in (
                '{"services": {"BOTOX ": "high", "Check-up": "low", "Tarot": "high", "Peel": "dear"}}',
                '{"services": "none"}',
                "[]",
                None,
            ):
                sql.execute(
                    "WITH made AS (INSERT INTO organizations (name, phone, region, lead_rules)"
                    " VALUES ('C', '+442079460958', 'GB', %s) RETURNING id)"
                    " INSERT INTO services (org_id, id, name) SELECT made.id, name, name"
                    " FROM made, unnest(ARRAY['Botox', 'Check-up', 'Peel', 'Other']) AS name",
                    [rules],
                )
            run(url, "upgrade", "head")
            found = sql.execute("SELECT name, worth FROM services WHERE worth IS NOT NULL ORDER BY 1")
            assert found.fetchall() == [("Botox", "high"), ("Check-up", "low")]
            with pytest.raises(psycopg.errors.CheckViolation):
                sql.execute("UPDATE services SET worth = 'dear'")
            run(url, "downgrade", "0028_desk")


#: What messages that failed before the upgrade had for a code, and what it means.
MEANT = {
    "20003": "misconfigured",
    "20503": "maybe_sent",
    "21610": "opted_out",
    "21705": "misconfigured",
    "29999": "unexplained",
    "30003": "switched_off",
    "30006": "landline",
    "63038": "day_full",
    "opted_out": None,
    None: None,
}


def test_what_a_message_failed_of_before_the_upgrade_is_understood_after_it(database_url: str) -> None:
    clinic = "(SELECT id FROM organizations)"
    with new_database(database_url) as url:
        run(url, "upgrade", "0023_call_back")
        with psycopg.connect(url, autocommit=True, options="-c app.scope=system") as sql:
            sql.execute("INSERT INTO organizations (name, phone, region) VALUES ('C', '+442079460958', 'GB')")
            sql.execute(f"INSERT INTO sms_senders (org_id, stopped_code) VALUES ({clinic}, '20003')".encode())
            for code in MEANT:
                sql.execute(
                    "INSERT INTO sms_messages (org_id, kind, to_phone, error_code)"
                    f" VALUES ({clinic}, 'hot_lead_alert', '+447700900123', %s)".encode(),
                    [code],
                )
            run(url, "upgrade", "head")
            after = sql.execute("SELECT error_code, error_meaning FROM sms_messages").fetchall()
            assert dict(after) == MEANT
            assert sql.execute("SELECT stopped_meaning FROM sms_senders").fetchall() == [("misconfigured",)]


def test_there_is_one_head_and_every_revision_is_named_after_its_file() -> None:
    scripts = ScriptDirectory.from_config(Config(str(ROOT / "alembic.ini")))
    revisions = list(scripts.walk_revisions())
    assert len(scripts.get_heads()) == 1
    assert len(scripts.get_bases()) == 1
    for revision in revisions:
        assert revision.revision == Path(revision.path).stem
    files = {path.stem for path in (ROOT / "migrations" / "versions").glob("*.py")}
    assert files == {revision.revision for revision in revisions}


def test_every_sql_file_is_used_by_a_migration() -> None:
    migrations = "".join(path.read_text() for path in (ROOT / "migrations" / "versions").glob("*.py"))
    for path in (ROOT / "migrations" / "sql").glob("*.sql"):
        assert f'"{path.stem}"' in migrations
