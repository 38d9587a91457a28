"""The product behind a pooler, as a platform sets it up: PgBouncer, in its default configuration."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base import session
from tasks.booking import expire_holds
from tests.concurrency.databases import alembic, new_database
from tests.factories import code_of, create_clinic, phone_number, slot
from tests.places import ROOT
from tests.pooled import pooler
from tests.surroundings import environment
from tests.webapp.agents.calls import PhoneCall

AT_ONCE = 8
CALLS_OF_EACH = 6  # of five tools
PARAMETERS = "?pgbouncer=true&schema=public&connection_limit=1&pool_timeout=10&sslaccept=strict"


@pytest.fixture(scope="module", params=["session", "transaction"])
def pooled(request: pytest.FixtureRequest, database_url: str) -> Iterator[str]:
    """A database of another time zone and of no patience at all, released and served through a pooler; yields
    its own URL.
    """
    with new_database(database_url) as own, pooler(own, request.param) as url:
        with psycopg.connect(own, autocommit=True) as owner:
            name = own.rsplit("/", 1)[1]
            owner.execute(f"ALTER DATABASE {name} SET timezone TO 'America/New_York'".encode())
        done = alembic(url + PARAMETERS, "upgrade", "head")
        assert done.returncode == 0, done.stderr
        again = alembic(url, "upgrade", "head")
        assert again.returncode == 0, again.stderr
        with environment(DATABASE_URL=url + PARAMETERS, LOCK_TIMEOUT="0.3", RATE_PER_PHONE="0"):
            yield own


def test_whole_calls_at_once(pooled: str, client: FlaskClient) -> None:
    org = create_clinic()
    times = [slot(days=days, hour=hour) for days in range(20, 30) for hour in range(9, 17)]

    def play(time: str) -> list[str]:
        call = PhoneCall(client.application.test_client(), org, phone_number())
        said = [call.say("check_availability", date=time[:10])]
        said.append(call.say("reserve_atomic", slotId=time, patientName="Ada"))
        said.append(call.say("send_otp_code"))
        hold = said[1].split("holdId=")[1].split()[0]
        said.append(call.say("verify_otp", providedOTP=code_of(hold)))
        said.append(call.say("send_confirmation_sms"))
        return said

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(play, times[: AT_ONCE * CALLS_OF_EACH]))
    failed = [line for said in answers for line in said if "code=" in line]
    assert failed == []
    with psycopg.connect(pooled, options="-c app.scope=system") as owner:
        booked = owner.execute("SELECT count(*) FROM appointments WHERE org_id = %s", [org]).fetchone()
    assert booked == (len(answers),)


def test_what_is_asked_of_a_session_holds(pooled: str, client: FlaskClient) -> None:
    org = create_clinic()
    assert client.get("/readyz").get_json()["checks"]["database"] == "ok"
    with session.transaction(uuid.UUID(org)) as within:
        assert session.not_kept(within) == []
    with psycopg.connect(pooled, options="-c app.scope=system") as other:
        other.execute("SELECT pg_advisory_xact_lock(resource_lock_key(%s, 'cal-1'))", [org])
        answer = PhoneCall(client, org, phone_number()).say("reserve_atomic", slotId=slot(), patientName="A")
    assert "code=busy" in answer


def test_commands_and_tasks_work(pooled: str) -> None:
    create_clinic(name="Behind A Pooler")
    done = subprocess.run(
        [sys.executable, "-m", "flask", "organization", "list"],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "Behind A Pooler" in done.stdout
    ignored = [line for line in done.stderr.splitlines() if "ignored in the address" in line]
    assert len(ignored) == 1
    assert "pgbouncer, connection_limit, pool_timeout, sslaccept" in ignored[0]
    assert "Traceback" not in done.stderr
    expire_holds()


def test_a_pooler_that_knows_no_transactions_is_refused_in_a_sentence(database_url: str) -> None:
    with pooler(database_url, "statement") as url:
        release = alembic(url, "upgrade", "head")
        done = subprocess.run(
            [sys.executable, "-c", "import wsgi"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url, "APP_ENV": "production"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert (release.returncode, done.returncode) == (1, 3), done.stderr
    for said in (release.stderr, done.stderr):
        assert "a pooler must work by session or by transaction" in said
        assert "Traceback" not in said
