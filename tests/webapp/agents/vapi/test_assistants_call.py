"""A call as Vapi would make it of the assistant that is built: it comes to a booking."""

from __future__ import annotations

import re
import uuid
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from models.base.session import transaction
from models.clinics import organizations
from models.clinics.calendars import Calendar
from tests import factories
from tests.webapp.agents.calls import message, tool_call
from tests.webapp.agents.vapi.test_assistant import BASE, tools
from webapp.agents.vapi import assistant


class Vapi:
    """What Vapi does with a tool: the model's arguments, then the static ones on top, to the tool's URL."""

    def __init__(self, client: FlaskClient, body: dict[str, Any], number: str | None) -> None:
        self.client = client
        self.tools = tools(body)
        self.number = number
        self.call_id = str(uuid.uuid4())
        self.org_id = self.tools["check_availability"]["parameters"][0]["value"]

    def call(self, name: str, **arguments: str) -> str:
        tool = self.tools[name]
        seen = tool["function"]["parameters"]
        assert set(seen["required"]) <= set(arguments) <= set(seen["properties"])
        known = {"{{ customer.number }}": self.number or "", "{{ call.id }}": self.call_id}
        static = {each["key"]: known.get(each["value"], each["value"]) for each in tool["parameters"]}
        body = message(tool_call(name, **arguments | static), call_id=self.call_id, number=self.number)
        [result] = self.client.post(urlsplit(tool["server"]["url"]).path, json=body).get_json()["results"]
        said: str = result["result"]
        return said

    def book(self, **arguments: str) -> str:
        """All five phases, without an id that the model would have to carry over. Returns the last word."""
        self.call("check_availability", date=factories.slot()[:10])
        held = self.call("reserve_atomic", slotId=factories.slot(), patientName="John", **arguments)
        assert "is held for 10 minutes" in held, held
        assert "A code" in self.call("send_otp_code")
        [hold_id] = re.findall(r"holdId=(\S+)", held)
        assert "Booked: " in self.call("verify_otp", providedOTP=factories.code_of(hold_id))
        return self.call("send_confirmation_sms")


@pytest.fixture
def body() -> dict[str, Any]:
    org_id = uuid.UUID(factories.create_clinic())
    with transaction(org_id) as session:
        own = organizations.get_or_none(session, org_id)
        calendars = session.scalars(select(Calendar)).all()
    assert own is not None
    return assistant.build(own, calendars, None, BASE)


def test_a_caller_books_without_saying_a_number(client: FlaskClient, body: dict[str, Any]) -> None:
    assert "is booked" in Vapi(client, body, factories.phone_number()).book()


@pytest.mark.parametrize("number", [None, "anonymous"])
def test_a_caller_who_withholds_the_number_gives_one(
    client: FlaskClient, body: dict[str, Any], number: str | None
) -> None:
    call = Vapi(client, body, number)
    refused = call.call("reserve_atomic", slotId=factories.slot(), patientName="John")
    assert refused.startswith("NOT BOOKED: I still need the patient's telephone number")
    assert "is booked" in call.book(patientPhone=factories.phone_number())


def test_a_caller_on_a_landline_has_the_messages_sent_elsewhere(
    client: FlaskClient, body: dict[str, Any], sql: psycopg.Connection
) -> None:
    call = Vapi(client, body, "+442079460123")
    mobile = factories.phone_number()
    assert "is booked" in call.book(patientPhone=mobile)
    sent = sql.execute(
        "SELECT kind, to_phone FROM sms_messages WHERE org_id = %s ORDER BY kind", [call.org_id]
    ).fetchall()
    assert sent == [("confirmation", mobile), ("otp", mobile)]
