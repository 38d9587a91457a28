"""The doctor finds what the machine lacks: addresses, the database, Redis, workers and beat."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest

import settings
from celeryconfig import Queue
from tests.webapp.cli.commands import Operator, swept
from tests.webapp.cli.doctor.checklist import _staffed as _staffed  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import complete as complete  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import findings, states
from tests.webapp.cli.doctor.checklist import live as live  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import production as production  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import world as world  # the fixture  # noqa: PLC0414


@pytest.mark.usefixtures("_staffed")
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://127.0.0.1:3001", "cannot be reached from outside"),
        ("https://localhost", "cannot be reached from outside"),
        ("https://192.168.1.5", "cannot be reached from outside"),
        ("https://[::1]", "cannot be reached from outside"),
    ],
)
def test_an_address_that_twilio_cannot_reach(
    operator: Operator, complete: str, production: pytest.MonkeyPatch, url: str, why: str
) -> None:
    production.setenv("PUBLIC_BASE_URL", url)
    settings.of_process.cache_clear()
    found = findings(operator, complete)
    assert states(found, "missing") == {"PUBLIC_BASE_URL", "assistant"}  # which is told the address
    assert why in found["PUBLIC_BASE_URL"]["why"]


def test_without_workers_every_queue_is_missing(operator: Operator, complete: str) -> None:
    """Nobody runs beside these tests: this asks the real Redis."""
    found = findings(operator, complete)
    assert states(found, "missing") == {f"queue {queue.value}" for queue in Queue}
    assert "worker_otp" in found["queue otp"]["mend"]
    assert found["Redis"]["state"] == "ok"
    assert "beat" not in found  # nobody could have noticed it


def test_without_redis_the_rest_is_still_looked_at(
    operator: Operator, live: str, production: pytest.MonkeyPatch
) -> None:
    production.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    settings.of_process.cache_clear()
    found = findings(operator, live)
    assert states(found, "missing") == {"Redis"}
    assert found["test booking"]["state"] == "ok"


@pytest.fixture
def wrong(sql: psycopg.Connection) -> Iterator[Callable[[str, str], None]]:
    """Do something to the schema that is put right again afterwards."""
    with ExitStack() as afterwards:

        def do(statement: str, cure: str) -> None:
            afterwards.callback(sql.execute, cure.encode())
            sql.execute(statement.encode())

        yield do


@pytest.mark.usefixtures("_staffed")
def test_a_role_that_cannot_make_a_backup_is_told(
    operator: Operator, complete: str, sql: psycopg.Connection
) -> None:
    assert findings(operator, complete)["backup"]["state"] == "ok"
    # What another role made since: its owner may read it, and this one may not.
    sql.execute("REVOKE SELECT ON sweeps FROM CURRENT_USER")
    try:
        told = findings(operator, complete)["backup"]
    finally:
        sql.execute("GRANT SELECT ON sweeps TO CURRENT_USER")
    assert told["state"] == "missing"
    assert "sweeps" in told["why"]


@pytest.mark.usefixtures("_staffed")
def test_beat_and_sweeps_that_stay_away_are_told_apart(
    operator: Operator, complete: str, sql: psycopg.Connection
) -> None:
    told = {}
    for done, beat in ((4, 3), (14, 400), (None, 3), (400, 400), (None, None)):
        swept(sql, done=done, beat=beat)
        found = findings(operator, complete)
        told[done, beat] = states(found, "missing")
    assert told == {
        (4, 3): set(),
        (14, 400): {"beat"},
        (None, 3): {"sweeps"},
        (400, 400): {"beat", "sweeps"},
        (None, None): {"beat", "sweeps"},
    }


@pytest.mark.usefixtures("_staffed")
def test_a_database_that_is_not_as_the_code_needs_it(
    operator: Operator, live: str, sql: psycopg.Connection, wrong: Callable[[str, str], None]
) -> None:
    (revision,) = sql.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
    wrong(
        "UPDATE alembic_version SET version_num = '0001_first_call'",
        f"UPDATE alembic_version SET version_num = '{revision}'",
    )
    signature = "(uuid, uuid)"
    wrong(
        f"ALTER FUNCTION release_hold{signature} RENAME TO release_hold_of_yesterday",
        f"ALTER FUNCTION release_hold_of_yesterday{signature} RENAME TO release_hold",
    )
    found = findings(operator, live)
    assert {"database", "SQL functions"} <= states(found, "missing")
    assert "0001_first_call" in found["database"]["why"]
    assert "release_hold" in found["SQL functions"]["why"]
    assert "alembic upgrade head" in found["database"]["mend"]


@pytest.mark.usefixtures("_staffed")
def test_a_wall_that_is_down_is_found(
    operator: Operator, live: str, wrong: Callable[[str, str], None]
) -> None:
    wrong("ALTER TABLE contacts NO FORCE ROW LEVEL SECURITY", "ALTER TABLE contacts FORCE ROW LEVEL SECURITY")
    text = operator.fails("doctor", live)
    assert re.search(
        r"^missing +before the start: Row security is not forced on contacts:", text, re.MULTILINE
    )
    assert "Error: 1 missing" in text


@pytest.mark.usefixtures("_staffed")
def test_a_proxy_that_is_overlooked(operator: Operator, clinic: str, production: pytest.MonkeyPatch) -> None:
    assert findings(operator, clinic)["proxies"]["state"] == "ok"
    production.delenv("PROXIES")
    settings.of_process.cache_clear()
    found = findings(operator, clinic)["proxies"]
    assert found["state"] == "warning"
    assert "set PROXIES" in found["mend"]
    production.setenv("DYNO", "web.1")
    settings.of_process.cache_clear()
    assert findings(operator, clinic)["proxies"]["state"] == "ok"
