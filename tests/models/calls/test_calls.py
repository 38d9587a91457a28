"""Tool calls of one call wait for each other, and for no other call."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from models.base.session import transaction
from models.calls import calls, reports
from tests.factories import create_clinic


def key(call: str, tool_call: str = "call_0") -> calls.ToolCallKey:
    return calls.ToolCallKey(call, tool_call, "reserve_atomic", "digest")


def test_a_tool_call_waits_for_its_own_telephone_call_and_for_no_other_of_the_clinic() -> None:
    org = uuid.UUID(create_clinic())
    with transaction(org) as first:
        calls.begin(first, org, key("call A"))
        with transaction(org) as other:
            other.execute(text("SET LOCAL lock_timeout = '1ms'"))  # fails instead of waiting
            assert calls.begin(other, org, key("call B")).reply is None
        with transaction(org) as same:
            same.execute(text("SET LOCAL lock_timeout = '1ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                calls.begin(same, org, key("call A", "call_1"))
            same.rollback()


def test_calls_of_the_same_id_in_two_clinics_do_not_wait_for_each_other() -> None:
    one, two = uuid.UUID(create_clinic()), uuid.UUID(create_clinic())
    with transaction(one) as first, transaction(two) as second:
        calls.begin(first, one, key("call A"))
        second.execute(text("SET LOCAL lock_timeout = '1ms'"))
        assert calls.begin(second, two, key("call A")).reply is None


@pytest.mark.parametrize(
    ("written", "hour"),
    [
        ("2026-07-22T10:00:00", 10),
        ("2026-07-22T10:00:00Z", 10),
        ("2026-07-22T10:00:00+02:00", 8),
        (1784714400000, 10),
    ],
)
def test_a_time_without_a_zone_is_of_utc_wherever_the_machine_stands(
    monkeypatch: pytest.MonkeyPatch, written: object, hour: int
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        read = reports.read({"startedAt": written, "endedAt": written})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert read.started_at == read.ended_at == datetime(2026, 7, 22, hour, tzinfo=UTC)


@pytest.mark.parametrize(("seconds", "read"), [(0, 0), (24 * 3600, 24 * 3600), (24 * 3600 + 1, None)])
def test_a_call_that_lasted_more_than_a_day_did_not(seconds: int, read: int | None) -> None:
    """In every form of the duration: a clock was wrong."""
    began = datetime(2026, 7, 22, tzinfo=UTC)
    last = {"role": "user", "message": "bye", "secondsFromStart": seconds}
    for told in (
        {"durationSeconds": seconds},
        {"durationMs": seconds * 1000},
        {"durationMinutes": seconds / 60},
        {"startedAt": began.isoformat(), "endedAt": (began + timedelta(seconds=seconds)).isoformat()},
        {"messages": [last]},
    ):
        assert reports.read(told).duration == read, told
