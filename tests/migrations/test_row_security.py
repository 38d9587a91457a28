"""The wall between organisations: every table has it, and nothing is seen without naming one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest
from psycopg import errors
from psycopg import sql as compose
from sqlalchemy import inspect

from models.base.session import Door, system_transaction, transaction
from models.base.tables import Base
from models.clinics.attacks import AttackCount
from models.clinics.organizations import Organization
from models.clinics.sign_in_limits import SignInLimit
from models.clinics.sweeps import Sweep
from tests.migrations.walls import Sql, guarded, without_a_wall
from tests.migrations.walls import bound as bound  # the fixture  # noqa: PLC0414
from tests.migrations.walls import scratch as scratch  # the fixture  # noqa: PLC0414
from tests.migrations.walls import tables as tables  # the fixture  # noqa: PLC0414
from tests.migrations.walls import two as two  # the fixture  # noqa: PLC0414

# --- every table has it -------------------------------------------------------------------------


def test_every_table_with_an_organisation_has_a_wall_that_binds_its_owner(sql: Sql) -> None:
    assert without_a_wall(sql) == {}
    assert len(guarded(sql)) >= 14
    of_models = {
        table.name
        for table in Base.metadata.tables.values()
        if "org_id" in table.columns or table.name == "organizations"
    }
    assert set(guarded(sql)) == of_models
    # What says nothing of an organisation can have no wall.
    rest = sql.execute(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND relname::text <> ALL (%s)",
        [list(of_models)],
    ).fetchall()
    assert {name for (name,) in rest} <= {
        "alembic_version",
        "attack_counts",
        "sign_in_limits",
        "sweeps",
        "test_clock",
    }


HOLES: dict[str, tuple[LiteralString, str]] = {
    "a new table": ("CREATE TABLE added (org_id uuid)", "not enabled"),
    "a new table, not forced": (
        "CREATE TABLE added (org_id uuid); ALTER TABLE added ENABLE ROW LEVEL SECURITY",
        "not forced",
    ),
    "a new table without a policy": (
        """CREATE TABLE added (org_id uuid);
        ALTER TABLE added ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY""",
        "policies: []",
    ),
    "a copy": ("CREATE MATERIALIZED VIEW added AS SELECT * FROM contacts WITH NO DATA", "not enabled"),
    "a view": ("CREATE VIEW added AS SELECT * FROM contacts", "owner's eyes"),
    "a wall taken down": ("ALTER TABLE contacts DISABLE ROW LEVEL SECURITY", "not enabled"),
    "a wall with a door for the owner": ("ALTER TABLE contacts NO FORCE ROW LEVEL SECURITY", "not forced"),
    "no wall for what is written": (
        "ALTER POLICY own_organization ON contacts WITH CHECK (true)",
        "policies",
    ),
    "no wall for what is read": ("ALTER POLICY own_organization ON contacts USING (true)", "policies"),
    "no error where nothing is set": (
        """ALTER POLICY own_organization ON contacts USING
        (in_system_scope() OR org_id = nullif(current_setting('app.org_id', true), '')::uuid)""",
        "policies",
    ),
    "a second policy, which opens": ("CREATE POLICY more ON contacts USING (true)", "policies"),
    "for one role": ("ALTER POLICY own_organization ON contacts TO CURRENT_USER", "policies"),
    "the organisation itself": ("ALTER TABLE organizations NO FORCE ROW LEVEL SECURITY", "not forced"),
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_in_the_wall_is_noticed(scratch: str, hole: str) -> None:
    statements, problem = HOLES[hole]
    with psycopg.connect(scratch) as connection:
        assert without_a_wall(connection) == {}
        connection.execute(statements)
        [found] = without_a_wall(connection).values()
        connection.rollback()
    assert problem in found


def test_no_function_looks_with_its_owners_eyes(sql: Sql) -> None:
    found = sql.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    ).fetchall()
    assert found == []


def test_what_points_across_tables_points_within_the_organisation(sql: Sql) -> None:
    """Foreign keys are checked past the wall, so that they have to name the organisation themselves."""
    found = sql.execute(
        "SELECT f.conname::text FROM pg_constraint f"
        " WHERE f.contype = 'f' AND f.connamespace = 'public'::regnamespace"
        " AND f.confrelid <> 'organizations'::regclass AND NOT EXISTS (SELECT FROM pg_attribute a"
        " WHERE a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey) AND a.attname = 'org_id')"
    ).fetchall()
    assert {name for (name,) in found} <= {
        # By way of the appointment, which is named with its clinic.
        "fk_appointments_confirmation_message",
        "fk_patient_links_message_id_appointment_id",
        # Written by us alone, from a message of the same transaction.
        "fk_hot_lead_alerts_message_id",
        "fk_sms_events_message_id",
    }


# --- nothing is seen without saying whose -------------------------------------------------------


def test_every_table_with_an_organisation_has_rows_in_what_follows(sql: Sql, tables: dict[str, str]) -> None:
    assert set(guarded(sql)) - set(tables) == set(), "tests/furnished.py makes none"


def statements(table: str, column: str, org: str) -> Iterator[compose.Composed]:
    for statement in (
        "SELECT * FROM {table}",
        "SELECT count(*) FROM {table}",
        "SELECT {column} FROM {table} LIMIT 1",
        "SELECT 1 FROM {table} WHERE {column} = {org}",
        "SELECT EXISTS (SELECT FROM {table})",
        "INSERT INTO {table} DEFAULT VALUES",
        "UPDATE {table} SET {column} = {column}",
        "DELETE FROM {table}",
    ):
        part: LiteralString = statement
        yield compose.SQL(part).format(
            table=compose.Identifier(table),
            column=compose.Identifier(column),
            org=compose.Literal(uuid.UUID(org)),
        )


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (None, errors.UndefinedObject),
        ("", errors.InvalidTextRepresentation),
        ("system", errors.InvalidTextRepresentation),
        ("everybody", errors.InvalidTextRepresentation),
    ],
)
def test_without_an_organisation_every_statement_is_an_error(
    bound: Sql, two: tuple[str, str], tables: dict[str, str], said: str | None, error: type[psycopg.Error]
) -> None:
    if said is not None:
        bound.execute("SELECT set_config('app.org_id', %s, true)", [said])
    for table, column in tables.items():
        for statement in statements(table, column, two[0]):
            written = statement.as_string(bound)
            nobody_may = table == "occupancies" or (table == "audit_log" and "INSERT" not in written)
            expected = (
                (error, errors.InsufficientPrivilege) if nobody_may and "SELECT" not in written else error
            )
            with pytest.raises(expected), bound.transaction():
                bound.execute(statement)


def test_within_an_organisation_there_are_its_own_rows_and_no_others(
    bound: Sql, two: tuple[str, str], tables: dict[str, str]
) -> None:
    for own, other in (two, two[::-1]):
        bound.execute("SELECT set_config('app.org_id', %s, true)", [own])
        for table, column in tables.items():
            names = {"table": compose.Identifier(table), "column": compose.Identifier(column)}
            seen = bound.execute(
                compose.SQL("SELECT DISTINCT {column}::text FROM {table}").format(**names)
            ).fetchall()
            assert seen == [(own,)], table
            count = bound.execute(
                compose.SQL("SELECT count(*) FROM {table} WHERE {column} = %s").format(**names), [other]
            ).fetchone()
            assert count == (0,), table
            if table in ("occupancies", "audit_log"):
                continue  # nobody may
            for change in (
                "UPDATE {table} SET {column} = {column} WHERE {column} = %s",
                "DELETE FROM {table} WHERE {column} = %s",
            ):
                part: LiteralString = change
                assert bound.execute(compose.SQL(part).format(**names), [other]).rowcount == 0


def test_the_view_of_confirmations_has_the_same_wall(bound: Sql, two: tuple[str, str]) -> None:
    with pytest.raises(errors.UndefinedObject), bound.transaction():
        bound.execute("SELECT * FROM sms_confirmation_logs")
    bound.execute("SELECT set_config('app.org_id', %s, true)", [two[0]])
    assert bound.execute("SELECT DISTINCT org_id::text FROM sms_confirmation_logs").fetchall() == [(two[0],)]


def test_no_row_can_be_moved_or_added_to_another_organisation(
    bound: Sql, two: tuple[str, str], tables: dict[str, str]
) -> None:
    own, other = two
    bound.execute("SELECT set_config('app.org_id', %s, true)", [own])
    refused = 0
    for table, column in tables.items():
        if table in ("occupancies", "audit_log"):
            continue  # nobody may
        names = {"table": compose.Identifier(table), "column": compose.Identifier(column)}
        with (
            pytest.raises(
                errors.InsufficientPrivilege, match=f'row-level security policy for table "{table}"'
            ),
            bound.transaction(),
        ):
            bound.execute(compose.SQL("UPDATE {table} SET {column} = %s").format(**names), [other])
        columns = bound.execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped AND attidentity = '' AND attgenerated = ''",
            [table],
        ).fetchall()
        listed = compose.SQL(", ").join(compose.Identifier(name) for (name,) in columns)
        copy = compose.SQL(
            "INSERT INTO {table} ({listed}) SELECT {listed} FROM jsonb_populate_recordset(NULL::{table},"
            " (SELECT jsonb_agg(to_jsonb(t) || %s) FROM {table} t))"
        ).format(listed=listed, **names)
        with (
            pytest.raises(
                errors.InsufficientPrivilege, match=f'row-level security policy for table "{table}"'
            ),
            bound.transaction(),
        ):
            bound.execute(copy, [psycopg.types.json.Jsonb({column: other})])
        refused += 1
    assert refused >= 12
    with pytest.raises(errors.InsufficientPrivilege, match="audit_log"), bound.transaction():
        bound.execute(
            "INSERT INTO audit_log (org_id, actor, action, table_name, row_id, columns)"
            " VALUES (%s, 'me', 'insert', 'x', 'x', '{}')",
            [other],
        )


def test_a_foreign_id_is_an_unknown_id_without_any_filter_of_our_own(two: tuple[str, str]) -> None:
    """Every mapped class, by its primary key: what a query that forgot the organisation would see."""
    keys = []
    with system_transaction(Door.OPERATOR) as everywhere:
        for mapper in Base.registry.mappers:
            if mapper.class_ in {AttackCount, SignInLimit, Sweep}:
                continue  # of no organisation
            column = mapper.class_.id if mapper.class_ is Organization else mapper.class_.org_id
            row = everywhere.query(mapper.class_).where(column == uuid.UUID(two[1])).first()
            if row is not None:
                keys.append((mapper.class_, inspect(row).identity))
    assert len(keys) >= 14
    for org, there in ((two[0], False), (two[1], True)):
        with transaction(uuid.UUID(org)) as within:
            for kind, key in keys:
                assert (within.get(kind, key) is not None) is there, kind
