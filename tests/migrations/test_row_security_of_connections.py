"""The wall stands in every session: on a pooled connection, and for the role of the application.

The application's role owns the tables, so that each wall must be forced; a role that may pass by is
shown to see everything, which is what makes the other tests mean something.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql as compose
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.base import session
from models.base.session import Door, system_transaction, transaction
from models.booking.holds import AppointmentHold
from tests.migrations.walls import two as two  # the fixture  # noqa: PLC0414
from tests.surroundings import environment

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
