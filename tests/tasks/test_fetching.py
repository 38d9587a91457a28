"""A report that was lost while we were down is fetched from Vapi's list of calls."""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

import settings
from models.base import sealing
from tasks import calls
from tasks.calls import fetch_reports
from tests.conftest import Clock
from tests.factories import create_clinic

KEY = "key-of-the-clinic"
ASSISTANT = "assistant-of-the-clinic"
ITS_OWN: Mapping[str, str | None] = {"assistant": ASSISTANT}
BEGUN = datetime.now(UTC) - timedelta(hours=1)


class Vapi:
    """Vapi's GET /call, with a bearer key, a time and pages."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.asked: list[dict[str, list[str]]] = []
        self.status = 200
        #: After this many answers it gives none.
        self.patience: int | None = None

    def handler(self) -> type[BaseHTTPRequestHandler]:
        vapi = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                query = parse_qs(address.query)
                vapi.asked.append(query)
                known = self.headers["Authorization"] == f"Bearer {KEY}" and address.path == "/call"
                tired = vapi.patience is not None and len(vapi.asked) > vapi.patience
                self.send_response((503 if tired else vapi.status) if known else 401)
                if vapi.status == 302:
                    self.send_header("Location", self.path)
                self.end_headers()
                since, until, most = query["updatedAtGe"][0], query["updatedAtLe"][0], int(query["limit"][0])
                whose = {name: query[name][0] for name in ("assistantId", "phoneNumberId") if name in query}
                fitting = [
                    call
                    for call in vapi.calls
                    if since <= call["updatedAt"] <= until
                    and all(call.get(name) == value for name, value in whose.items())
                ]
                random.shuffle(fitting)  # Vapi promises no order
                self.wfile.write(json.dumps(fitting[:most]).encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def vapi(monkeypatch: pytest.MonkeyPatch, sql: psycopg.Connection) -> Iterator[Vapi]:
    sql.execute("UPDATE integration_settings SET vapi_api_key_sealed = NULL")  # of other tests' clinics
    stand_in = Vapi()
    server = ThreadingHTTPServer(("127.0.0.1", 0), stand_in.handler())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("VAPI_API_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    settings.of_process.cache_clear()
    yield stand_in
    server.shutdown()
    thread.join()
    server.server_close()
    monkeypatch.undo()
    settings.of_process.cache_clear()


@pytest.fixture
def org(sql: psycopg.Connection) -> Iterator[str]:
    yield connected(sql)
    sql.execute("UPDATE integration_settings SET vapi_api_key_sealed = NULL")


def connected(sql: psycopg.Connection, *, key: str = KEY, ids: Mapping[str, str | None] = ITS_OWN) -> str:
    """A clinic whose calls can be fetched. Returns its id."""
    org_id = create_clinic()
    sql.execute(
        "UPDATE integration_settings SET vapi_api_key_sealed = %s, vapi_assistant_id = %s,"
        " vapi_phone_number_id = %s WHERE org_id = %s",
        [
            sealing.seal(uuid.UUID(org_id), "vapi_api_key", key),
            ids.get("assistant"),
            ids.get("number"),
            org_id,
        ],
    )
    return org_id


def call(n: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"call-{n}",
        "assistantId": ASSISTANT,
        "status": "ended",
        "endedReason": "customer-ended-call",
        "updatedAt": (BEGUN + timedelta(seconds=n)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "startedAt": "2030-01-01T00:00:00.000Z",
        "endedAt": "2030-01-01T00:05:30.000Z",
        "artifact": {"messages": [{"role": "user", "message": "I want implants", "secondsFromStart": 3}]},
        **more,
    }


def rows(sql: psycopg.Connection, org: str) -> list[tuple[Any, ...]]:
    return sql.execute(
        "SELECT id, status, duration FROM calls WHERE org_id = %s ORDER BY id", [org]
    ).fetchall()


def test_what_ended_while_we_were_down_is_taken_in_once(
    vapi: Vapi, org: str, sql: psycopg.Connection, clock: Clock
) -> None:
    vapi.calls = [call(1), call(2, status="in-progress")]
    fetch_reports.run()
    assert rows(sql, org) == [("call-1", "ended", 330)]
    fetch_reports.run()
    assert len(vapi.asked) == 1, "asked again at once"
    clock.forward(301)
    vapi.calls[1] = call(2, updatedAt=datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z")
    fetch_reports.run()
    assert rows(sql, org) == [("call-1", "ended", 330), ("call-2", "ended", 330)]
    assert vapi.asked[1]["updatedAtGe"] > vapi.asked[0]["updatedAtGe"]


def test_more_than_a_page_is_fetched_whole(
    vapi: Vapi, org: str, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "RUN", 600.0)  # however slow the machine is
    vapi.calls = [call(n) for n in range(250)]
    fetch_reports.run()
    assert len(rows(sql, org)) == 250


def test_many_that_end_in_one_minute_are_all_fetched(
    vapi: Vapi, org: str, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More calls than a page holds in two seconds, as after an outage of Vapi."""
    monkeypatch.setattr(calls, "RUN", 600.0)
    moments = [BEGUN + timedelta(milliseconds=15 * n) for n in range(130)]
    written = [moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") for moment in moments]
    vapi.calls = [call(n, updatedAt=moment) for n, moment in enumerate(written)]
    fetch_reports.run()
    assert len(rows(sql, org)) == 130


def test_trouble_is_noted_and_nothing_is_skipped(
    vapi: Vapi, org: str, sql: psycopg.Connection, clock: Clock
) -> None:
    vapi.status = 503
    fetch_reports.run()
    trouble = sql.execute("SELECT trouble FROM vapi_syncs WHERE org_id = %s", [org]).fetchone()
    assert trouble == ("Vapi answered 503",)
    vapi.status = 200
    clock.forward(301)
    fetch_reports.run()
    assert vapi.asked[0]["updatedAtGe"] == vapi.asked[1]["updatedAtGe"]
    assert sql.execute("SELECT trouble FROM vapi_syncs WHERE org_id = %s", [org]).fetchone() == (None,)


def test_a_key_that_cannot_be_read_holds_up_no_other_clinic(
    vapi: Vapi, org: str, sql: psycopg.Connection
) -> None:
    """The key is sealed with a SECRET_KEY that is lost."""
    unreadable = connected(sql)
    sql.execute(
        "UPDATE integration_settings SET vapi_api_key_sealed = %s WHERE org_id = %s",
        [sealing.seal(uuid.uuid4(), "vapi_api_key", KEY), unreadable],
    )
    vapi.calls = [call(1)]
    fetch_reports.run()
    assert [row[0] for row in rows(sql, org)] == ["call-1"]
    troubles: dict[str, str | None] = dict(
        sql.execute(
            "SELECT org_id::text, trouble FROM vapi_syncs WHERE org_id = ANY (%s)", [[org, unreadable]]
        ).fetchall()
    )
    assert troubles[org] is None
    assert troubles[unreadable]


def test_the_key_follows_no_redirect(vapi: Vapi, org: str, sql: psycopg.Connection) -> None:
    vapi.status = 302
    fetch_reports.run()
    assert len(vapi.asked) == 1
    trouble = sql.execute("SELECT trouble FROM vapi_syncs WHERE org_id = %s", [org]).fetchone()
    assert trouble == ("Vapi answered 302",)


def test_a_run_whose_time_is_over_stops_between_two_pages_and_the_next_goes_on(
    vapi: Vapi, org: str, sql: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "RUN", -1.0)
    vapi.calls = [call(n) for n in range(250)]
    fetch_reports.run()
    assert len(rows(sql, org)) < 250
    for _ in range(30):
        clock.forward(301)
        fetch_reports.run()
    assert len(rows(sql, org)) == 250


def test_a_clinic_without_a_key_is_not_asked_about(vapi: Vapi, sql: psycopg.Connection) -> None:
    create_clinic()
    fetch_reports.run()
    assert vapi.asked == []


def test_what_was_fetched_before_it_broke_off_is_not_asked_for_again(
    vapi: Vapi, org: str, sql: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "RUN", 600.0)  # however slow the machine is
    vapi.calls = [call(n) for n in range(250)]
    vapi.patience = 12  # between the first, empty half of the day and the last calls
    fetch_reports.run()
    assert len(rows(sql, org)) < 250
    clock.forward(301)
    vapi.patience = None
    fetch_reports.run()
    assert vapi.asked[13]["updatedAtGe"] > vapi.asked[0]["updatedAtGe"]
    assert len(rows(sql, org)) == 250


def test_clinics_in_trouble_do_not_keep_the_others_waiting(
    vapi: Vapi, org: str, sql: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run has time for one clinic only: each has its turn, also after the failure of another."""
    revoked = [connected(sql, key="revoked") for _ in range(4)]
    monkeypatch.setattr(calls, "RUN", 0.0)
    vapi.calls = [call(1)]
    for _ in range(len(revoked) + 1):
        fetch_reports.run()
        clock.forward(301)
    assert rows(sql, org) == [("call-1", "ended", 330)]
    turns = sql.execute(
        "SELECT count(*) FROM vapi_syncs WHERE org_id = ANY (%s) AND trouble = 'Vapi answered 401'", [revoked]
    ).fetchone()
    assert turns == (len(revoked),)


@pytest.mark.parametrize("ids", [{"assistant": None, "number": "number-2"}, {"assistant": "assistant-2"}])
def test_of_an_account_of_several_clinics_each_takes_its_own_calls(
    vapi: Vapi, org: str, sql: psycopg.Connection, ids: dict[str, str | None]
) -> None:
    other = connected(sql, ids=ids)
    nobody = connected(sql, ids={})
    vapi.calls = [call(1), call(2, assistantId=ids["assistant"], phoneNumberId=ids.get("number"))]
    fetch_reports.run()
    taken = [[name for name, *_ in rows(sql, each)] for each in (org, other, nobody)]
    assert taken == [["call-1"], ["call-2"], []]


def test_a_call_is_dated_by_when_it_was_and_not_by_when_it_was_fetched(
    vapi: Vapi, org: str, sql: psycopg.Connection
) -> None:
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20)
    vapi.calls = [
        call(1, startedAt=began.isoformat(), endedAt=(began + timedelta(minutes=5)).isoformat()),
        call(2, startedAt="2030-01-01T00:00:00Z"),  # of a wrong clock
    ]
    fetch_reports.run()
    ((one,), (two,)) = sql.execute(
        "SELECT created_at FROM calls WHERE org_id = %s ORDER BY id", [org]
    ).fetchall()
    assert one == began
    assert two <= datetime.now(UTC) + timedelta(minutes=1)
