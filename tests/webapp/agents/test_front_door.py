"""Bodies as they come: every shape of Vapi's, and what nobody should send. Never a 5xx."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

import settings
from tests.factories import create_clinic, phone_number, slot
from tests.webapp.agents.calls import message, tool_call
from webapp.agents.replies import Reply
from webapp.agents.tools import BY_NAME, TOOLS
from webapp.agents.tools.check_availability import CheckAvailabilityArguments

PATHS = [f"/api/vapi/tools/{tool.path}" for tool in TOOLS]
EVERY_PATH = [*PATHS, "/api/vapi/webhook"]

HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"hello",
    "cut off": b'{"toolCall":{"arguments":{"tenantId":"',
    "array": b"[1,2,3]",
    "number": b"7",
    "null": b"null",
    "string": b'"toolCall"',
    "deep": b'{"toolCall":{"arguments":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}}",
    "deep array": b"[" * 100_000,
    "NUL": b'{"toolCall":{"arguments":{"tenantId":"a\\u0000b","patientName":"\\u0000"}}}',
    "surrogate": b'{"toolCall":{"arguments":{"tenantId":"\\ud800","holdId":"\\udfff","date":"\\ud83d"}}}',
    "not UTF-8": b'{"toolCall":{"arguments":{"tenantId":"\xff\xfe"}}}',
    "huge number": b'{"toolCall":{"arguments":{"providedOTP":' + b"9" * 10_000 + b"}}}",
    "NaN": b'{"toolCall":{"arguments":{"providedOTP":NaN}}}',
    "wrong types": b'{"toolCall":{"arguments":{"tenantId":[],"holdId":{},"date":false,"providedOTP":[1]}}}',
    "arguments a list": b'{"toolCall":{"arguments":[1]}}',
    "a megabyte": b'{"toolCall":{"arguments":{"patientName":"' + b"x" * 1_000_000 + b'"}}}',
}


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_body_is_answered_with_a_server_error(client: FlaskClient, path: str, body: bytes) -> None:
    response = client.post(path, data=body, content_type="application/json")
    assert response.status_code in ((200,) if path.endswith("webhook") else (200, 400))
    if path not in PATHS:
        return
    answer = response.get_json()
    assert answer["success"] is False
    assert answer["code"]
    assert answer["say"]


UNSEEN = ["\u200b", "\u202e", "\u2060\u200d", "\u00ad", "\x07", 10**18, 1e300]


@pytest.mark.parametrize("name", UNSEEN, ids=ascii)
def test_a_name_that_nobody_can_see_is_none(client: FlaskClient, name: object) -> None:
    arguments: dict[str, Any] = {
        "tenantId": create_clinic(),
        "slotId": slot(),
        "calendarId": "cal-1",
        "patientPhone": phone_number(),
        "patientName": name,
    }
    path = "/api/vapi/tools/booking/reserve-atomic"
    bare = client.post(path, json={"toolCall": {"arguments": arguments}})
    assert bare.status_code == 200
    assert bare.get_json()["code"] in ("missing_argument", "invalid_argument")
    for where in (path, "/api/vapi/webhook"):
        response = client.post(where, json=message(tool_call("reserve_atomic", **arguments), call_id="c"))
        [result] = response.get_json()["results"]
        assert (response.status_code, result["result"][:10]) == (200, "NOT BOOKED")


def test_what_nobody_thought_of_costs_one_call_its_answer_and_no_other(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool with a mistake in it stands among those that work."""

    def fail(_desk: object, _arguments: object) -> Reply:
        raise ZeroDivisionError

    broken = replace(BY_NAME["reserve_atomic"], name="broken", run=fail, arguments=CheckAvailabilityArguments)
    monkeypatch.setitem(BY_NAME, "broken", broken)
    org, day = create_clinic(), slot()[:10]
    calls = [
        tool_call(name, id=name, tenantId=org, date=day)
        for name in ("check_availability", "broken", "check_availability_again")
    ]
    calls[2]["function"]["name"] = "check_availability"
    response = client.post("/api/vapi/tools/calendar/check", json=message(*calls, call_id=None))
    assert response.status_code == 200
    first, second, third = (each["result"] for each in response.get_json()["results"])
    assert second.startswith("NOT BOOKED: I cannot reach the diary")
    assert first == third
    assert "times are free" in first


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_vapis_form_is_always_answered_with_200(client: FlaskClient, path: str, body: bytes) -> None:
    wrapped = b'{"message":{"type":"tool-calls","toolCallList":[' + body + b"]}}"
    response = client.post(path, data=wrapped, content_type="application/json")
    assert response.status_code == 200
    assert isinstance(response.get_json()["results"], list)


def test_a_body_that_is_too_large(client: FlaskClient) -> None:
    padding = b"x" * (settings.get().max_body_bytes + 1)
    bare = client.post(PATHS[1], data=b'{"toolCall":{"arguments":{"patientName":"' + padding + b'"}}}')
    assert (bare.status_code, bare.get_json()["code"]) == (413, "request_too_large")
    start = json.dumps(message(tool_call("reserve_atomic", id="big"), call_id="c"))[:-2].encode()
    vapi = client.post(PATHS[1], data=start + b',"artifact":"' + padding + b'"}}')
    assert vapi.status_code == 200
    [result] = vapi.get_json()["results"]
    assert result["toolCallId"] == "big"
    assert result["error"].startswith("NOT BOOKED")


def shapes(org: str, number: str) -> dict[str, dict[str, Any]]:
    """The variants of one call in the facts of Vapi's wire: strings and objects, one list or three."""
    arguments = {"tenantId": org, "slotId": slot(), "patientName": "John", "patientPhone": number}
    name = "reserve_atomic"
    text = {"id": "t", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    plain = {"id": "t", "type": "function", "function": {"name": name, "arguments": arguments}}
    wrapper = {"type": "function", "function": {"name": name}, "server": {"url": "x"}, "toolCall": plain}
    call = {"id": str(uuid.uuid4())}
    base = {"type": "tool-calls", "call": call}
    return {
        "text": base | {"toolCallList": [text]},
        "three times": base
        | {"toolCalls": [plain], "toolCallList": [plain], "toolWithToolCallList": [wrapper]},
        "toolCalls": base | {"toolCalls": [plain]},
        "flat": base | {"toolCallList": [{"id": "t", "name": name, "arguments": arguments}]},
        "parameters": base | {"toolCallList": [{"id": "t", "name": name, "parameters": arguments}]},
        "single": base | {"toolCall": plain},
        "only with tool": base | {"toolWithToolCallList": [wrapper]},
        "twice in the list": base | {"toolCallList": [plain, plain]},
    }


@pytest.mark.parametrize("shape", list(shapes("", "")))
@pytest.mark.parametrize("path", [PATHS[0], "/api/vapi/webhook"])
def test_every_shape_of_one_call_is_one_call(
    client: FlaskClient, sql: psycopg.Connection, shape: str, path: str
) -> None:
    org = create_clinic()
    body = {"message": shapes(org, phone_number())[shape]}
    [result] = client.post(path, json=body).get_json()["results"]
    assert (result["toolCallId"], result["name"]) == ("t", "reserve_atomic")
    assert "holdId=" in result["result"]
    assert sql.execute("SELECT count(*) FROM appointment_holds WHERE org_id = %s", [org]).fetchone() == (1,)


def test_the_old_function_call(client: FlaskClient) -> None:
    call = {"name": "check_availability", "parameters": {"tenantId": create_clinic(), "date": slot()[:10]}}
    answer = client.post(
        PATHS[0], json={"message": {"type": "function-call", "functionCall": call}}
    ).get_json()
    assert slot() in answer["result"]


def test_a_body_of_bare_arguments(client: FlaskClient) -> None:
    answer = client.post(PATHS[0], json={"tenantId": create_clinic(), "date": slot()[:10]}).get_json()
    assert answer["success"]


def test_an_argument_text_that_was_cut_off_is_an_error_of_that_call_alone(client: FlaskClient) -> None:
    org = create_clinic()
    cut = {"id": "1", "function": {"name": "reserve_atomic", "arguments": '{"slotId": "2027-'}}
    good = tool_call("check_availability", id="2", tenantId=org, date=slot()[:10])
    first, second = client.post(PATHS[0], json=message(cut, good, call_id="c")).get_json()["results"]
    assert first["error"].startswith("NOT BOOKED")
    assert "slotId" in second["result"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "hang"},
        {"type": "conversation-update", "messages": [{"role": "user"}]},
        {"type": "assistant.started"},
        {"type": "end-of-call-report", "endedReason": "customer-ended-call", "call": {"id": "no such call"}},
        {"type": "status-update", "status": "ended"},
        {"type": "status-update", "status": ["ended"], "call": "x"},
        {"type": 7},
        {},
    ],
)
def test_the_webhook_accepts_every_event(client: FlaskClient, event: dict[str, Any]) -> None:
    assert client.post("/api/vapi/webhook", json={"message": event}).status_code == 200


# --- whose call it is ---------------------------------------------------------------------------


@pytest.fixture
def secret(sql: psycopg.Connection) -> tuple[str, str]:
    org, secret = create_clinic(), uuid.uuid4().hex
    digest = hashlib.sha256(secret.encode()).hexdigest()
    sql.execute(
        "INSERT INTO vapi_credentials (org_id, kind, secret_digest) VALUES (%s, 'bearer', %s)", [org, digest]
    )
    return org, secret


@pytest.mark.parametrize("header", ["Authorization", "X-Vapi-Secret"])
def test_the_credential_decides_the_clinic(client: FlaskClient, secret: tuple[str, str], header: str) -> None:
    org, value = secret
    headers = {header: f"Bearer {value}" if header == "Authorization" else value}
    arguments = {"date": slot()[:10]}
    own = client.post(PATHS[0], json={"toolCall": {"arguments": arguments}}, headers=headers).get_json()
    assert own["success"]
    for tenant, code in (
        (org, None),
        (create_clinic(), "unknown_tenant"),
        (str(uuid.uuid4()), "unknown_tenant"),
    ):
        body = {"toolCall": {"arguments": arguments | {"tenantId": tenant}}}
        assert client.post(PATHS[0], json=body, headers=headers).get_json().get("code") == code


@pytest.mark.parametrize("path", EVERY_PATH)
def test_a_credential_that_nobody_has_is_refused(client: FlaskClient, path: str) -> None:
    response = client.post(path, json={"message": {}}, headers={"Authorization": "Bearer guess"})
    assert (response.status_code, response.get_json()["code"]) == (401, "unauthorized")
