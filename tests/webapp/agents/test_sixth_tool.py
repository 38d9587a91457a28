"""A sixth tool, all of it in this file: once it is registered, everything else knows it."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from marshmallow import fields

from models.booking import holds
from models.clinics.calendars import Calendar
from models.clinics.organizations import Organization
from tests.factories import bare, create_clinic, phone_number, reserve, slot
from tests.webapp.agents.calls import PhoneCall, tool_call
from webapp import create_app
from webapp.agents import examples
from webapp.agents.desk import Desk
from webapp.agents.hold_replies import unknown_hold
from webapp.agents.replies import Code, Reply, refusal
from webapp.agents.schemas import WORDS, Answer, Arguments, Said
from webapp.agents.tool import Example, Tool
from webapp.agents.tools import BY_NAME
from webapp.agents.vapi import assistant

# --- the tool -----------------------------------------------------------------------------------


class GiveBackArguments(Arguments):
    holdId = Said(metadata={WORDS: "which reservation is meant"})  # noqa: N815
    reason = Said(required=True, metadata={WORDS: "why the time is given back"})


class GiveBackAnswer(Answer):
    holdId = fields.UUID()  # noqa: N815


def run(desk: Desk, arguments: dict[str, Any]) -> Reply:
    hold = desk.hold(arguments.get("holdId"))
    if hold is None:
        return unknown_hold(desk, arguments.get("holdId"))
    if not holds.release(desk.session, org_id=desk.org_id, hold_id=hold.id):
        return refusal(Code.HOLD_RELEASED, "Nothing is held", "That time was not reserved any more.")
    return Reply("That time is free again.", {"holdId": str(hold.id)})


TOOL = Tool(
    name="give_back_time",
    path="booking/give-back",
    summary="Give a reserved time back",
    use="The caller does not want the reserved time after all.",
    arguments=GiveBackArguments,
    answer=GiveBackAnswer,
    example=Example(
        {"holdId": examples.HOLD, "reason": "no time"},
        Reply("That time is free again.", {"holdId": examples.HOLD}),
        refusal(Code.HOLD_RELEASED, "Nothing is held", "That time was not reserved any more."),
    ),
    run=run,
    says_not_booked=False,
)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """Of an application that was made with the sixth tool in the registry."""
    monkeypatch.setitem(BY_NAME, TOOL.name, TOOL)
    return create_app().test_client()


# --- what then knows it -------------------------------------------------------------------------


def test_the_assistant_is_offered_it(client: FlaskClient) -> None:
    clinic = Organization(id=uuid.uuid4(), name="Lindenhof", phone="+442079460958", code_length=4)
    calendar = Calendar(
        org_id=clinic.id,
        id="cal-1",
        resource_id="cal-1",
        name="Room A",
        time_zone="Europe/London",
        hold_minutes=10,
    )
    body = assistant.build(clinic, [calendar], None, "https://holdline.example")
    assistant.check(body)
    *_, offered = body["model"]["tools"]
    assert offered["function"]["name"] == "give_back_time"
    assert offered["function"]["description"] == TOOL.use
    assert offered["function"]["parameters"]["required"] == ["reason"]
    assert offered["server"]["url"] == "https://holdline.example/api/vapi/tools/booking/give-back"
    prompt = body["model"]["messages"][0]["content"]
    assert "Only these 6 tools are available: check_availability," in prompt
    assert "give_back_time" in prompt
    assert "these five phases" in prompt


def test_the_description_of_the_api_shows_it(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    operation = document["paths"]["/api/vapi/tools/booking/give-back"]["post"]
    assert (operation["operationId"], operation["summary"]) == (TOOL.name, TOOL.summary)
    answers = operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert answers["bare"]["value"] == TOOL.example.reply.bare()
    assert set(document["components"]["schemas"]["GiveBackAnswer"]["properties"]) >= {"holdId", "code"}
    assert "give_back_time" in client.get("/docs").text


def test_it_is_called_in_the_bare_form(client: FlaskClient, sql: psycopg.Connection) -> None:
    org = create_clinic()
    hold = reserve(client, org)["holdId"]
    answer = bare(client, "booking/give-back", tenantId=org, holdId=hold, reason="no time")
    assert answer == {"success": True, "say": "That time is free again.", "holdId": hold}
    assert _status(sql, hold) == "released"
    refused = bare(client, "booking/give-back", tenantId=org, holdId=hold, reason="no time")
    assert (refused["success"], refused["code"]) == (False, "hold_released")


def test_what_it_lacks_is_asked_for_in_its_own_words(client: FlaskClient) -> None:
    answer = bare(client, "booking/give-back", tenantId=create_clinic())
    assert (answer["code"], answer["say"]) == ("missing_argument", "I still need why the time is given back.")


def test_it_is_called_by_its_name_and_a_repeat_has_no_effect(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    call = PhoneCall(client, create_clinic(), phone_number())
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    once = tool_call("give_back_time", tenantId=call.org_id, reason="no time")
    [first] = call.post(once, path="booking/give-back")
    [again] = call.post(once)  # at another tool's address: the name decides
    assert first["result"].startswith("That time is free again. [holdId=")
    assert again == first
    rows = sql.execute(
        "SELECT count(*) FROM tool_calls WHERE call_id = %s AND tool = %s", [call.id, TOOL.name]
    )
    assert rows.fetchall() == [(1,)]
    assert "code=hold_released" in call.say("give_back_time", reason="once more")


def test_it_may_not_name_what_another_call_holds(client: FlaskClient, sql: psycopg.Connection) -> None:
    org = create_clinic()
    mine, others = (PhoneCall(client, org, phone_number()) for _ in range(2))
    held = mine.say("reserve_atomic", slotId=slot(), patientName="John")
    hold = held.split("holdId=")[1].split()[0]
    assert "code=unknown_hold" in others.say("give_back_time", holdId=hold, reason="no time")
    assert _status(sql, hold) == "held"


def _status(sql: psycopg.Connection, hold: str) -> str:
    row = sql.execute("SELECT status FROM appointment_holds WHERE id = %s", [hold]).fetchone()
    assert row is not None
    return str(row[0])
