"""A patient who booked, was a lead and asked for no more SMS, and all rows of a clinic as one text."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import code_of, create_clinic, phone_number, slot
from tests.webapp.cli.commands import Operator

NAME = "Wilhelmina Quarterstaff"


@dataclass
class Patient:
    """Somebody who booked by telephone, was a lead, and asked for no more SMS."""

    sql: psycopg.Connection
    client: FlaskClient
    org: str
    phone: str
    call: str

    def tool(self, name: str, **arguments: object) -> str:
        body = {
            "message": {
                "type": "tool-calls",
                "call": {"id": self.call},
                "toolCallList": [
                    {"id": f"{name}-{uuid.uuid4()}", "function": {"name": name, "arguments": arguments}}
                ],
            }
        }
        arguments.setdefault("tenantId", self.org)
        response = self.client.post("/api/vapi/tools/booking/reserve-atomic", json=body)
        return str(response.get_json()["results"][0]["result"])

    def hold(self, **arguments: object) -> str:
        said = self.tool(
            "reserve_atomic",
            **{"slotId": slot(), "calendarId": "cal-1", "patientName": NAME, "patientPhone": self.phone}
            | arguments,
        )
        assert "holdId" in said, said
        return str(
            self.value(
                "SELECT id FROM appointment_holds WHERE org_id = %s ORDER BY created_at DESC LIMIT 1",
                self.org,
            )
        )

    def book(self) -> None:
        hold = self.hold()
        self.tool("send_otp_code")
        assert "Booked" in self.tool("verify_otp", providedOTP=code_of(hold))

    def value(self, query: str, *parameters: object) -> Any:
        row = self.sql.execute(query, parameters).fetchone()
        return row[0] if row else None

    def become_a_lead(self) -> None:
        """The alert to the clinic names the patient."""
        message = self.value(
            "INSERT INTO sms_messages (org_id, kind, to_phone, body, call_sid) VALUES"
            " (%s, 'hot_lead_alert', '+442079460958', %s, %s) RETURNING id",
            *(self.org, f"Hot lead: {NAME} {self.phone}", self.call),
        )
        self.sql.execute(
            "INSERT INTO calls (org_id, id, status, caller_number, summary, turns, facts, lead_reasons,"
            " score_due_at) VALUES (%s, %s, 'ended', %s, %s, %s, %s, %s, now())",
            [
                self.org,
                self.call,
                self.phone,
                f"{NAME} rang",
                json.dumps([{"role": "user", "text": f"This is {NAME}"}]),
                json.dumps({"name": NAME}),
                json.dumps([{"code": "urgent", "quote": f"{NAME} is in pain"}]),
            ],
        )
        self.sql.execute(
            "INSERT INTO hot_lead_alerts (org_id, call_id, lead_name, lead_phone, lead_score, message_id)"
            " VALUES (%s, %s, %s, %s, 80, %s)",
            [self.org, self.call, NAME, self.phone, message],
        )

    def opt_out(self) -> None:
        self.sql.execute(
            "INSERT INTO opt_outs (org_id, phone, source, opted_out_at) VALUES (%s, %s, 'staff', now())",
            [self.org, self.phone],
        )

    def everything(self) -> str:
        """Every row of every table of this clinic, as one text."""
        return dump(self.sql, self.org)


def dump(sql: psycopg.Connection, org: str) -> str:
    tables = sql.execute(
        "SELECT DISTINCT c.table_name FROM information_schema.columns c"
        " JOIN information_schema.tables t USING (table_schema, table_name)"
        " WHERE c.table_schema = 'public' AND c.column_name = 'org_id' AND t.table_type = 'BASE TABLE'"
    ).fetchall()
    assert len(tables) >= 15
    lines = [
        text
        for (name,) in sorted(tables)
        for (text,) in sql.execute(
            f"SELECT '{name}' || row_to_json(t)::text FROM {name} t WHERE org_id = %s", [org]
        ).fetchall()
    ]
    return "\n".join(lines)


@pytest.fixture
def patient(client: FlaskClient, sql: psycopg.Connection) -> Patient:
    org = create_clinic(calendars=("cal-1", "cal-2"), sandbox=True)
    return Patient(sql, client, org, phone_number(), f"call-{uuid.uuid4()}")


@pytest.fixture
def booked(patient: Patient) -> Patient:
    patient.book()
    patient.become_a_lead()
    patient.opt_out()
    return patient


@pytest.fixture
def operator(app: Flask, sql: psycopg.Connection) -> Operator:
    return Operator(app, sql)
