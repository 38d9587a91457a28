"""Calls and messages in any status that a page must show."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from typing import Any

import psycopg


def now(sql: psycopg.Connection) -> datetime:
    """The product's time, which a test may have shifted."""
    [[moment]] = sql.execute("SELECT app_clock()").fetchall()
    assert isinstance(moment, datetime)
    return moment


def add_call(sql: psycopg.Connection, org: str, **columns: Any) -> str:
    """A call that is over and hot, unless `columns` change it. Returns its id."""
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "org_id": org,
        "status": "ended",
        "caller_number": "+447700912345",
        "duration": 400,
        "lead_score": 86,
        "lead_band": "hot",
        "lead_reasons": [{"code": "booked", "points": 50, "why": "Booked in this call", "quote": ""}],
        "turns": [{"who": "caller", "text": "I would like whitening", "at": 3.5}],
        "created_at": now(sql),
        **columns,
    }
    values["lead_reasons"] = json.dumps(values["lead_reasons"])
    values["turns"] = json.dumps(values["turns"])
    names = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    sql.execute(
        f"INSERT INTO calls ({names}, scored_at) VALUES ({marks}, app_clock())".encode(),
        list(values.values()),
    )
    return str(values["id"])


def fail(sql: psycopg.Connection, message: object) -> None:
    """Make the message failed, as if the provider had refused it."""
    sql.execute(
        "UPDATE sms_messages SET status = 'failed', cause = 'refused by the provider', error_code = '30034',"
        " error_reason = 'not registered' WHERE id = %s",
        [message],
    )


def add_booking(
    sql: psycopg.Connection,
    org: str,
    start: datetime,
    *,
    booked_at: datetime | None = None,
    sent_after: float | None = None,
    **columns: Any,
) -> str:
    """An appointment with its confirmation, accepted `sent_after` seconds later, or never for None.

    Returns its id.
    """
    appointment, message, contact = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    made = booked_at or now(sql)
    values = {
        "patient_name": "Pat",
        "patient_phone": f"+4477{uuid.uuid4().int % 10**8:08d}",
        "calendar_id": "cal-1",
        "resource_id": "cal-1",
        **columns,
    }
    row = {
        "id": appointment,
        "org_id": org,
        "contact_id": contact,
        "scheduled_at": start,
        "ends_at": start + timedelta(minutes=30),
        "confirmation_message_id": message,
        "created_at": made,
        **values,
    }
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    with sql.transaction():
        sql.execute(
            "INSERT INTO contacts (id, org_id, phone, name) VALUES (%s, %s, %s, %s)",
            [contact, org, values["patient_phone"], values["patient_name"]],
        )
        sql.execute(f"INSERT INTO appointments ({names}) VALUES ({marks})".encode(), list(row.values()))
        sql.execute(
            "INSERT INTO sms_messages (id, org_id, kind, to_phone, appointment_id, created_at)"
            " VALUES (%s, %s, 'confirmation', %s, %s, %s)",
            [message, org, values["patient_phone"], appointment, made],
        )
        if sent_after is not None:
            sql.execute("UPDATE sms_messages SET status = 'sending' WHERE id = %s", [message])
            sql.execute(
                "UPDATE sms_messages SET status = 'sent', provider_id = %s, sent_at = %s WHERE id = %s",
                [f"SM{message.hex}", made + timedelta(seconds=sent_after), message],
            )
    return str(appointment)
