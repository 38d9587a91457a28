"""The floor of the HTTP measurement: a Flask view that only runs one INSERT through psycopg."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

import settings
from bench.ground import PLAIN
from webapp.state import State

INSERT = f"""
INSERT INTO {PLAIN} (org_id, calendar_id, resource_id, starts_at, ends_at, contact_id,
    patient_name, patient_phone, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id
"""
ORG = UUID(int=1)
CONTACT = UUID(int=2)

app = Flask(__name__)
app.state = State()  # type: ignore[attr-defined] # gunicorn.conf.py asks it of an application
_mine = threading.local()


@app.post("/api/vapi/tools/booking/reserve-atomic")
def insert() -> ResponseReturnValue:
    arguments = request.get_json()["toolCall"]["arguments"]
    starts_at = datetime.fromisoformat(arguments["slotId"])
    calendar = arguments["calendarId"]
    row = _connection().execute(
        INSERT,
        [
            ORG,
            calendar,
            calendar,
            starts_at,
            starts_at + timedelta(minutes=30),
            CONTACT,
            arguments["patientName"],
            arguments["patientPhone"],
            datetime.now(UTC) + timedelta(minutes=10),
        ],
    )
    (hold_id,) = row.fetchone() or (None,)
    return jsonify(success=True, holdId=str(hold_id))


def _connection() -> psycopg.Connection:
    """The thread's own connection, which commits each statement: one round trip per request."""
    if not hasattr(_mine, "connection"):
        _mine.connection = psycopg.connect(
            settings.get().database_url, autocommit=True, options="-c app.scope=system"
        )
    connection: psycopg.Connection = _mine.connection
    return connection
