"""Sessions that are of no use any more, a database that takes no writes, and a commit that breaks off."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.base import session
from models.base.session import transaction
from models.booking.holds import AppointmentHold
from tasks.booking import expire_holds
from tests.breaking import Breaks, Line
from tests.conftest import ADMIN_URL
from tests.factories import code_of, create_clinic, phone_number, reserve, slot
from tests.places import free_port
from tests.surroundings import environment
from tests.webapp.agents.calls import PhoneCall
from webapp import unit_of_work
from webapp.unit_of_work import Busy, DatabaseAway, OutcomeUnknown, in_transaction

POOL = 4


@pytest.fixture
def admin(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    with psycopg.connect(request.config.stash[ADMIN_URL], autocommit=True) as connection:
        yield connection


@pytest.fixture
def small_pool() -> Iterator[None]:
    with environment(DATABASE_POOL=str(POOL)):
        yield


@contextmanager
def new_sessions_read_only(admin: psycopg.Connection) -> Iterator[None]:
    """As on a server that was the primary, or that has grown beyond its plan."""
    admin.execute("ALTER ROLE holdline SET default_transaction_read_only TO on")
    try:
        yield
    finally:
        admin.execute("ALTER ROLE holdline RESET default_transaction_read_only")


def fill_the_pool() -> None:
    """Open all of its sessions, at the same time."""
    together = Barrier(POOL)

    def open_one() -> None:
        with transaction(uuid.uuid4()):
            together.wait(20)

    with ThreadPoolExecutor(POOL) as threads:
        for opened in [threads.submit(open_one) for _ in range(POOL)]:
            opened.result(30)


def database(client: FlaskClient) -> str:
    told: str = client.get("/readyz").get_json()["checks"]["database"]
    return told


# --- sessions -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_pool")
def test_sessions_that_a_failover_left_read_only_are_thrown_away(
    client: FlaskClient, admin: psycopg.Connection
) -> None:
    org = create_clinic()
    session.engine().dispose()
    with new_sessions_read_only(admin):
        fill_the_pool()
    # Whichever session it meets: every call is answered as on a healthy database.
    for hour in range(9, 9 + 2 * POOL):
        assert reserve(client, org, slotId=slot(hour=hour))["success"]


@pytest.mark.usefixtures("small_pool")
def test_readiness_meets_them_as_a_call_does(client: FlaskClient, admin: psycopg.Connection) -> None:
    session.engine().dispose()
    with new_sessions_read_only(admin):
        fill_the_pool()
    assert [database(client) for _ in range(POOL)] == ["ok"] * POOL


@pytest.mark.usefixtures("small_pool")
def test_a_worker_is_well_after_one_failure(admin: psycopg.Connection) -> None:
    session.engine().dispose()
    with new_sessions_read_only(admin):
        fill_the_pool()
    with pytest.raises(DBAPIError):
        expire_holds()
    for _ in range(POOL):
        expire_holds()


@pytest.mark.usefixtures("small_pool")
def test_a_database_that_is_read_only_is_told_and_is_well_the_moment_it_is(
    client: FlaskClient, admin: psycopg.Connection
) -> None:
    org = create_clinic()
    session.engine().dispose()
    with new_sessions_read_only(admin):
        values = {"tenantId": org, "slotId": slot(), "patientName": "A", "patientPhone": phone_number()}
        response = client.post(
            "/api/vapi/tools/booking/reserve-atomic", json={"toolCall": {"arguments": values}}
        )
        assert (response.status_code, response.get_json()["code"]) == (503, "unavailable")
        assert "read-only transaction" in database(client)
        assert client.get("/readyz").status_code == 503
    assert reserve(client, org)["success"]
    assert database(client) == "ok"


def test_a_right_that_was_taken_away(client: FlaskClient, sql: psycopg.Connection) -> None:
    """As some plans do when their rows are used up."""
    org = create_clinic()
    for table in ("tool_calls", "sms_messages"):
        sql.execute(f"REVOKE INSERT ON {table} FROM CURRENT_USER".encode())
        try:
            assert f"may not read and write {table}" in database(client)
        finally:
            sql.execute(f"GRANT INSERT ON {table} TO CURRENT_USER".encode())
    assert database(client) == "ok"
    assert reserve(client, org)["success"]


def test_readiness_leaves_nothing(client: FlaskClient, sql: psycopg.Connection) -> None:
    create_clinic()
    tables = ("tool_calls", "audit_log", "organizations")

    def rows() -> list[object]:
        return [sql.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() for table in tables]

    before = rows()
    assert database(client) == "ok"
    assert rows() == before


def test_sessions_that_were_ended(client: FlaskClient, admin: psycopg.Connection) -> None:
    org = create_clinic()
    assert reserve(client, org, slotId=slot(hour=9))["success"]
    admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'holdline'"
    )
    for hour in (10, 11, 12):
        assert reserve(client, org, slotId=slot(hour=hour))["success"]


def test_a_process_that_froze_with_a_lock_loses_it(
    client: FlaskClient, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "IDLE_IN_TRANSACTION", 1)
    org = create_clinic()
    lock = text("SELECT pg_advisory_xact_lock(resource_lock_key(:org, 'cal-1'))")
    with contextlib.suppress(DBAPIError), transaction(uuid.UUID(org)) as frozen:
        [pid] = frozen.execute(text("SELECT pg_backend_pid()")).one()
        frozen.execute(lock, {"org": org})
        until = time.monotonic() + 120  # it is ended after one second
        while sql.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
            assert time.monotonic() < until
            time.sleep(0.1)
    assert reserve(client, org)["success"]


def test_what_a_transaction_lacks_is_named() -> None:
    with Session(session.engine()) as plain:
        lacking = session.not_kept(plain)
    named = {each.split(" ")[0] for each in lacking}
    assert {"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} <= named
    with transaction(uuid.uuid4()) as asked:
        assert session.not_kept(asked) == []


def test_an_error_says_nothing_of_who_it_was_about() -> None:
    stranger = AppointmentHold(org_id=uuid.uuid4(), patient_name="Canary", patient_phone="+15550100")
    with transaction(uuid.UUID(create_clinic())) as within:
        within.add(stranger)
        with pytest.raises(DBAPIError) as caught:
            within.flush()
        within.rollback()
    told = f"{caught.value}{caught.value.args}"
    assert "patient_name" in told
    assert "Canary" not in told
    assert "+15550100" not in told


def test_of_several_servers_the_one_that_can_be_written_to_is_used(
    client: FlaskClient, database_url: str
) -> None:
    url = make_url(database_url)
    gone = f"127.0.0.1:{free_port()}"
    address = url.render_as_string(hide_password=False).replace(
        f"@{url.host}:{url.port}", f"@{gone},{url.host}:{url.port}"
    )
    org = create_clinic()
    with environment(DATABASE_URL=address):
        assert reserve(client, org)["success"]
        assert database(client) == "ok"


# --- the commit ---------------------------------------------------------------------------------

_RENAME = text("UPDATE organizations SET name = name || '+' WHERE id = :id")


@pytest.mark.parametrize("how", [Breaks.BEFORE, Breaks.AFTER])
def test_without_a_way_to_look_it_is_unknown_and_nothing_is_done_again(
    database_url: str, how: Breaks
) -> None:
    org = create_clinic()
    ran = []

    def work(within: Session) -> None:
        ran.append(1)
        within.execute(_RENAME, {"id": org})

    with Line(database_url) as line, environment(DATABASE_URL=line.url):
        line.break_commit_of("UPDATE organizations", how)
        with pytest.raises(OutcomeUnknown):
            in_transaction(uuid.UUID(org), work)
    assert ran == [1]


class Slowly:
    """A time in which nothing takes any, but for what a test says, and for waiting."""

    def __init__(self) -> None:
        self.now = self.waited = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waited += seconds


@pytest.mark.parametrize(("worked", "looked_for"), [(0, 6.0), (3, 6.0), (8, 2.0), (30, 0.0)])
def test_a_lost_commit_is_looked_for_no_longer_than_vapi_waits(
    database_url: str, monkeypatch: pytest.MonkeyPatch, worked: float, looked_for: float
) -> None:
    """Six seconds, and none after the tenth second of all; a database that stays away is asked until then."""
    passing = Slowly()
    monkeypatch.setattr(unit_of_work, "time", passing)
    org = create_clinic()
    ran = []

    def work(within: Session) -> None:
        ran.append(1)
        within.execute(_RENAME, {"id": org})
        passing.now += worked

    with Line(database_url) as line, environment(DATABASE_URL=line.url):
        line.break_commit_of("UPDATE organizations", Breaks.BEFORE, then_refuse=True)
        with pytest.raises(OutcomeUnknown):
            in_transaction(uuid.UUID(org), work, happened=lambda *_: False)
    assert ran == [1]
    assert passing.waited == pytest.approx(looked_for, abs=0.5)


@pytest.mark.parametrize(("worked", "times"), [(9.9, 2), (10, 1)])
def test_work_that_lost_a_race_is_begun_again_within_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, worked: float, times: int
) -> None:
    passing = Slowly()
    monkeypatch.setattr(unit_of_work, "time", passing)
    ran = []

    def work(within: Session) -> None:
        ran.append(1)
        passing.now += worked
        within.execute(text("DO $$ BEGIN RAISE lock_not_available; END $$"))

    with pytest.raises(Busy):
        in_transaction(uuid.UUID(create_clinic()), work)
    assert len(ran) == times


def test_what_cannot_be_told_of_a_lost_commit_is_unknown(database_url: str) -> None:
    org = create_clinic()
    with Line(database_url) as line, environment(DATABASE_URL=line.url):
        line.break_commit_of("UPDATE organizations", Breaks.BEFORE)
        with pytest.raises(OutcomeUnknown):
            in_transaction(
                uuid.UUID(org), lambda within: within.execute(_RENAME, {"id": org}), happened=lambda *_: None
            )


def test_a_break_before_the_commit_is_no_unknown_outcome(database_url: str) -> None:
    org = create_clinic()
    with Line(database_url) as line, environment(DATABASE_URL=line.url):

        def work(within: Session) -> None:
            within.execute(_RENAME, {"id": org})
            within.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

        with pytest.raises(DatabaseAway) as caught:
            in_transaction(uuid.UUID(org), work)
    assert not isinstance(caught.value, OutcomeUnknown)


@pytest.mark.parametrize("how", [Breaks.BEFORE, Breaks.AFTER])
def test_a_wrong_code_costs_one_try(
    client: FlaskClient, sql: psycopg.Connection, database_url: str, how: Breaks
) -> None:
    with Line(database_url) as line, environment(DATABASE_URL=line.url):
        org = create_clinic()
        call = PhoneCall(client, org, phone_number())
        call.say("reserve_atomic", slotId=slot(), patientName="Ada")
        call.say("send_otp_code")
        line.break_commit_of("confirm_held_slot(", how)
        hold = sql.execute("SELECT id::text FROM appointment_holds WHERE org_id = %s", [org]).fetchone()
        assert hold
        wrong = str((int(code_of(hold[0])) + 1) % 10_000).zfill(4)
        assert "code=wrong_code" in call.say("verify_otp", providedOTP=wrong)
        assert line.has_broken()
    tries = sql.execute("SELECT code_tries FROM appointment_holds WHERE org_id = %s", [org]).fetchone()
    assert tries == (1,)
