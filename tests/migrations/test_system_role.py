"""SYSTEM_DATABASE_URL: once a second role is given, it alone may look beyond one organisation."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from flask.testing import FlaskClient
from psycopg import errors
from psycopg import sql as compose
from sqlalchemy import text
from twilio.request_validator import RequestValidator

import settings
from models.base import preconditions
from models.base.session import Door, system_transaction, transaction
from models.booking import holds
from models.messaging import outbox, receipts
from runtime import preflight
from tests.concurrency.databases import ROOT, name_of, new_database
from tests.factories import ACCOUNT_SID, AUTH_TOKEN, bare, slot
from tests.furnished import create_furnished_clinic
from tests.surroundings import environment

ALEMBIC = Config(str(ROOT / "alembic.ini"))
AS_SYSTEM = "-c app.scope=system"


@dataclass(frozen=True)
class Urls:
    """One database, as the first and as the second role reach it."""

    first: str
    second: str

    @property
    def variables(self) -> dict[str, str]:
        return {"DATABASE_URL": self.first, "SYSTEM_DATABASE_URL": self.second}


@contextmanager
def database_of_the_first(database_url: str, admin_url: str, *, template: str = "template1") -> Iterator[str]:
    """Only a superuser may drop it under the feet of both roles."""
    with new_database(admin_url, template=template) as url:
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(
                compose.SQL("ALTER DATABASE {} OWNER TO holdline").format(compose.Identifier(name_of(url)))
            )
        yield f"{database_url.rsplit('/', 1)[0]}/{name_of(url)}"


@pytest.fixture(scope="module")
def template(database_url: str, admin_url: str) -> Iterator[Urls]:
    """A database as a release leaves it where SYSTEM_DATABASE_URL is set."""
    name, password = (
        f"Holdline-System-{uuid.uuid4().hex[:8]}",
        uuid.uuid4().hex,
    )  # a name that needs its quotes
    role = compose.Identifier(name)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(
            compose.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD {}").format(
                role, compose.Literal(password)
            )
        )
        try:
            with database_of_the_first(database_url, admin_url) as first:
                urls = Urls(first, f"postgresql://{name}:{password}@{first.split('@')[1]}")
                with environment(**urls.variables):
                    command.upgrade(ALEMBIC, "head")
                yield urls
        finally:
            admin.execute(compose.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def urls(template: Urls, admin_url: str) -> Iterator[Urls]:
    """A copy for one test, and the process set to it."""
    with database_of_the_first(template.first, admin_url, template=name_of(template.first)) as first:
        copy = Urls(first, template.second.rsplit("/", 1)[0] + "/" + name_of(first))
        with environment(**copy.variables):
            yield copy


@pytest.fixture
def system(urls: Urls) -> Iterator[psycopg.Connection]:
    with psycopg.connect(urls.second, autocommit=True, options=AS_SYSTEM) as connection:
        yield connection


@pytest.fixture
def two(client: FlaskClient, system: psycopg.Connection) -> list[str]:
    """Two clinics, furnished through both roles as the product itself does."""
    return sorted(create_furnished_clinic(client, system) for _ in range(2))


def organizations_seen(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute("SELECT DISTINCT org_id::text FROM appointments ORDER BY 1").fetchall()
    return [org for (org,) in rows]


def test_the_first_role_can_no_longer_ask_for_everything(urls: Urls, two: list[str]) -> None:
    with psycopg.connect(urls.first, options=AS_SYSTEM) as first:
        with pytest.raises(errors.UndefinedObject), first.transaction():
            organizations_seen(first)
        with pytest.raises(errors.UndefinedObject), first.transaction():
            first.execute("DELETE FROM contacts")
        first.execute("SELECT set_config('app.org_id', %s, true)", [two[0]])
        assert organizations_seen(first) == [two[0]]
        with pytest.raises(errors.InsufficientPrivilege, match="belongs to another organisation"):
            first.execute("SELECT * FROM release_hold(%s, %s)", [uuid.uuid4(), two[1]])


def test_the_second_role_sees_everything_once_it_says_so_and_only_then(urls: Urls, two: list[str]) -> None:
    with psycopg.connect(urls.second) as second:
        with pytest.raises(errors.UndefinedObject), second.transaction():
            organizations_seen(second)
        second.execute("SELECT set_config('app.scope', 'system', true)")
        assert organizations_seen(second) == two
    with system_transaction(Door.OPERATOR) as session:
        assert str(session.scalar(text("SELECT current_user"))) in urls.second
    with transaction(uuid.UUID(two[0])) as session:
        assert session.scalar(text("SELECT current_user")) == "holdline"


def test_every_door_opens_for_the_second_role(
    client: FlaskClient, urls: Urls, system: psycopg.Connection, two: list[str]
) -> None:
    org, other = two
    # whose credential this is, and that it was used
    secret = uuid.uuid4().hex
    system.execute(
        "INSERT INTO vapi_credentials (org_id, kind, secret_digest) VALUES (%s, 'bearer', %s)",
        [org, hashlib.sha256(secret.encode()).hexdigest()],
    )
    answer = client.post(
        "/api/vapi/tools/calendar/check",
        json={"toolCall": {"arguments": {"date": slot()[:10]}}},
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert answer.get_json()["success"]
    used = system.execute(
        "SELECT last_used_at IS NOT NULL FROM vapi_credentials WHERE last_used_at IS NOT NULL"
    )
    assert used.fetchall() == [(True,)]
    # whose hold this is, in development
    [hold] = system.execute(
        "SELECT id::text FROM appointment_holds WHERE org_id = %s AND status = 'held'", [other]
    ).fetchall()
    assert bare(client, "booking/send-otp", holdId=hold[0])["success"]
    # what is due
    system.execute("UPDATE sms_messages SET next_attempt_at = now() - interval '1 minute'")
    with system_transaction(Door.SWEEP) as session:
        assert {str(due.org_id) for due in outbox.sweep(session)} == {org, other}
    # holds whose time is over give their times back, by triggers on two more tables
    system.execute("UPDATE appointment_holds SET expires_at = now() WHERE status = 'held'")
    assert system.execute("SELECT count(*) FROM occupancies WHERE hold_id IS NOT NULL").fetchone() == (2,)
    with system_transaction(Door.SWEEP) as session:
        assert holds.expire(session) == 2
    assert system.execute("SELECT count(*) FROM occupancies WHERE hold_id IS NOT NULL").fetchone() == (0,)
    # whose message a receipt is about
    [message] = system.execute(
        "SELECT id, appointment_id FROM sms_messages WHERE org_id = %s AND kind = 'confirmation'", [org]
    ).fetchall()
    path = f"/api/twilio/status/{message[0]}/1/{receipts.receipt_token(message[0], 1)}"
    form = {"MessageSid": "SM" + "a" * 32, "MessageStatus": "delivered", "AccountSid": ACCOUNT_SID}
    signature = RequestValidator(AUTH_TOKEN).compute_signature(settings.get().public_base_url + path, form)
    assert client.post(path, data=form, headers={"X-Twilio-Signature": signature}).status_code == 204
    told = system.execute("SELECT confirmation_sms_sent FROM appointments WHERE id = %s", [message[1]])
    assert told.fetchone() == (True,)
    # whether the schema is the one that the code needs
    assert client.get("/readyz").get_json()["checks"]["database"] == "ok"


def test_the_second_role_owns_nothing_and_cannot_change_the_log(
    system: psycopg.Connection, two: list[str]
) -> None:
    assert two
    forbidden: tuple[LiteralString, ...] = (
        "UPDATE audit_log SET actor = 'x'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "TRUNCATE appointments",
        "ALTER TABLE contacts DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE contacts NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY own_organization ON contacts",
        "CREATE OR REPLACE FUNCTION in_system_scope() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    )
    for statement in forbidden:
        with pytest.raises(errors.InsufficientPrivilege):
            system.execute(statement)
    count = "SELECT count(*) FROM audit_log"
    before = system.execute(count).fetchone()
    assert before is not None
    system.execute("UPDATE contacts SET name = 'Jo' WHERE org_id = %s", [two[0]])
    assert system.execute(count).fetchone() == (before[0] + 2,)  # a furnished clinic has two contacts


def test_no_process_starts_with_other_roles_than_the_release_had(urls: Urls) -> None:
    with environment(APP_ENV="production"):
        assert preflight.problems(preconditions.look) == []
    with environment(APP_ENV="production", SYSTEM_DATABASE_URL=None):
        [problem] = preflight.problems(preconditions.look)
        assert "bound the look at every organisation to another role" in problem
        command.upgrade(ALEMBIC, "head")
        assert preflight.problems(preconditions.look) == []
    with environment(APP_ENV="production"):
        [problem] = preflight.problems(preconditions.look)
        assert "the first one may still look at every organisation" in problem


def test_make_psql_is_the_second_role(urls: Urls, two: list[str]) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "sandbox", "psql"],
        input="SELECT count(DISTINCT org_id) FROM appointments;",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert asked.stdout.split()[2] == str(len(two))


def ask_for_everything(url: str) -> list[Any]:
    with psycopg.connect(url, options=AS_SYSTEM) as connection:
        return organizations_seen(connection)


def test_a_release_without_the_setting_gives_it_back_and_one_with_it_takes_it_again(
    urls: Urls, two: list[str]
) -> None:
    with environment(SYSTEM_DATABASE_URL=None):
        command.upgrade(ALEMBIC, "head")
        assert ask_for_everything(urls.first) == two
    command.upgrade(ALEMBIC, "head")
    with pytest.raises(errors.UndefinedObject):
        ask_for_everything(urls.first)
    assert ask_for_everything(urls.second) == two


def test_migrations_run_down_and_up_while_it_is_set(urls: Urls) -> None:
    command.downgrade(ALEMBIC, "0001_first_call")  # there is no log yet
    command.downgrade(ALEMBIC, "base")
    command.upgrade(ALEMBIC, "head")
    with pytest.raises(errors.UndefinedObject), psycopg.connect(urls.first, options=AS_SYSTEM) as first:
        first.execute("INSERT INTO organizations (name, region) VALUES ('x', 'GB')")
    with psycopg.connect(urls.second, options=AS_SYSTEM) as second:
        second.execute("INSERT INTO organizations (name, region) VALUES ('x', 'GB')")
