"""What '…Z' means to claim_slot_atomic, in whichever zone the client is, and for both of its signatures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from tests.factories import create_clinic, slot
from tests.models.by_hand import CLAIM, Sql, claim, one

ZONES = ("America/New_York", "Asia/Kolkata", "UTC")


@pytest.fixture(params=[("SET", zone) for zone in ZONES] + [("PGTZ", zone) for zone in ZONES])
def session_elsewhere(
    request: pytest.FixtureRequest, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sql]:
    """A session of a client in another zone, which says so either way."""
    how, zone = request.param
    if how == "PGTZ":
        monkeypatch.setenv("PGTZ", zone)
    with psycopg.connect(database_url, autocommit=True, options="-c app.scope=system") as connection:
        if how == "SET":
            connection.execute("SELECT set_config('timezone', %s, false)", [zone])
        assert connection.execute("SHOW timezone").fetchone() == (zone,)
        yield connection


@pytest.mark.parametrize("cast", ["::timestamp", "::timestamptz", ""])
def test_a_z_means_utc_wherever_the_client_is(session_elsewhere: Sql, cast: str) -> None:
    org = create_clinic()
    answer = session_elsewhere.execute(
        f"SELECT success FROM claim_slot_atomic('{org}'::uuid, 'cal-1', '{slot()}'{cast},"
        " 'call-1', 'John', '+1-555-1234', 10)"
    ).fetchone()
    assert answer == (True,)
    start = one(session_elsewhere, "SELECT starts_at FROM appointment_holds WHERE org_id = %s", org)
    assert start.astimezone(UTC) == datetime.fromisoformat(slot())


def test_both_signatures_answer_with_the_same_columns(sql: Sql) -> None:
    signatures = sql.execute(
        "SELECT pg_get_function_arguments(oid), pg_get_function_result(oid) FROM pg_proc"
        " WHERE proname = 'claim_slot_atomic' ORDER BY 1"
    ).fetchall()
    arguments = (
        "p_org uuid, p_calendar text, p_slot {}, p_call_sid text, p_patient_name text,"
        " p_patient_phone text, p_hold_minutes integer{}"
    )
    columns = (
        "TABLE(success boolean, hold_id uuid, error text, code text, expires_at timestamp with time zone,"
        " held_by_call text, contact_id uuid, resource_id text)"
    )
    assert signatures == [
        (arguments.format("timestamp with time zone", ", p_asked jsonb DEFAULT NULL::jsonb"), columns),
        (arguments.format("timestamp without time zone", ""), columns),
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"calendar": "cal-2"}, "unknown_calendar"),
        ({"slot": "2020-01-25T10:00:00"}, "slot_in_the_past"),
        ({"slot": "infinity"}, "invalid_slot"),
        ({"minutes": 61}, "invalid_hold_minutes"),
        ({"phone": ""}, "missing_patient"),
    ],
)
def test_the_second_signature_refuses_the_same(sql: Sql, changes: dict[str, Any], code: str) -> None:
    refused = claim(sql, create_clinic(), CLAIM.replace("%(slot)s", "%(slot)s::timestamp"), **changes)
    assert (refused.success, refused.code, refused.hold_id) == (False, code, None)
