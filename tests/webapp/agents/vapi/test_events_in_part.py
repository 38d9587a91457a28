"""No event is lost for its body, and none is answered as a tool: too large, cut off, or no proper JSON."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import io
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from models.calls import reports
from tests.factories import create_clinic, phone_number, slot
from tests.places import free_port
from tests.surroundings import environment
from tests.webapp.agents.calls import message, tool_call
from tests.webapp.agents.vapi.reports import RICH, report, status
from tests.webapp.agents.vapi.signing import make_key, make_secret
from webapp.agents.vapi import envelope, routes, salvage

WEBHOOK = "/api/vapi/webhook"
LIMIT = 4096  # of the tests' own, in place of 4 MiB


@pytest.fixture(autouse=True)
def in_production() -> Iterator[None]:
    with environment(APP_ENV="production", MAX_BODY_BYTES=str(LIMIT)):
        yield


class Clinic:
    """One that a credential names, and what is known of its one call."""

    def __init__(self, client: FlaskClient, sql: psycopg.Connection, kind: str) -> None:
        self.client, self.sql = client, sql
        self.org, self.call = create_clinic(sandbox=True), str(uuid.uuid4())
        self.secret = make_secret(self.org) if kind == "bearer" else ""
        self.key = make_key(self.org) if kind == "hmac" else None

    def send(self, body: bytes, path: str = WEBHOOK, **more: Any) -> TestResponse:
        if self.key is None:
            headers = {"Authorization": f"Bearer {self.secret}"}
        else:
            stamp = str(int(time.time()))
            signature = hmac.new(self.key.secret.encode(), stamp.encode() + b"." + body, hashlib.sha256)
            headers = {
                "X-Holdline-Credential": str(self.key.id),
                "X-Signature": signature.hexdigest(),
                "X-Timestamp": stamp,
            }
        return self.client.post(path, data=body, headers=headers | more.pop("headers", {}), **more)

    def hold(self) -> None:
        arguments = {"slotId": slot(), "patientName": "John", "patientPhone": phone_number()}
        body = json.dumps(message(tool_call("reserve_atomic", **arguments), call_id=self.call)).encode()
        assert "holdId" in self.send(body).get_json()["results"][0]["result"]

    @property
    def row(self) -> Any:
        return self.sql.execute(
            "SELECT c.status, c.summary, c.duration, h.status FROM calls c"
            " LEFT JOIN appointment_holds h ON h.org_id = c.org_id AND h.call_sid = c.id WHERE c.org_id = %s",
            [self.org],
        ).fetchone()


@pytest.fixture(params=["bearer", "hmac"])
def clinic(client: FlaskClient, sql: psycopg.Connection, request: pytest.FixtureRequest) -> Clinic:
    return Clinic(client, sql, request.param)


def body_of(event: dict[str, Any]) -> bytes:
    return json.dumps({"message": event}).encode()


def large(call: str, *, call_last: bool) -> dict[str, Any]:
    """A report beyond the limit, its bulk where Vapi has it: the same words again, and a tool's answers."""
    rich = report(call, **RICH)
    artifact = {
        "messagesOpenAIFormatted": [{"role": "tool", "content": "x" * LIMIT}],
        "variables": {"a": ["y" * LIMIT]},
        **rich.pop("artifact"),
    }
    members = [("artifact", artifact), *rich.items()]
    return dict(members if call_last else reversed(members))


def taken(response: TestResponse) -> None:
    assert (response.status_code, response.get_json()) == (200, {"results": []})


def not_taken(response: TestResponse, status: int, code: str) -> None:
    """There is no word for an agent in it; Vapi sends again what it hears a status other than 200 for."""
    answer = response.get_json()
    assert (response.status_code, answer["received"], answer["code"]) == (status, False, code)
    assert answer["error"]
    assert "BOOKED" not in response.text


@pytest.mark.parametrize("call_last", [True, False])
def test_a_report_beyond_the_limit_is_taken_in_whole(clinic: Clinic, *, call_last: bool) -> None:
    clinic.hold()
    taken(clinic.send(body_of(large(clinic.call, call_last=call_last))))
    assert clinic.row == ("ended", "Wants implants.", 401, "released")


def test_a_large_event_that_nobody_reads_is_taken_too(clinic: Clinic) -> None:
    event = {"type": "conversation-update", "messages": [{"role": "user", "message": "x" * 3 * LIMIT}]}
    taken(clinic.send(body_of(event)))


def test_a_large_tool_call_is_still_answered_to_the_agent(clinic: Clinic) -> None:
    called = message(tool_call("reserve_atomic", id="big"), call_id=clinic.call)
    called["message"]["artifact"] = {"messages": [{"role": "user", "message": "x" * LIMIT}]}
    answer = clinic.send(json.dumps(called).encode())
    assert answer.status_code == 200
    [result] = answer.get_json()["results"]
    assert (result["toolCallId"], result["error"][:10]) == ("big", "NOT BOOKED")


def test_nobody_is_let_in_by_a_large_body(clinic: Clinic) -> None:
    event = body_of(large(clinic.call, call_last=True))
    stamp = str(int(time.time()))
    for headers in (
        {},
        {"Authorization": "Bearer guess"},
        {"X-Signature": "00" * 32, "X-Timestamp": stamp},
        {"X-Signature": "00" * 32, "X-Timestamp": stamp, "X-Holdline-Credential": str(make_key().id)},
    ):
        answer = clinic.client.post(WEBHOOK, data=event, headers=headers)
        assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")
    assert clinic.row is None


@pytest.mark.parametrize("call_last", [True, False])
def test_beyond_all_limits_it_is_taken_as_far_as_it_goes(
    client: FlaskClient, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, *, call_last: bool
) -> None:
    clinic = Clinic(client, sql, "bearer")
    monkeypatch.setattr(routes, "MOST_OF_AN_EVENT", LIMIT + 1000)
    event = large(clinic.call, call_last=call_last)
    answer = clinic.send(body_of(event))
    if call_last:  # whose call it is stands beyond what is read
        not_taken(answer, 413, "request_too_large")
        assert clinic.row is None
    else:
        taken(answer)
        assert clinic.row[:3] == ("ended", "Wants implants.", 401)


def test_a_text_that_is_larger_than_all_that_is_read_is_not_answered_as_a_tool(
    client: FlaskClient, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = Clinic(client, sql, "bearer")
    monkeypatch.setattr(routes, "MOST_OF_AN_EVENT", LIMIT + 1000)
    not_taken(
        clinic.send(body_of({"transcript": "x" * 2 * LIMIT, **report(clinic.call)})), 413, "request_too_large"
    )


def test_one_too_large_for_its_signature_to_be_checked_is_to_come_again(
    client: FlaskClient, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = Clinic(client, sql, "hmac")
    monkeypatch.setattr(routes, "MOST_OF_AN_EVENT", LIMIT + 1000)
    not_taken(clinic.send(body_of(large(clinic.call, call_last=False))), 413, "request_too_large")
    assert clinic.row is None


@pytest.mark.parametrize("is_large", [False, True])
def test_one_that_is_compressed_is_taken_as_if_it_were_not(clinic: Clinic, *, is_large: bool) -> None:
    event = large(clinic.call, call_last=True) if is_large else report(clinic.call, **RICH)
    compressed = gzip.compress(body_of(event))
    assert len(compressed) < LIMIT
    taken(clinic.send(compressed, headers={"Content-Encoding": "gzip"}))
    assert clinic.row[:3] == ("ended", "Wants implants.", 401)


def test_one_that_is_compressed_and_cut_off_is_to_come_again(clinic: Clinic) -> None:
    compressed = gzip.compress(body_of(report(clinic.call, **RICH)))
    answer = clinic.send(compressed[:-40], headers={"Content-Encoding": "gzip"})
    not_taken(answer, 400, "unreadable_request")
    assert clinic.row[0] == "ended"


def test_one_that_is_cut_off_is_taken_in_part_and_asked_for_again(clinic: Clinic) -> None:
    clinic.hold()
    whole = body_of(report(clinic.call, **RICH))
    for length in (whole.index(b'"analysis"') + 20, whole.index(b'"summary"') + 12):
        not_taken(clinic.send(whole[:length]), 400, "unreadable_request")
        assert clinic.row == ("ended", None, 401, "released")
    taken(clinic.send(whole))
    assert clinic.row == ("ended", "Wants implants.", 401, "released")


def test_one_that_is_no_proper_json_is_taken_for_what_is(clinic: Clinic) -> None:
    event = body_of(report(clinic.call, **RICH))
    for odd in (b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"nonsense"):
        clinic.sql.execute("DELETE FROM calls WHERE org_id = %s", [clinic.org])
        taken(clinic.send(event.replace(b"0.1234", odd)))
        assert clinic.row[:3] == ("ended", "Wants implants.", 401)


def test_what_shows_no_event_at_all_is_said_to_be_not_received(clinic: Clinic) -> None:
    event = body_of(report(clinic.call, **RICH))
    for body in (gzip.compress(event), b"", b"hello", b"\xff\xfe"):
        not_taken(clinic.send(body), 200, "unreadable_request")
    for cut_off in (b'{"message":{"artifact":{"mess', b'{"message":{'):
        not_taken(clinic.send(cut_off), 400, "unreadable_request")
    assert clinic.row is None


def test_a_body_whose_length_nobody_said_is_read_to_its_end(clinic: Clinic) -> None:
    event = body_of(large(clinic.call, call_last=True))
    chunked: dict[str, Any] = {"wsgi.input": io.BytesIO(event), "wsgi.input_terminated": True}
    if clinic.key is None:
        head = {"Transfer-Encoding": "chunked", "Authorization": f"Bearer {clinic.secret}"}
        taken(clinic.client.post(WEBHOOK, headers=head, environ_overrides=chunked))
        assert clinic.row[:3] == ("ended", "Wants implants.", 401)


# --- the database is away -----------------------------------------------------------------------


def events_of(call: str) -> list[dict[str, Any]]:
    return [
        report(call, **RICH),
        status(call, "ended"),
        large(call, call_last=True),
        large(call, call_last=False),
        {"transcript": "x" * 2 * LIMIT, **report(call)},
    ]


def test_while_the_database_is_away_an_event_is_to_come_again(clinic: Clinic) -> None:
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    with environment(APP_ENV="production", MAX_BODY_BYTES=str(LIMIT), DATABASE_URL=nowhere):
        for event in events_of(clinic.call):
            not_taken(clinic.send(body_of(event)), 503, "unavailable")
            not_taken(clinic.send(body_of(event)[:-9]), 503, "unavailable")
        taken(clinic.send(body_of({"type": "hang", "call": {"id": clinic.call}})))
        asked = clinic.send(body_of({"type": "assistant-request", "call": {"id": clinic.call}}))
        assert (asked.status_code, "cannot take calls" in asked.get_json()["error"]) == (200, True)
    taken(clinic.send(body_of(report(clinic.call, **RICH))))
    assert clinic.row[:3] == ("ended", "Wants implants.", 401)


def test_while_the_rows_of_its_call_are_locked_an_event_is_to_come_again(clinic: Clinic) -> None:
    taken(clinic.send(body_of(report(clinic.call))))
    with clinic.sql.transaction():
        clinic.sql.execute("SELECT 1 FROM calls WHERE org_id = %s FOR UPDATE", [clinic.org])
        not_taken(clinic.send(body_of(report(clinic.call, **RICH))), 503, "unavailable")
    taken(clinic.send(body_of(report(clinic.call, **RICH))))
    assert clinic.row[:3] == ("ended", "Wants implants.", 401)


# --- what is made out ---------------------------------------------------------------------------

_words = st.text(max_size=12) | st.sampled_from(['"', "\\", "\\u0041", "{", "]", "\u2028", "\ud800"])
_leaf = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _words
_member = st.sampled_from(
    ["type", "call", "id", "artifact", "analysis", "messages", "role", "message", "content", "text", "cost",
     "secondsFromStart", "startedAt", "customer", "number", "structuredOutputs", "structuredData", "result",
     "transcript", "phoneNumber", "costs", "costBreakdown", "total", "name", "unread", "toolCallList"]
)  # fmt: skip
_json = st.recursive(
    _leaf | st.sampled_from(["user", "bot", "+447700900123"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_member, inner, max_size=6),
    max_leaves=30,
)


@given(st.dictionaries(_member, _json))
def test_what_is_made_out_of_a_whole_body_is_what_is_read_in_it(event: dict[str, Any]) -> None:
    body = body_of(event)
    made_out, whole = salvage.message(body)
    assert whole
    assert reports.read(made_out) == reports.read(event)
    read, (salvaged, _) = envelope.read(body), envelope.salvaged(body)
    for name in ("event", "call_id", "caller_number", "status"):
        assert getattr(salvaged, name) == getattr(read, name)


@given(st.dictionaries(_member, _json), st.data())
def test_any_part_of_a_body_and_any_bytes_are_made_out_somehow(event: dict[str, Any], data: Any) -> None:
    body = body_of(event)
    length = data.draw(st.integers(0, len(body) - 2))
    assert salvage.message(body[:length])[1] is False
    reports.read(salvage.message(body[length:])[0])
    reports.read(salvage.message(data.draw(st.binary(max_size=40)) + body)[0])


@pytest.mark.parametrize("more", range(10))
def test_a_text_that_is_too_long_is_cut_between_two_words(more: int) -> None:
    """Wherever the cut falls into what JSON writes in several signs."""
    words = b"x" * more + rb" caf\u00e9" * (salvage.MOST_TEXT // 9)
    made_out, _ = salvage.message(b'{"message":{"transcript":"%s"}}' % words)
    said = str(made_out["transcript"])
    assert set(said.split()[1:]) == {"caf\u00e9"}
    assert len(said) > salvage.MOST_TEXT // 3


def test_what_is_kept_is_small_whatever_comes() -> None:
    """Whole megabytes of what nobody reads, of what is read, and of brackets."""
    call = b'],"call":{"id":"c","customer":{"number":"+447700900123"}}}}'
    for start, again in (
        (b'{"message":{"variables":[', b'{"a":[{"b":"c"}]},'),
        (b'{"message":{"messages":[', b'{"role":"user","message":"Hello there"},'),
        (b'{"message":{"messages":[', b"[],"),
        (b'{"message":{"analysis":{"structuredData":[', b'{"a":1},'),
    ):
        end = b"]}" + call[1:] if b"analysis" in start else call
        body = start + again * (2 * 1024 * 1024 // len(again)) + b"0" + end
        made_out, whole = salvage.message(body)
        assert whole
        assert made_out["call"] == {"id": "c", "customer": {"number": "+447700900123"}}
        assert len(json.dumps(made_out)) < salvage.MOST_KEPT
