"""The events that report nothing of a call, and the requests for an assistant."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.factories import create_clinic
from tests.places import free_port
from tests.surroundings import environment
from tests.webapp.agents.vapi.reports import Line
from tests.webapp.agents.vapi.reports import line as line  # the fixture  # noqa: PLC0414
from webapp.agents.vapi import events


@pytest.mark.parametrize(
    "event", ["hang", "speech-update", "conversation-update", "assistant.started", "never-heard-of", None]
)
def test_every_other_event_is_taken_and_changes_nothing(line: Line, event: str | None) -> None:
    line.send({"type": event, "call": {"id": line.call.id}})
    rows = line.sql.execute("SELECT count(*) FROM calls WHERE org_id = %s", [line.org]).fetchone()
    assert rows == (0,)


def test_an_assistant_request_names_the_clinics_assistant(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    org = create_clinic()
    made = client.application.test_cli_runner().invoke(args=["credential", "add", org])
    assert made.exit_code == 0, made.output
    secret = made.output.split()[0]
    head = {"Authorization": f"Bearer {secret}"}
    body = {
        "message": {"type": "assistant-request", "call": {"id": str(uuid.uuid4()), "phoneNumberId": "pn-1"}}
    }
    assert "error" in client.post("/api/vapi/webhook", json=body, headers=head).get_json()
    sql.execute(
        "UPDATE integration_settings SET vapi_assistant_id = 'as-1', vapi_phone_number_id = 'pn-1'"
        " WHERE org_id = %s",
        [org],
    )
    assert client.post("/api/vapi/webhook", json=body, headers=head).get_json() == {"assistantId": "as-1"}
    body["message"]["call"] = {"phoneNumberId": "pn-2"}
    assert "error" in client.post("/api/vapi/webhook", json=body, headers=head).get_json()
    for place in ({"phoneNumber": {"id": "pn-2"}}, {"call": {"phoneNumber": {"id": "pn-2"}}}):
        asked = {"message": {"type": "assistant-request", **place}}
        assert "error" in client.post("/api/vapi/webhook", json=asked, headers=head).get_json()
    # A call from a browser dials no number: the credential alone says whose it is.
    asked = {"message": {"type": "assistant-request", "call": {"type": "webCall"}}}
    assert client.post("/api/vapi/webhook", json=asked, headers=head).get_json() == {"assistantId": "as-1"}


def test_in_development_the_dialled_number_names_the_clinic(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    org, number = create_clinic(), str(uuid.uuid4())
    sql.execute(
        "UPDATE integration_settings SET vapi_assistant_id = 'as-1', vapi_phone_number_id = %s"
        " WHERE org_id = %s",
        [number, org],
    )

    def ask(dialled: str) -> Any:
        asked = {"message": {"type": "assistant-request", "phoneNumber": {"id": dialled}}}
        return client.post("/api/vapi/webhook", json=asked).get_json()

    assert ask(number) == {"assistantId": "as-1"}
    assert "error" in ask("another")


def test_who_rings_while_the_database_is_away_is_told_to_ring_again(client: FlaskClient) -> None:
    asked = {"type": "assistant-request", "call": {"id": "c", "phoneNumberId": "a-number"}}
    with environment(DATABASE_URL=f"postgresql://holdline@127.0.0.1:{free_port()}/x"):
        answer = client.post("/api/vapi/webhook", json={"message": asked})
    assert (answer.status_code, answer.get_json()) == (200, events.CLOSED)
