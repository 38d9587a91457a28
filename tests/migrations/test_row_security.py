"""The wall between organisations: every table has it, nothing is seen without naming one, it costs little.

The application's role owns the tables, so that each wall must be forced; a role that may pass by is
shown to see everything, which is what makes the other tests mean something.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from flask import Flask
from psycopg import errors
from psycopg import sql as compose
from sqlalchemy import event, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.base import session
from models.base.session import Door, system_transaction, transaction
from models.base.tables import Base
from models.booking import availability, holds
from models.booking.holds import AppointmentHold
from models.calls import calls
from models.clinics import calendars
from models.clinics.attacks import AttackCount
from models.clinics.organizations import Organization
from models.clinics.sign_in_limits import SignInLimit
from models.clinics.sweeps import Sweep
from tests.concurrency.databases import ROOT, new_database
from tests.factories import create_clinic, phone_number, slot
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


@pytest.fixture(scope="module")
def scratch(database_url: str) -> Iterator[str]:
    """A database of this module's own, as a release leaves it."""
    with new_database(database_url) as url:
        with environment(DATABASE_URL=url):
            command.upgrade(Config(str(ROOT / "alembic.ini")), "head")
        yield url


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


def test_every_table_with_an_organisation_has_rows_in_what_follows(sql: Sql, tables: dict[str, str]) -> None:
    assert set(guarded(sql)) - set(tables) == set(), "tests/furnished.py makes none"


@pytest.fixture
def bound(database_url: str) -> Iterator[Sql]:
    """A connection of the application's role to which nothing was said. Its transaction is undone."""
    with psycopg.connect(database_url) as connection:
        yield connection
        connection.rollback()


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


# --- one connection, one organisation after the other -------------------------------------------

LEFT_OVER = "SELECT " + ", ".join(
    f"coalesce(current_setting('app.{name}', true), '')" for name in ("org_id", "scope", "actor", "door")
)


def test_a_pooled_connection_shows_each_organisation_its_own_rows_a_thousand_times(
    two: tuple[str, str],
) -> None:
    count = (
        "SELECT array_agg(DISTINCT org_id::text) FROM (SELECT org_id FROM contacts UNION ALL"
        " SELECT org_id FROM appointment_holds UNION ALL SELECT org_id FROM sms_messages) rows"
    )

    def back_and_forth(offset: int) -> list[tuple[str, list[str]]]:
        seen = []
        for n in range(500):
            org = two[(n + offset) % 2]
            with transaction(uuid.UUID(org)) as within:
                seen.append((org, within.scalar(text(count))))
        return seen

    with environment(DATABASE_POOL="2"), ThreadPoolExecutor(2) as pool:
        seen = [each for thread in pool.map(back_and_forth, (0, 1)) for each in thread]
        assert "Pool size: 2 " in session.engine().pool.status()
    assert len(seen) == 1000
    assert [(org, rows) for org, rows in seen if rows != [org]] == []


@contextmanager
def raising(error: type[Exception]) -> Iterator[None]:
    with pytest.raises(error):
        yield


def test_nothing_that_a_transaction_said_stays_with_its_connection(two: tuple[str, str]) -> None:
    org = uuid.UUID(two[0])

    def left_over() -> list[tuple[Any, ...]]:
        with session.engine().connect() as first, session.engine().connect() as second:
            return [tuple(one.execute(text(LEFT_OVER)).one()) for one in (first, second)]

    nothing = [("", "", "", "")] * 2
    with environment(DATABASE_POOL="2"):
        with transaction(org, actor="operator Jo") as within:
            assert within.execute(text(LEFT_OVER)).one() == (two[0], "", "operator Jo", "")
        assert left_over() == nothing
        with raising(ZeroDivisionError), transaction(org):
            assert 1 // 0
        assert left_over() == nothing
        with raising(DBAPIError), transaction(org) as within:
            within.execute(text("SELECT 1 / 0"))
        assert left_over() == nothing
        with system_transaction(Door.SWEEP) as everywhere:
            assert everywhere.execute(text(LEFT_OVER)).one() == ("", "system", "holdline", Door.SWEEP.value)
        assert left_over() == nothing
        with raising(DBAPIError), Session(session.engine()) as unsaid:
            unsaid.query(AppointmentHold).first()


# --- what stops the others ----------------------------------------------------------------------


def test_it_is_the_wall_that_stops_the_role_and_nothing_else(
    admin_url: str, database_url: str, two: tuple[str, str]
) -> None:
    """The same role with the same rights sees everything as soon as it may pass by, as any superuser does."""
    name, password = f"role_{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    here = database_url.rsplit("/", 1)[1]
    as_role = database_url.replace(
        database_url.split("//")[1].split("@", maxsplit=1)[0], f"{name}:{password}"
    )
    role = compose.Identifier(name)

    def seen(url: str) -> set[str]:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT set_config('app.org_id', %s, true)", [two[0]])
            rows = connection.execute("SELECT org_id::text FROM appointments").fetchall()
        return {org for (org,) in rows}

    superuser = admin_url.rsplit("/", 1)[0] + f"/{here}"
    with psycopg.connect(superuser, autocommit=True) as admin:
        admin.execute(
            compose.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD {}").format(
                role, compose.Literal(password)
            )
        )
        try:
            admin.execute(compose.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(role))
            assert seen(as_role) == seen(database_url) == {two[0]}
            admin.execute(compose.SQL("ALTER ROLE {} BYPASSRLS").format(role))
            assert seen(as_role) >= set(two)
            assert seen(superuser) >= set(two)
        finally:
            admin.execute(compose.SQL("DROP OWNED BY {}").format(role))
            admin.execute(compose.SQL("DROP ROLE {}").format(role))


def test_the_tests_themselves_are_bound_by_it(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolbypassrls, pg_get_userbyid(relowner) = current_user FROM pg_roles, pg_class"
            " WHERE rolname = current_user AND oid = 'appointments'::regclass".replace(
                "AND oid", "AND pg_class.oid"
            ).encode()
        ).fetchone()
    assert role == (False, False, True)  # its owner, so that it is the FORCE that binds it


# --- the functions, by hand ---------------------------------------------------------------------

CLAIM = "SELECT success, hold_id FROM claim_slot_atomic(%s, 'cal-1', %s::{type}, 'call', 'John', %s, 10)"


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
def test_the_functions_enter_their_organisation_where_none_was_said(
    database_url: str, kind: LiteralString
) -> None:
    org = create_clinic()
    with psycopg.connect(database_url, autocommit=True) as hand:

        def ask(statement: LiteralString, *values: object) -> tuple[Any, ...]:
            row = hand.execute(statement, values).fetchone()
            assert row is not None
            return row

        def left() -> object:
            return ask("SELECT coalesce(current_setting('app.org_id', true), '')")[0]

        claim: LiteralString = CLAIM.replace("{type}", kind)
        claimed, hold = ask(claim, org, slot(), phone_number())
        assert claimed
        assert left() == ""
        assert ask("SELECT code FROM confirm_held_slot(%s, %s, NULL, 'x', NULL)", hold, org) == (
            "code_not_sent",
        )
        assert ask("SELECT success FROM release_hold(%s, %s)", hold, org) == (True,)
        assert ask("SELECT holds_a_slot FROM begin_tool_call(%s, 'call', 't', 'tool', 'd')", org) == (False,)
        assert left() == ""
        with hand.transaction():  # it goes on as the rest of the transaction that it began
            hold = ask(claim, org, slot(), phone_number())[1]
            assert left() == org
            hand.execute("UPDATE appointment_holds SET code_digest = 'right' WHERE id = %s", [hold])
            confirmed = ask("SELECT success FROM confirm_held_slot(%s, %s, NULL, 'right', NULL)", hold, org)
            assert confirmed == (True,)
        assert left() == ""
        with pytest.raises(errors.InvalidTextRepresentation):
            ask("SELECT count(*) FROM appointment_holds")


@pytest.mark.parametrize("entered_by", ["setting", "function"])
def test_the_functions_refuse_to_leave_the_organisation_of_a_transaction(
    bound: Sql, two: tuple[str, str], entered_by: str
) -> None:
    own, other = two
    if entered_by == "setting":
        bound.execute("SELECT set_config('app.org_id', %s, true)", [own])
    else:
        bound.execute("SELECT * FROM release_hold(%s, %s)", [uuid.uuid4(), own])
    asked: tuple[tuple[LiteralString, list[object]], ...] = (
        (CLAIM.replace("{type}", "timestamptz"), [other, slot(days=20), phone_number()]),
        (CLAIM.replace("{type}", "timestamp"), [other, slot(days=20), phone_number()]),
        ("SELECT * FROM confirm_held_slot(%s, %s, NULL, 'x', NULL)", [uuid.uuid4(), other]),
        ("SELECT * FROM release_hold(%s, %s)", [uuid.uuid4(), other]),
        ("SELECT * FROM begin_tool_call(%s, 'call', 't', 'tool', 'd')", [other]),
    )
    for statement, values in asked:
        for value in (other, None):
            given = [value if each == other else each for each in values]
            with (
                pytest.raises(errors.InsufficientPrivilege, match="belongs to another organisation"),
                bound.transaction(),
            ):
                bound.execute(statement, given)
    hold = bound.execute(asked[0][0], [own, slot(days=20), phone_number()]).fetchone()
    assert hold is not None
    assert hold[0] is True


def test_keys_triggers_and_the_log_work_within_one_organisation(
    bound: Sql, two: tuple[str, str], sql: Sql
) -> None:
    own, other = two
    [foreign_contact] = sql.execute("SELECT id FROM contacts WHERE org_id = %s LIMIT 1", [other]).fetchall()
    [foreign_hold] = sql.execute(
        "SELECT id FROM appointment_holds WHERE org_id = %s AND status = 'held'", [other]
    ).fetchall()
    bound.execute(
        "SELECT set_config('app.org_id', %s, true), set_config('app.actor', 'operator Jo', true)", [own]
    )
    contact, appointment, message = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    bound.execute(
        "INSERT INTO contacts (id, org_id, phone) VALUES (%s, %s, %s)", [contact, own, phone_number()]
    )

    def hold(whose: object) -> uuid.UUID:
        row = bound.execute(
            "INSERT INTO appointment_holds (org_id, calendar_id, starts_at, expires_at, contact_id,"
            " patient_name, patient_phone)"
            " VALUES (%s, 'cal-1', %s, clock_timestamp() + interval '10 min', %s, 'Raw', '+1') RETURNING id",
            [own, slot(days=30), whose],
        ).fetchone()
        assert row is not None
        made: uuid.UUID = row[0]
        return made

    with pytest.raises(errors.ForeignKeyViolation), bound.transaction():
        hold(foreign_contact[0])
    held = hold(contact)
    taken = "SELECT hold_id, appointment_id FROM occupancies WHERE starts_at = %s"
    assert bound.execute(taken, [slot(days=30)]).fetchall() == [(held, None)]

    def book(from_hold: object, at: str) -> None:
        bound.execute(
            "INSERT INTO appointments (id, org_id, calendar_id, scheduled_at, contact_id, hold_id,"
            " patient_name, patient_phone, confirmation_message_id)"
            " VALUES (%s, %s, 'cal-1', %s, %s, %s, 'Raw', '+1', %s)",
            [appointment, own, at, contact, from_hold, message],
        )

    with pytest.raises(errors.ForeignKeyViolation), bound.transaction():
        book(foreign_hold[0], slot(days=31))
    book(held, slot(days=30))
    assert bound.execute(taken, [slot(days=30)]).fetchall() == [(None, appointment)]
    bound.execute(
        "INSERT INTO sms_messages (id, org_id, kind, to_phone, appointment_id)"
        " VALUES (%s, %s, 'confirmation', '+1', %s)",
        [message, own, appointment],
    )
    bound.execute("SET CONSTRAINTS ALL IMMEDIATE")
    bound.execute("UPDATE sms_messages SET provider_id = 'SM1', sent_at = now() WHERE id = %s", [message])
    told = bound.execute(
        "SELECT confirmation_sms_sent, confirmation_sms_id FROM appointments WHERE id = %s", [appointment]
    ).fetchone()
    assert told == (True, "SM1")
    bound.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [appointment])
    assert bound.execute(taken, [slot(days=30)]).fetchall() == []
    log = bound.execute(
        "SELECT org_id::text, actor, action, table_name FROM audit_log WHERE row_id = ANY (%s) ORDER BY id",
        [[str(contact), str(appointment)]],
    ).fetchall()
    assert log == [
        (own, "operator Jo", "insert", "contacts"),
        (own, "operator Jo", "insert", "appointments"),
        (own, "operator Jo", "update", "appointments"),
    ]


def test_the_log_can_only_be_added_to(bound: Sql, two: tuple[str, str]) -> None:
    bound.execute("SELECT set_config('app.org_id', %s, true)", [two[0]])
    for statement in ("UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        forbidden: LiteralString = statement
        with pytest.raises(errors.InsufficientPrivilege), bound.transaction():
            bound.execute(forbidden)


# --- and it costs little ------------------------------------------------------------------------

CLINICS, CALENDARS, PER_CALENDAR = 20, 5, 400


@pytest.fixture(scope="module")
def full(scratch: str, admin_url: str) -> Iterator[tuple[str, list[uuid.UUID]]]:
    """A copy with 40 000 taken times of twenty clinics, half of them held; its URL and the clinics."""
    name = scratch.rsplit("/", 1)[1]
    with new_database(scratch.rsplit("/", 1)[0] + "/postgres", template=name) as url:
        superuser = admin_url.rsplit("/", 1)[0] + "/" + url.rsplit("/", 1)[1]
        with psycopg.connect(superuser, autocommit=True) as admin:
            admin.execute("SET session_replication_role = replica")  # triggers one by one would take a minute
            # The plans under test never use it, and it would take most of the time.
            admin.execute("ALTER TABLE occupancies DROP CONSTRAINT ex_occupancies_no_overlap")
            orgs = [uuid.uuid4() for _ in range(CLINICS)]
            admin.execute(
                "INSERT INTO organizations (id, name, region)"
                " SELECT org, 'Full', 'GB' FROM unnest(%s::uuid[]) org",
                [orgs],
            )
            admin.execute(
                "INSERT INTO calendars (org_id, id, name, time_zone, hours, resource_id)"
                " SELECT org, 'cal-' || n, 'C', 'UTC', %s, 'cal-' || n"
                " FROM unnest(%s::uuid[]) org, generate_series(1, %s) n",
                [
                    psycopg.types.json.Jsonb({day: [["09:00", "17:00"]] for day in calendars.WEEKDAYS}),
                    orgs,
                    CALENDARS,
                ],
            )
            admin.execute(
                "INSERT INTO appointment_holds (org_id, calendar_id, resource_id, starts_at, ends_at,"
                " expires_at, call_sid, contact_id, patient_name, patient_phone, status)"
                " SELECT org_id, id, id, t, t + interval '30 min', now() + interval '10 min', 'call-' || n,"
                " gen_random_uuid(), 'John', '+' || n, CASE n %% 2 WHEN 0 THEN 'held' ELSE 'confirmed' END"
                " FROM calendars, generate_series(1, %s) n, LATERAL (SELECT date_trunc('day', now())"
                " + interval '1 day' + n * interval '30 min' AS t) slot",
                [PER_CALENDAR],
            )
            admin.execute(
                "INSERT INTO occupancies (org_id, resource_id, starts_at, ends_at, hold_id, appointment_id)"
                " SELECT org_id, resource_id, starts_at, ends_at, CASE status WHEN 'held' THEN id END,"
                " CASE status WHEN 'held' THEN NULL ELSE id END FROM appointment_holds"
            )
            admin.execute(
                "INSERT INTO vapi_credentials (org_id, kind, secret_digest)"
                " SELECT org, 'bearer', md5(org::text || n)"
                " FROM unnest(%s::uuid[]) org, generate_series(1, 250) n",
                [orgs],
            )
            admin.execute(
                "INSERT INTO tool_calls (org_id, call_id, tool_call_id, tool, arguments_digest, reply)"
                " SELECT org, 'call-' || n, 't', 'tool', 'd', '{}'"
                " FROM unnest(%s::uuid[]) org, generate_series(1, 500) n",
                [orgs],
            )
            admin.execute("VACUUM ANALYZE")
        yield url, orgs


class Work:
    """What the statements of a piece of code make the database do, each explained once more after it."""

    def __init__(self) -> None:
        self.sequential: set[str] = set()
        self.indexes: set[str] = set()
        self.rows = 0
        self.pages = 0

    def add(self, node: dict[str, Any], *, top: bool = True) -> None:
        if top:
            self.pages += node["Shared Hit Blocks"] + node["Shared Read Blocks"]
        if node["Node Type"] == "Seq Scan":
            self.sequential.add(node["Relation Name"])
        if "Index Name" in node:
            self.indexes.add(node["Index Name"])
        self.rows += round(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        )
        for child in node.get("Plans", ()):
            self.add(child, top=False)


@contextmanager
def explained(within: Session) -> Iterator[Work]:
    work, said = Work(), []

    def listen(*event_of: Any) -> None:
        said.append(event_of[2:4])

    connection = within.connection()
    event.listen(connection, "before_cursor_execute", listen)
    yield work
    event.remove(connection, "before_cursor_execute", listen)
    assert said
    for statement, parameters in said:
        [[plan]] = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
        ).fetchall()
        work.add(plan[0]["Plan"])


def test_the_wall_leaves_availability_its_indexes(full: tuple[str, list[uuid.UUID]]) -> None:
    url, orgs = full
    now = datetime.now(UTC)
    with environment(DATABASE_URL=url), transaction(orgs[7]) as within:
        calendar = calendars.get_or_none(within, orgs[7], "cal-3")
        assert calendar is not None
        with explained(within) as day:
            found = availability.find_free(
                within, calendar, first=(now + timedelta(days=3)).date(), days=1, now=now
            )
        assert found == {}
        with explained(within) as three_weeks:
            assert (
                len(availability.find_nearest(within, calendar, wanted=now + timedelta(days=6), now=now)) == 3
            )
    for work in (day, three_weeks):
        assert "pk_occupancies" in work.indexes
        assert work.sequential <= {"organizations"}
    # 34 half hours of 8 hours and the 24 before; a third of the clinic's own month; never the 40 000.
    assert day.rows < 500
    assert day.pages < 500
    assert three_weeks.rows < 8000


def test_the_wall_leaves_the_look_ups_their_indexes(full: tuple[str, list[uuid.UUID]]) -> None:
    url, orgs = full
    key = calls.ToolCallKey("call-7", "t", "tool", "d")
    with environment(DATABASE_URL=url), transaction(orgs[3]) as within:
        hold = within.scalar(text("SELECT id FROM appointment_holds LIMIT 1"))
        with explained(within) as by_id:
            assert holds.get_or_none(within, orgs[3], hold) is not None
        with explained(within) as by_call:
            assert len(holds.find_held_of_call(within, orgs[3], "call-8")) == CALENDARS
        with explained(within) as by_phone:
            assert holds.count_of_phone(within, orgs[3], "+8") == CALENDARS
        with explained(within) as begun:
            assert calls.begin(within, orgs[3], key).reply == {}
        with explained(within) as claimed:
            taken = holds.claim(
                within,
                org_id=orgs[3],
                calendar_id="cal-1",
                starts_at=datetime.now(UTC) + timedelta(days=5),
                call_sid="new",
                patient_name="John",
                patient_phone="+1",
                hold_minutes=10,
            )
            assert taken.code == "slot_taken"
    for work in (by_id, by_call, by_phone):
        assert work.sequential == set()
        assert work.rows <= 20
    for work in (by_id, by_call, by_phone, begun, claimed):
        assert work.pages < 100, vars(work)
