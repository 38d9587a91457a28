"""Two applications with different settings live in one process, and neither sees anything of the other."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import redis
from flask.testing import FlaskClient

import settings
from celeryconfig import Queue
from models.base.session import engine
from models.booking import links
from tests.concurrency.databases import alembic
from tests.factories import bare, code_of, create_clinic, phone_number, slot
from tests.migrations.test_system_role import database_of_the_first
from tests.stack import eventually
from tests.webapp.agents.vapi.signing import CHECK, Key, bearing, check_body, make_key, make_secret
from tests.webapp.staff.browsers import Person, employ
from tests.webapp.staff.test_feed import event, stream
from webapp import attacks, create_app
from webapp.agents.standing import Door
from webapp.state import Application, here, per_app
from webserver.standing import Standing

#: One in a quarter of an hour: a test has the first, and no second one however slow its machine is.
ONE = 0.001


@dataclass
class Side:
    """One of the two, and its own database as an operator sees it."""

    app: Application
    config: settings.Settings
    sql: psycopg.Connection

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def at_work(self) -> AbstractContextManager[None]:
        """What the verbs of models/ read and write inside of it is this side's."""
        return self.app.state.at_work()

    def one(self, query: str, *values: object) -> Any:
        [(found,)] = self.sql.execute(query.encode(), values).fetchall()
        return found


@pytest.fixture(scope="module")
def databases(database_url: str, admin_url: str) -> Iterator[tuple[str, str]]:
    with database_of_the_first(database_url, admin_url) as other:
        released = alembic(other, "upgrade", "head")
        assert released.returncode == 0, released.stderr
        yield database_url, other


def end(side: Side) -> None:
    """Nothing of it is written down or kept open later."""
    with side.at_work():
        attacks.flush()
        engine().dispose()


@contextmanager
def side_by_side(databases: tuple[str, str], *asked: dict[str, Any]) -> Iterator[tuple[Side, Side]]:
    """With other addresses, keys and limits, and what is asked of each beyond these."""
    broker = settings.get().redis_url.rpartition("/")[0]
    with ExitStack() as stack:
        sides = []
        for number, (url, more) in enumerate(zip(databases, asked or ({}, {}), strict=True)):
            values: dict[str, Any] = {
                "app_env": "development",
                "database_url": url,
                "redis_url": f"{broker}/{number + 4}",
                "secret_key": f"{number}c9b6e2d7f04a18355e2a7c91d6b3f8207e1c4a9b5d60f3827c1e9a4b6d8f0237",
                "public_base_url": f"http://localhost:{number + 1}",
                "metrics_token": f"of-the-metrics-of-number-{number}",
                "max_body_bytes": 4096 * (number + 1),
            }
            config = settings.Settings(**values | {"rate_per_credential": 10_000, "rate_per_phone": 0} | more)
            sql = stack.enter_context(psycopg.connect(url, autocommit=True, options="-c app.scope=system"))
            side = Side(create_app(config), config, sql)
            stack.callback(end, side)
            sides.append(side)
        first, second = sides
        yield first, second


@pytest.fixture
def two(databases: tuple[str, str]) -> Iterator[tuple[Side, Side]]:
    with side_by_side(databases) as sides:
        yield sides


@dataclass
class Clinic:
    """Of one side, with a credential."""

    side: Side
    org: str
    secret: str

    def asks(self, call: str = "") -> tuple[int, bool]:
        """One tool call of a telephone call: its status, and whether it was too much."""
        tool = {"id": uuid.uuid4().hex, "function": {"name": "check_availability", "arguments": {}}}
        message = {"type": "tool-calls", "call": {"id": call or uuid.uuid4().hex}, "toolCallList": [tool]}
        answer = bearing(self.secret, json.dumps({"message": message}).encode()).post(self.side.client)
        return answer.status_code, "too much at once" in answer.text

    def books(self, start: str, name: str = "Ann") -> str:
        """A booking, by HTTP: the id of its confirmation."""
        client = self.side.client
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {self.secret}"
        said = {"slotId": start, "calendarId": "cal-1", "patientName": name, "patientPhone": phone_number()}
        hold = bare(client, "booking/reserve-atomic", **said)["holdId"]
        assert bare(client, "booking/send-otp", holdId=hold)["success"]
        with self.side.at_work():
            code = code_of(hold)
        done = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code)
        query = "SELECT confirmation_message_id FROM appointments WHERE id = %s"
        return str(self.side.one(query, done["appointmentId"]))


def clinic_of(side: Side) -> Clinic:
    with side.at_work():
        org = create_clinic(sandbox=True)
        return Clinic(side, org, make_secret(org))


def test_each_has_its_settings_and_outside_of_both_there_are_the_process_s(two: tuple[Side, Side]) -> None:
    of_process = settings.get()
    for side in (*two, *reversed(two)):
        with side.app.app_context():
            assert settings.get() is side.config
            assert here() is side.app.state
        assert settings.get() is of_process
    first, second = two
    with first.app.app_context():
        with second.app.app_context():
            assert settings.get() is second.config
        assert settings.get() is first.config


def test_a_credential_is_known_where_its_database_is(two: tuple[Side, Side]) -> None:
    clinics = [clinic_of(side) for side in two]
    for _ in range(2):
        for own, other in zip(clinics, reversed(clinics), strict=True):
            assert own.asks() == (200, False)
            # At once, while the one that knows it has it in memory.
            assert bearing(own.secret).post(other.side.client).status_code == 401
            for side, standing in ((own.side, Standing.KNOWN), (other.side, Standing.REFUSED)):
                headers = [("AUTHORIZATION", f"Bearer {own.secret}")]
                assert Door(side.app).judge(CHECK, "", headers, "192.0.2.1") is standing


def copy(key: Key, source: Side, target: Side) -> None:
    """The clinic and its credential, row by row, as a backup brings them."""
    for table, column in (("organizations", "id"), ("vapi_credentials", "org_id")):
        row = source.one(f"SELECT row_to_json(t) FROM {table} t WHERE {column} = %s", key.org)
        insert = f"INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, %s)"
        target.sql.execute(insert.encode(), [json.dumps(row)])


def test_what_one_key_sealed_is_not_open_to_the_other(two: tuple[Side, Side]) -> None:
    """Also where both have the very same row, and one of them has opened it already."""
    first, second = two
    with second.at_work():
        key = make_key()
    copy(key, second, first)
    for side, status in ((second, 200), (first, 401), (second, 200)):
        body = check_body(patientName=uuid.uuid4().hex)
        assert key.signs(time.time(), body).post(side.client).status_code == status


def test_neither_is_held_to_what_the_other_may_ask(databases: tuple[str, str]) -> None:
    by_credential = {"app_env": "production", "rate_per_credential": ONE, "rate_per_call": 0}
    by_call = {"rate_per_credential": 0, "rate_per_call": ONE}
    with side_by_side(databases, by_credential, by_call) as (first, second):
        mine, theirs, call = clinic_of(first), clinic_of(second), uuid.uuid4().hex
        assert mine.asks(call) == (200, False)
        assert theirs.asks(call) == (200, False)
        assert mine.asks() == (200, True)
        assert theirs.asks() == (200, False)
        assert theirs.asks(call) == (200, True)
        assert theirs.asks() == (200, False)


def test_each_reads_as_much_as_its_setting_says(two: tuple[Side, Side]) -> None:
    body = check_body(patientName="x" * 5000)
    read = [bearing(clinic_of(side).secret, body).post(side.client).status_code for side in two]
    assert read == [413, 200]


def test_a_link_opens_where_it_was_made(two: tuple[Side, Side]) -> None:
    tokens = []
    for side in two:
        message = clinic_of(side).books(slot())
        with side.at_work():
            tokens.append(links.derive(uuid.UUID(message)))
    for _ in range(2):
        for side, own, other in zip(two, tokens, reversed(tokens), strict=True):
            assert side.client.get(f"/a/{own}").status_code == 200
            assert side.client.get(f"/a/{other}").status_code == 404


def test_guesses_at_one_are_not_held_against_the_other(two: tuple[Side, Side]) -> None:
    """And its own thread writes them down in its own database."""
    first, second = two
    query = "SELECT coalesce(sum(total), 0) FROM attack_counts WHERE kind = 'guessed_link'"
    before = first.one(query), second.one(query)
    answers = [second.client.get("/a/there-is-no-such-link-of-ours").status_code for _ in range(12)]
    assert answers == [404] * 10 + [429] * 2
    eventually(lambda: second.one(query) == before[1] + 10)
    assert first.one(query) == before[0]
    assert first.client.get("/a/there-is-no-such-link-of-ours").status_code == 404


def test_the_staff_are_signed_in_where_they_signed_in(two: tuple[Side, Side]) -> None:
    people = []
    for side in two:
        with side.at_work():
            people.append(employ(side.app, clinic_of(side).org))
    for person in people:
        assert person.sign_in().status_code == 303
    for person, other in zip(people, reversed(people), strict=True):
        assert person.is_in()
        elsewhere = Person(other.client.application.test_client(), person.org, person.email)
        for cookie in ("holdline-session", "holdline-device"):
            brought = person.client.get_cookie(cookie)
            assert brought
            elsewhere.client.set_cookie(cookie, brought.value)
        assert not elsewhere.is_in()
        assert elsewhere.sign_in().status_code == 403


def test_bookings_at_the_same_time_land_where_they_were_made(two: tuple[Side, Side]) -> None:
    """Each thread books now with the one and now with the other; codes, keys and rows are never mixed up."""
    clinics = [clinic_of(side) for side in two]
    times = [slot(days=14 + day, hour=hour) for day in range(2) for hour in range(9, 13)]
    together = threading.Barrier(len(times))

    def book(number: int) -> list[str]:
        together.wait()
        return [clinics[(number + turn) % 2].books(times[number]) for turn in range(2)]

    with ThreadPoolExecutor(len(times)) as pool:
        made = [message for each in pool.map(book, range(len(times))) for message in each]
    assert len(set(made)) == 2 * len(times)
    for clinic in clinics:
        query = "SELECT array_agg(confirmation_message_id::text) FROM appointments WHERE org_id = %s"
        assert len(clinic.side.one(query, clinic.org)) == len(times)
    for clinic, other in zip(clinics, reversed(clinics), strict=True):
        assert other.side.one("SELECT count(*) FROM appointments WHERE org_id = %s", clinic.org) == 0


def test_each_tells_the_workers_of_its_own_broker(two: tuple[Side, Side]) -> None:
    for side in two:
        with redis.Redis.from_url(side.config.redis_url) as broker:
            broker.flushdb()
        clinic_of(side).books(slot())
    for side in two:
        with redis.Redis.from_url(side.config.redis_url) as broker:
            assert (broker.llen(Queue.OTP.value), broker.llen(Queue.SMS.value)) == (1, 1)


def test_each_live_page_moves_with_its_own_database(two: tuple[Side, Side]) -> None:
    """A stream goes on when its request is long over."""
    looking = threading.Barrier(3)

    def look(person: Person, name: str) -> None:
        tag = person.get("live/state").headers["ETag"]
        with stream(person, tag) as (_, chunks):
            looking.wait()
            while name not in event(chunks)[1]:
                pass

    clinics = [clinic_of(side) for side in two]
    with ThreadPoolExecutor(2) as pool:
        looks = []
        for number, clinic in enumerate(clinics):
            with clinic.side.at_work():
                person = employ(clinic.side.app, clinic.org)
            assert person.sign_in().status_code == 303
            looks.append(pool.submit(look, person, f"Ann {number}"))
        looking.wait()
        for number, clinic in enumerate(clinics):
            clinic.books(slot(hour=9 + number), name=f"Ann {number}")
        for each in looks:
            each.result()  # a stream that ends without it fails


def test_commands_look_into_the_database_of_their_application(two: tuple[Side, Side]) -> None:
    names = [f"Clinic {uuid.uuid4().hex}" for _ in two]
    for side, name in zip(two, names, strict=True):
        with side.at_work():
            create_clinic(name=name)
    for side, own, other in zip(two, names, reversed(names), strict=True):
        said = side.app.test_cli_runner().invoke(args=["organization", "list"]).output
        assert own in said
        assert other not in said


def test_the_description_of_the_api_and_the_figures_are_of_each_one(two: tuple[Side, Side]) -> None:
    for side, other in zip(two, reversed(two), strict=True):
        [server] = side.client.get("/openapi.json").get_json()["servers"]
        assert server["url"] == side.config.public_base_url
        for asked, status in ((side, 200), (other, 404)):
            headers = {"Authorization": f"Bearer {asked.config.metrics_token}"}
            assert side.client.get("/metrics", headers=headers).status_code == status


# --- what they keep -----------------------------------------------------------------------------


def test_what_is_per_app_is_made_once_in_each_also_by_many_at_once(two: tuple[Side, Side]) -> None:
    made: list[object] = []
    begin = threading.Barrier(8)

    @per_app
    def kept() -> object:
        made.append(object())
        return made[-1]

    def ask(side: Side) -> object:
        begin.wait()
        with side.app.app_context():
            return kept()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, two * 4))
    assert len(made) == len(set(found)) == 2
    assert found[0::2] == [found[0]] * 4


def test_where_no_application_is_at_work_it_is_said(two: tuple[Side, Side]) -> None:
    del two
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match=r"app_context\(\)"):
        pool.submit(here).result()
