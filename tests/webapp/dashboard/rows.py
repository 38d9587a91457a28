"""Calls and messages as they come to be, in whatever state a page must show."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg


def add_call(sql: psycopg.Connection, org: str, **columns: Any) -> str:
    """A call that is over and hot, unless said otherwise. Returns its id."""
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
        **columns,
    }
    values["lead_reasons"] = json.dumps(values["lead_reasons"])
    values["turns"] = json.dumps(values["turns"])
    names = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    sql.execute(
        f"INSERT INTO calls ({names}, scored_at) VALUES ({marks}, now())".encode(), list(values.values())
    )
    return str(values["id"])


def fail(sql: psycopg.Connection, message: object) -> None:
    """As if the provider had refused it."""
    sql.execute(
        "UPDATE sms_messages SET status = 'failed', cause = 'refused by the provider', error_code = '30034',"
        " error_reason = 'not registered' WHERE id = %s",
        [message],
    )
