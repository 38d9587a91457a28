"""What one clinic cannot take from another: threads, connections, streams, and the time of the processor."""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any

import psycopg
import pytest
from flask import Flask
from werkzeug.test import TestResponse

import settings
from models.base.session import engine
from tests.factories import create_clinic, phone_number, slot
from tests.stack import eventually
from tests.surroundings import environment
from tests.webapp.agents.calls import message, tool_call
from tests.webapp.agents.vapi.signing import make_secret
from tests.webapp.staff.browsers import employ
from webapp import limits, shares
from webapp.agents import admission, credentials
from webapp.agents.vapi import envelope, salvage
from webapp.shares import Shares

WEBHOOK = "/api/vapi/webhook"
CHECK = "/api/vapi/tools/calendar/check"
RESERVE = "/api/vapi/tools/booking/reserve-atomic"
PATIENT = 60.0  # seconds; longer than anything here takes on any machine


class Clinic:
    def __init__(self, app: Flask) -> None:
        self.app = app
        self.org = create_clinic(sandbox=True)  # where anybody's number will do
        self.headers = {"Authorization": f"Bearer {make_secret(self.org)}"}

    def post(self, path: str, body: object) -> TestResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.app.test_client().post(path, data=data, headers=self.headers)

    def bare(self, path: str, **arguments: Any) -> TestResponse:
        return self.post(path, {"toolCall": {"arguments": arguments}})

    def reserve(self, number: int = 0) -> TestResponse:
        name, when = "John Smith", slot(days=20 + number)
        return self.bare(RESERVE, slotId=when, patientName=name, patientPhone=phone_number())

    def check(self, **of: Any) -> TestResponse:
        return self.post(CHECK, message(tool_call("check_availability", date=slot()[:10]), **of))


@pytest.fixture(autouse=True)
def in_production() -> Iterator[None]:
    """As it is by default, but for waits that outlast the tests."""
    with environment(APP_ENV="production", LOCK_TIMEOUT="60"):
        yield


# --- threads and connections --------------------------------------------------------------------


def test_a_clinic_that_waits_for_its_locks_leaves_its_neighbour_all_it_needs(
    app: Flask, sql: psycopg.Connection
) -> None:
    flooding, neighbour = Clinic(app), Clinic(app)
    threads, surplus = settings.get().threads_of_web // 2, 8
    with ThreadPoolExecutor(threads + surplus + 1) as pool:
        with sql.transaction():
            sql.execute("SELECT pg_advisory_xact_lock(resource_lock_key(%s, 'cal-1'))", [flooding.org])
            asked = [pool.submit(flooding.reserve, number) for number in range(threads + surplus)]
            for refused in islice(as_completed(asked, timeout=PATIENT), surplus):
                answer = refused.result()
                assert (answer.status_code, answer.json and answer.json["code"]) == (503, "busy")
                assert answer.headers["Retry-After"]
            assert sum(each.done() for each in asked) == surplus
            assert shares.threads().held(uuid.UUID(flooding.org)) == threads
            assert 0 < engine().pool.checkedout() < settings.get().web_pool  # type: ignore[attr-defined]
            for number in range(5):
                reserved: Future[TestResponse] = pool.submit(neighbour.reserve, number)
                assert reserved.result(PATIENT / 2).get_json()["success"]
            [result] = flooding.check(call_id="c").get_json()["results"]
            assert "one moment please" in result["result"]
        settled = Counter(each.result(PATIENT).status_code for each in asked)
    assert settled == {200: threads, 503: surplus}
    assert shares.threads().held(uuid.UUID(flooding.org)) == 0
    assert flooding.reserve(100).get_json()["success"]


def test_a_busy_clinic_with_thirty_calls_at_once_is_refused_nothing(app: Flask) -> None:
    """Ten tool calls in each of them, as fast as the machine can: in life they take two minutes."""
    clinic = Clinic(app)

    def call(number: int) -> list[str]:
        of = {"call_id": f"call-{number}", "number": phone_number()}
        return [clinic.check(**of).get_json()["results"][0]["result"] for _ in range(10)]

    with ThreadPoolExecutor(30) as pool:
        answers = [answer for answers in pool.map(call, range(30)) for answer in answers]
    assert len(answers) == 300
    assert all("times are free" in answer for answer in answers)


def test_strangers_who_text_in_a_clinics_name_use_none_of_its_share(app: Flask) -> None:
    clinic = Clinic(app)
    own, org = shares.threads(), uuid.UUID(clinic.org)
    while own.take(org):
        pass
    held = own.held(org)
    try:
        assert app.test_client().post(f"/api/twilio/inbound/{clinic.org}", data={}).status_code == 403
        assert own.held(org) == held
    finally:
        while own.held(org):
            own.give_back(org)


def test_one_alone_has_half_and_nobody_is_left_without() -> None:
    places = Shares(12)
    for holder, gets in (("a", 6), ("b", 3), ("c", 2), ("d", 1)):
        assert sum(places.take(holder) for _ in range(12)) == gets
    assert not places.take("e")
    places.give_back("a")
    assert not places.take("a")
    assert places.take("e")


def test_who_waits_for_a_place_gets_the_next_that_is_its_own() -> None:
    places = Shares(2)
    assert places.take("a")
    assert not places.take("a")
    began = threading.Event()

    def wait() -> bool:
        began.set()
        return places.take("a", wait=PATIENT)

    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(wait)
        began.wait(PATIENT)
        assert places.take("b")
        assert not waits.done()
        places.give_back("b")
        places.give_back("a")
        assert waits.result(PATIENT)
    assert places.held("a") == 1


def test_who_waits_longest_is_next() -> None:
    """One that gives a place back and comes again at once does not overtake those that wait."""
    places, served, order = Shares(2), threading.Event(), list[int]()
    assert places.take("a")

    def wait(number: int) -> None:
        assert places.take("a", wait=PATIENT)
        order.append(number)
        served.wait(PATIENT)
        places.give_back("a")

    with ThreadPoolExecutor(3) as pool:
        waits = []
        for number in range(3):
            waits.append(pool.submit(wait, number))
            eventually(lambda: len(places._waiting["a"]) == len(waits))
        places.give_back("a")
        overtakes = places.take("a")
        served.set()
        for each in waits:
            each.result(PATIENT)
    assert not overtakes
    assert order == [0, 1, 2]


# --- how much may be asked ----------------------------------------------------------------------


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes for the limits, so that what is let through hangs on no machine's speed."""
    for limiter in limits._limiters().values():
        monkeypatch.setattr(limiter, "_clock", lambda: 1000.0)


def many(count: int, **of: Any) -> dict[str, Any]:
    calls = (tool_call("check_availability", id=f"c{n}", date=slot(days=n + 1)[:10]) for n in range(count))
    return message(*calls, **of)


@pytest.mark.usefixtures("stopped_clock")
def test_a_message_costs_as_many_as_it_has_tool_calls(app: Flask) -> None:
    clinic, neighbour = Clinic(app), Clinic(app)
    burst = int(settings.get().rate_per_credential * limits.BURST_OF_A_CLINIC)
    assert burst == 300
    spoken: list[list[str]] = []
    for number in range(burst // 30 + 1):
        results = clinic.post(CHECK, many(30, call_id=f"call-{number}")).get_json()["results"]
        spoken.append([result["result"] for result in results])
    assert all(len(texts) == 30 for texts in spoken)
    assert all("times are free" in text for texts in spoken[:-1] for text in texts)
    assert all("too much at once" in text for text in spoken[-1])
    assert clinic.bare(CHECK, date=slot()[:10]).status_code == 429
    assert neighbour.bare(CHECK, date=slot()[:10]).status_code == 200


@pytest.mark.usefixtures("stopped_clock")
def test_one_call_does_not_use_up_what_its_clinic_may_ask(app: Flask) -> None:
    clinic = Clinic(app)
    heard = [
        result["result"]
        for _ in range(40)
        for result in clinic.post(CHECK, many(10, call_id="loud")).get_json()["results"]
    ]
    assert (
        sum("times are free" in text for text in heard)
        == settings.get().rate_per_call * limits.BURST_OF_A_CLINIC
    )
    [result] = clinic.check(call_id="another", number=phone_number()).get_json()["results"]
    assert "times are free" in result["result"]


@pytest.mark.usefixtures("stopped_clock")
def test_those_who_only_name_a_number_leave_its_own_call_what_it_may_ask(app: Flask) -> None:
    clinic, victim = Clinic(app), phone_number()

    def name_it(call: int) -> str:
        asked = tool_call("check_availability", date=slot()[:10], patientPhone=victim)
        answer = clinic.post(CHECK, message(asked, call_id=f"stranger-{call}"))
        return str(answer.get_json()["results"][0]["result"])

    burst = int(settings.get().rate_per_phone * limits.BURST_OF_A_CLINIC)
    assert all("times are free" in name_it(call) for call in range(burst))
    assert "too much at once" in name_it(burst)
    [result] = clinic.check(call_id="own", number=victim).get_json()["results"]
    assert "times are free" in result["result"]


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {"message": {"type": kind, "call": {"id": str(uuid.uuid4())}} | more}


@pytest.mark.usefixtures("stopped_clock")
def test_events_have_a_rate_of_their_own_and_come_again(app: Flask) -> None:
    clinic = Clinic(app)
    burst = int(settings.get().rate_per_credential * limits.BURST_OF_A_CLINIC)
    key = clinic_key(clinic)
    assert limits.allow(limits.Kind.EVENTS, key, burst - 1)
    assert clinic.post(WEBHOOK, event("status-update", status="ended")).status_code == 200
    refused = clinic.post(WEBHOOK, event("status-update", status="ended"))
    assert (refused.status_code, refused.get_json()["code"]) == (429, "rate_limited")
    assert refused.get_json()["received"] is False
    assert clinic.post(WEBHOOK, b'{"message":{"type":"end-of-call-report","call":{"id":"').status_code == 429
    asked = clinic.post(WEBHOOK, event("assistant-request")).get_json()
    assert "cannot take calls right now" in asked["error"]
    assert clinic.post(WEBHOOK, event("speech-update")).status_code == 200  # nothing is done with it
    assert clinic.bare(CHECK, date=slot()[:10]).status_code == 200


def clinic_key(clinic: Clinic) -> uuid.UUID:
    with clinic.app.test_request_context(headers=clinic.headers) as context:
        found = credentials.resolve(context.request, b"").credential_id
    assert found
    return found


@pytest.mark.usefixtures("stopped_clock")
@pytest.mark.parametrize("size", [1024 * 1024, 5 * 1024 * 1024])
def test_bytes_cost_as_events_do(app: Flask, size: int) -> None:
    clinic, neighbour = Clinic(app), Clinic(app)
    body = json.dumps(event("conversation-update", text="x" * size)).encode()
    burst = int(settings.get().rate_per_credential * limits.BURST_OF_A_CLINIC)
    fit = burst // (len(body) // admission.BYTES_OF_AN_EVENT)
    answers = [clinic.post(WEBHOOK, body).status_code for _ in range(fit + 1)]
    assert answers == [200] * fit + [429]
    large_call = many(2, call_id="c") | {"padding": "x" * size}
    answer = clinic.post(CHECK, large_call)
    assert answer.status_code == 200
    assert [each["toolCallId"] for each in answer.get_json()["results"]] == ["c0", "c1"]
    assert neighbour.post(WEBHOOK, body).status_code == 200


# --- one message --------------------------------------------------------------------------------

M4 = 4 * 1024 * 1024 - 1024


def filled(start: bytes, unit: bytes, end: bytes) -> bytes:
    return start + unit * ((M4 - len(start) - len(end)) // len(unit)) + unit.rstrip(b",") + end


LIST, CALLS = b'{"message":{"type":"tool-calls","a":[', b'{"message":{"type":"tool-calls","toolCallList":['
NAMES = b",".join(b'"%d":1' % n for n in range(300_000))
DENSE = {
    "calls": filled(CALLS, b'{"id":"call"},', b"]}}"),
    "whole calls": filled(
        CALLS, b'{"id":"c","function":{"name":"check_availability","arguments":{}}},', b"]}}"
    ),
    "one member each": filled(CALLS, b'{"a":1},', b"]}}"),
    "empty objects": filled(LIST, b"{},", b"]}}"),
    "empty lists": filled(LIST, b"[],", b"]}}"),
    "numbers": filled(LIST, b"999,", b"]}}"),
    "fractions": filled(LIST, b"1.5,", b"]}}"),
    "texts": filled(LIST, b'"ab",', b"]}}"),
    "names": b'{"message":{"type":"tool-calls",' + NAMES + b"}}",
    "turns": filled(b'{"message":{"type":"x","messages":[', b'{"role":"user","message":"Hi"},', b"]}}"),
    "arguments": filled(b'{"toolCall":{"arguments":{"a":[', b'"ab",', b"]}}}"),
    "named arguments": b'{"toolCall":{"arguments":{'
    + b",".join(b'"%d":1' % n for n in range(300_000))
    + b"}}}",
    "escaped": filled(b'{"toolCall":{"arguments":"[', rb"\u007b\u007d\u002c", b'1]"}}'),
    "deep": b"[" * M4,
    "deep objects": b'{"a":' * (M4 // 5),
}


@pytest.mark.parametrize("body", DENSE.values(), ids=DENSE.keys())
def test_what_is_small_on_the_wire_is_not_made_large_in_memory(body: bytes) -> None:
    def read() -> None:
        with pytest.raises(envelope.Unreadable):
            envelope.read(body)
        salvage.message(body)

    tracemalloc.start()
    try:
        read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * 1024 * 1024


@pytest.mark.parametrize("count", [129, 5_000])
@pytest.mark.parametrize("where", ["toolCallList", "toolCalls", "toolWithToolCallList"])
def test_beyond_128_tool_calls_a_message_is_refused_as_a_whole(
    app: Flask, sql: psycopg.Connection, count: int, where: str
) -> None:
    clinic = Clinic(app)
    body = many(count, call_id="c")
    calls = body["message"].pop("toolCallList")
    body["message"][where] = [{"toolCall": call} for call in calls] if "With" in where else calls
    answer = clinic.post(CHECK, body)
    assert answer.status_code == 200
    said = answer.get_json()
    assert [each["toolCallId"] for each in said["results"]] == [f"c{n}" for n in range(32)]
    assert all("more than 128 tool calls" in each["error"] for each in said["results"])
    assert "more than 128 tool calls" in said["error"]
    assert sql.execute("SELECT count(*) FROM tool_calls WHERE org_id = %s", [clinic.org]).fetchone() == (0,)


@pytest.mark.usefixtures("stopped_clock")
def test_up_to_128_each_is_answered_and_32_are_run(app: Flask) -> None:
    answers = Clinic(app).post(CHECK, many(100, call_id="c")).get_json()["results"]
    assert [each["toolCallId"] for each in answers] == [f"c{n}" for n in range(100)]
    assert all("free" in each["result"] for each in answers[:32])
    assert all("too many calls" in each["error"] for each in answers[32:])


@pytest.mark.parametrize("name", ["calls", "named arguments", "escaped", "deep"])
def test_a_dense_body_is_answered_in_its_form(app: Flask, name: str) -> None:
    answer = Clinic(app).post(CHECK, DENSE[name])
    if name == "calls":
        assert answer.status_code == 200
        assert len(answer.get_json()["results"]) <= envelope.MAX_CALLS
        assert "too much in one request" in answer.get_json()["error"]
    else:
        expected = 400 if name == "escaped" else 413
        assert answer.status_code == expected
        assert answer.get_json()["code"] in ("request_too_large", "unreadable_request")


def test_a_dense_event_is_taken_in_as_far_as_it_is_read(app: Flask, sql: psycopg.Connection) -> None:
    """An hour with the time of each word is no attack."""
    clinic, call = Clinic(app), str(uuid.uuid4())
    words = [{"word": "so", "start": n / 10, "end": n / 10, "confidence": 0.9} for n in range(40_000)]
    report = {
        "type": "end-of-call-report",
        "call": {"id": call},
        "artifact": {"messages": [{"role": "user", "message": "Hello", "words": words}]},
        "analysis": {"summary": "Wants implants."},
    }
    body = json.dumps({"message": report}).encode()
    with pytest.raises(envelope.TooLarge):
        envelope.read(body)
    assert clinic.post(WEBHOOK, body).status_code == 200
    row = sql.execute("SELECT summary FROM calls WHERE org_id = %s AND id = %s", [clinic.org, call])
    assert row.fetchone() == ("Wants implants.",)


def test_a_compressed_body_is_as_dense_as_what_is_in_it(app: Flask) -> None:
    clinic = Clinic(app)
    packed = gzip.compress(DENSE["calls"])
    assert len(packed) < len(DENSE["calls"]) / 100
    answer = clinic.app.test_client().post(
        CHECK, data=packed, headers=clinic.headers | {"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 200
    assert "too much in one request" in answer.get_json()["error"]


def test_the_pages_of_the_staff_are_on_their_clinics_share(app: Flask) -> None:
    person, other = employ(app, create_clinic(), "Sam"), employ(app, create_clinic(), "Robin")
    for each in (person, other):
        each.sign_in()
    own, org = shares.threads(), uuid.UUID(str(person.org))
    while own.take(org):
        pass
    try:
        assert person.client.get("/dashboard/calls").status_code == 503
        assert other.client.get("/dashboard/calls").status_code == 200
    finally:
        while own.held(org):
            own.give_back(org)
    assert person.client.get("/dashboard/calls").status_code == 200
