"""The document that describes the tools, against what they really answer; and the health pages."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy import make_url

from tests.factories import bare, code_of, create_clinic, reserve, slot
from tests.places import free_port
from tests.surroundings import environment
from webapp.agents.replies import Code
from webapp.agents.tool import Tool
from webapp.agents.tools import BY_NAME, TOOLS


def test_the_document_describes_every_tool(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    assert document["openapi"].startswith("3.")
    events = {
        "/api/vapi/webhook",
        "/api/twilio/inbound/{org_id}",
        "/api/twilio/status/{message_id}/{attempt}/{token}",
    }
    assert set(document["paths"]) == {f"/api/vapi/tools/{tool.path}" for tool in TOOLS} | events
    schemas = document["components"]["schemas"]
    for tool in TOOLS:
        assert set(schemas[tool.arguments.__name__]["properties"]) == set(tool.arguments().fields)
        required = {name for name, field in tool.arguments().fields.items() if field.required}
        assert set(schemas[tool.arguments.__name__].get("required", [])) == required


def test_every_reference_in_the_document_leads_somewhere(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    found = references(document)
    assert found
    for reference in found:
        assert reference.rpartition("/")[2] in document["components"]["schemas"]


def test_every_operation_in_the_document_is_served(client: FlaskClient) -> None:
    served = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for rule in client.application.url_map.iter_rules()
        if "POST" in (rule.methods or ())
    }
    for path, methods in client.get("/openapi.json").get_json()["paths"].items():
        assert path in served
        assert set(methods) == {"post"}


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_examples_are_what_the_tool_takes_and_gives(client: FlaskClient, tool: Tool) -> None:
    example = tool.example
    assert set(tool.arguments().load(example.arguments)) == set(example.arguments)
    for reply in (example.reply, example.refused):
        assert tool.answer().validate(reply.bare()) == {}
    operation = client.get("/openapi.json").get_json()["paths"][f"/api/vapi/tools/{tool.path}"]["post"]
    asked = operation["requestBody"]["content"]["application/json"]["examples"]
    org = create_clinic()
    for form in ("bare", "vapi"):
        body = asked[form]["value"]
        call = body["toolCall"] if form == "bare" else body["message"]["toolCallList"][0]["function"]
        call["arguments"]["tenantId"] = org
        response = client.post(f"/api/vapi/tools/{tool.path}", json=body)
        assert response.status_code == 200
        answer = response.get_json()
        if form == "bare":
            assert tool.answer().validate(answer) == {}
            assert answer.get("code") not in ("unreadable_request", "invalid_argument", "missing_argument")
        else:
            [result] = answer["results"]
            assert (result["toolCallId"], result["name"], "result" in result) == (
                "call_ab12",
                tool.name,
                True,
            )


def test_every_code_that_an_answer_may_have_is_in_the_document(client: FlaskClient) -> None:
    schemas = client.get("/openapi.json").get_json()["components"]["schemas"]
    for tool in TOOLS:
        assert schemas[tool.answer.__name__]["properties"]["code"]["enum"] == [code.value for code in Code]


def test_answers_are_as_described(client: FlaskClient) -> None:
    def check(name: str, answer: dict[str, Any]) -> dict[str, Any]:
        schema = BY_NAME[name].answer()
        assert set(answer) <= set(schema.fields), name
        assert schema.validate(answer) == {}, name
        return answer

    org = create_clinic()
    check("check_availability", bare(client, "calendar/check", tenantId=org, date=slot()[:10]))
    check("check_availability", bare(client, "calendar/check", tenantId=org, date="2020-01-01"))
    held = check("reserve_atomic", reserve(client, org))
    check("reserve_atomic", reserve(client, org))
    check("send_otp_code", bare(client, "booking/send-otp", holdId=held["holdId"]))
    code = code_of(held["holdId"])
    wrong = str((int(code) + 1) % 10_000).zfill(4)
    check("verify_otp", bare(client, "booking/verify-otp", holdId=held["holdId"], providedOTP=wrong))
    booked = check("verify_otp", bare(client, "booking/verify-otp", holdId=held["holdId"], providedOTP=code))
    appointment = booked["appointmentId"]
    check("send_confirmation_sms", bare(client, "booking/send-confirmation", appointmentId=appointment))


def test_the_process_lives_and_is_ready_unless_work_lies_about(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    later = "app_clock() + interval '10 years'"  # what other tests' clinics left lying
    sql.execute(f"UPDATE sms_messages SET next_attempt_at = {later} WHERE status = 'queued'".encode())
    sql.execute(f"UPDATE calls SET score_due_at = {later} WHERE score_due_at IS NOT NULL".encode())
    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")
    assert response.get_json()["checks"] == {"database": "ok", "redis": "ok", "queues": "ok"}
    assert response.status_code == 200

    bare(client, "booking/send-otp", holdId=reserve(client, create_clinic())["holdId"])
    assert client.get("/readyz").status_code == 200  # it has only just become due
    sql.execute(
        "UPDATE sms_messages SET next_attempt_at = app_clock() - interval '75 s'"
        " WHERE status = 'queued' AND next_attempt_at < app_clock()"
    )
    response = client.get("/readyz")
    assert response.status_code == 503
    assert re.fullmatch(
        r"1 rows wait for worker_otp, the oldest for 7\d seconds: is it running\?"
        r" (No sweep has ever ended|The last sweep ended \d+ seconds ago)\.",
        response.get_json()["checks"]["queues"],
    )


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(-30, "ok"), (50, "ok"), (65, r"1 rows wait for worker, the oldest for \d\d seconds.*")],
)
def test_calls_that_nobody_scores_are_told_after_a_minute(
    client: FlaskClient, sql: psycopg.Connection, seconds: int, says: str
) -> None:
    later = "app_clock() + interval '10 years'"
    sql.execute(f"UPDATE sms_messages SET next_attempt_at = {later} WHERE status = 'queued'".encode())
    sql.execute("UPDATE calls SET score_due_at = NULL WHERE score_due_at IS NOT NULL")
    sql.execute(
        "INSERT INTO calls (org_id, id, status, score_due_at)"
        " VALUES (%s, 'c', 'ended', app_clock() - make_interval(secs => %s))",
        [create_clinic(), seconds],
    )
    assert re.fullmatch(says, client.get("/readyz").get_json()["checks"]["queues"])


def test_of_a_database_that_is_away_no_address_is_told(client: FlaskClient, database_url: str) -> None:
    port = free_port()
    away = make_url(database_url).set(port=port).render_as_string(hide_password=False)
    with environment(DATABASE_URL=away):
        response = client.get("/readyz")
    assert response.status_code == 503
    checks = response.get_json()["checks"]
    for name in ("database", "queues"):
        assert checks[name].startswith("no answer: ")
    for part in (str(port), "127.0.0.1", "localhost"):
        assert part not in response.text


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nowhere", 404, "not_found"),
        ("/api/vapi/tools/nothing", 404, "not_found"),
        ("/api/vapi/tools/calendar/check", 405, "method_not_allowed"),
    ],
)
def test_an_address_that_is_none(client: FlaskClient, path: str, status: int, code: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.get_json()["code"]) == (status, code)


def test_the_front_page_says_where_to_look(client: FlaskClient) -> None:
    for path in set(client.get("/").get_json().values()) - {"Holdline"}:
        assert client.get(path).status_code in ((200, 503) if path == "/readyz" else (200,))
