"""The SQL functions, asked as an operator with psql would ask, and what they left in the tables."""

from __future__ import annotations

import uuid
from datetime import UTC
from typing import Any

import psycopg
from psycopg.rows import class_row

from models.booking.appointments import Confirmation
from tests.claimed import Claimed
from tests.factories import phone_number, slot

Sql = psycopg.Connection[tuple[Any, ...]]

CLAIM = (
    "SELECT success, hold_id, error, code, expires_at, held_by_call, contact_id, resource_id"
    " FROM claim_slot_atomic(%(org)s, %(calendar)s, %(slot)s, %(call)s, %(name)s, %(phone)s, %(minutes)s)"
)
RIGHT, WRONG = "digest-of-the-right-code", "digest-of-another-code"


def claim(sql: Sql, org: str, /, statement: str = CLAIM, **changes: Any) -> Claimed:
    values = {
        "org": org,
        "calendar": "cal-1",
        "slot": slot(),
        "call": "call-1",
        "name": "John",
        "phone": phone_number(),
        "minutes": 10,
    }
    with sql.cursor(row_factory=class_row(Claimed)) as cursor:
        (answer,) = cursor.execute(statement, values | changes).fetchall()
    return answer


def confirm(
    sql: Sql,
    org: str,
    hold: uuid.UUID | None,
    digest: str | None = RIGHT,
    contact: object = None,
    tries: int = 3,
) -> Confirmation:
    with sql.cursor(row_factory=class_row(Confirmation)) as cursor:
        cursor.execute(
            "SELECT * FROM confirm_held_slot(%s, %s, %s, %s, %s, %s)",
            [hold, org, contact, digest, "Check-up", tries],
        )
        (answer,) = cursor.fetchall()
    return answer


def release(sql: Sql, org: str, hold: uuid.UUID | None) -> tuple[Any, ...]:
    (answer,) = sql.execute("SELECT success, error, code FROM release_hold(%s, %s)", [hold, org]).fetchall()
    return answer


def held(sql: Sql, org: str, **changes: Any) -> uuid.UUID:
    """A hold whose code was sent."""
    claimed = claim(sql, org, **changes)
    assert claimed.success, claimed
    assert claimed.hold_id is not None
    sql.execute("UPDATE appointment_holds SET code_digest = %s WHERE id = %s", [RIGHT, claimed.hold_id])
    return claimed.hold_id


def booked(sql: Sql, org: str, **changes: Any) -> uuid.UUID:
    confirmed = confirm(sql, org, held(sql, org, **changes))
    assert confirmed.appointment_id is not None
    return confirmed.appointment_id


def taken(sql: Sql, org: str) -> list[tuple[Any, ...]]:
    """Whose the times of a clinic are: (its start as a slotId, 'hold' or 'appointment')."""
    rows = sql.execute(
        "SELECT starts_at, CASE WHEN hold_id IS NULL THEN 'appointment' ELSE 'hold' END FROM occupancies"
        " WHERE org_id = %s ORDER BY starts_at",
        [org],
    )
    return [(start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), whose) for start, whose in rows]


def one(sql: Sql, statement: str, *values: Any) -> Any:
    row = sql.execute(statement, values).fetchone()
    assert row is not None
    return row[0]
