"""What one clinic cannot take from another: threads, connections, streams, and requests."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
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
from tests.webapp.agents.calls import message, tool_call
from tests.webapp.neighbours import CHECK, WEBHOOK, Clinic, many
from tests.webapp.neighbours import in_production as in_production  # the fixture  # noqa: PLC0414
from tests.webapp.neighbours import stopped_clock as stopped_clock  # the fixture  # noqa: PLC0414
from tests.webapp.staff.browsers import employ
from webapp import limits, shares
from webapp.agents import admission, credentials
from webapp.shares import Shares

PATIENT = 60.0  # seconds; longer than anything here takes on any machine


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
