"""Every answer of check_availability and reserve_atomic, through the front door."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.conftest import Clock
from tests.factories import bare, create_clinic, phone_number, reserve, slot
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.agents.refusals import UNKNOWN, refused

# --- check_availability -------------------------------------------------------------------------


def test_check_offers_each_time_with_its_id_and_its_words(client: FlaskClient) -> None:
    org = create_clinic(calendar={"time_zone": "America/New_York"})
    answer = bare(client, "calendar/check", tenantId=org, date="2027-01-25")
    assert answer["success"]
    assert answer["slots"][2] == {
        "slotId": "2027-01-25T15:00:00Z",
        "calendarId": "cal-1",
        "label": "Monday 25 January, 10:00 in the morning",
    }
    assert len(answer["slots"]) == 16


@pytest.mark.parametrize(
    ("date", "code"),
    [("2026-01-25", "day_in_the_past"), ("2099-01-01", "day_too_far"), ("the 32nd", "invalid_date")],
)
def test_check_says_why_a_day_has_no_times(client: FlaskClient, date: str, code: str) -> None:
    answer = bare(client, "calendar/check", tenantId=create_clinic(), date=date)
    refused(answer, code)
    assert not answer.get("slots")


def test_check_offers_the_next_openings_of_a_closed_day(client: FlaskClient) -> None:
    org = create_clinic(calendar={"opening": {"wed": [["09:00", "10:00"]]}})
    monday = datetime.now(UTC).date() + timedelta(days=7 - datetime.now(UTC).weekday())
    answer = bare(client, "calendar/check", tenantId=org, date=monday.isoformat())
    say = refused(answer, "day_closed")
    assert "Wednesday" in say
    wednesdays = [monday + timedelta(days=days) for days in (2, 9, 16)]
    # Of each day that has one, the first time.
    assert [opening["slotId"] for opening in answer["nextOpenings"]] == [
        f"{day.isoformat()}T09:00:00Z" for day in wednesdays
    ]


def test_a_full_day_is_an_answer_with_other_days(client: FlaskClient) -> None:
    org = create_clinic(
        calendar={
            "opening": {
                day: [["10:00", "10:30"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
            }
        }
    )
    assert reserve(client, org)["success"]
    answer = bare(client, "calendar/check", tenantId=org, date=slot()[:10])
    assert answer["success"]
    assert answer["slots"] == []
    assert answer["nextOpenings"][0]["slotId"] == slot(days=15)


@pytest.mark.parametrize(("word", "days"), [("today", 0), ("tomorrow", 1)])
def test_a_day_may_be_said(client: FlaskClient, word: str, days: int) -> None:
    answer = bare(client, "calendar/check", tenantId=create_clinic(), date=word)
    assert answer["date"] == (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def test_a_weekday_is_the_next_one(client: FlaskClient) -> None:
    answer = bare(client, "calendar/check", tenantId=create_clinic(), date="Thursday")
    day = datetime.fromisoformat(answer["date"])
    assert day.weekday() == 3
    assert 1 <= (day.date() - datetime.now(UTC).date()).days <= 7


# --- reserve_atomic -----------------------------------------------------------------------------


def test_a_taken_time_is_refused_and_others_are_offered(client: FlaskClient) -> None:
    org = create_clinic()
    assert reserve(client, org)["success"]
    answer = reserve(client, org)
    assert answer["error"] == "Slot already held"
    assert refused(answer, "slot_taken").startswith("NOT BOOKED")
    assert [near["slotId"] for near in answer["nearest"]] == [
        slot(hour=9),
        slot(hour=9, minute=30),
        slot(hour=10, minute=30),
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"slotId": "2026-01-25T10:00:00Z"}, "slot_in_the_past"),
        ({"slotId": slot(minute=7)}, "slot_not_offered"),
        ({"slotId": slot(hour=3)}, "slot_not_offered"),
        ({"slotId": slot(days=1000)}, "day_too_far"),
        ({"slotId": "10 o'clock"}, "invalid_slot"),
        ({"slotId": "2027-01-25T10:00:00"}, "invalid_slot"),
        ({"slotId": "0001-01-01T00:00:00+23:59"}, "invalid_slot"),
        ({"slotId": "0001-01-01T00:00:00Z"}, "slot_in_the_past"),
        ({"slotId": "9999-12-31T23:59:59Z"}, "day_too_far"),
        ({"calendarId": "cal-9"}, "unknown_calendar"),
        ({"patientPhone": "+1-555-1234"}, "impossible_phone"),
        ({"patientPhone": "nophone"}, "impossible_phone"),
        ({"patientPhone": ""}, "missing_argument"),
        ({"patientName": "  "}, "missing_argument"),
        ({"patientName": "x" * 500}, "invalid_argument"),
        ({"patientName": ["John"]}, "invalid_argument"),
        ({"tenantId": UNKNOWN}, "unknown_tenant"),
        ({"tenantId": "my clinic"}, "unknown_tenant"),
    ],
)
def test_what_cannot_be_held_is_refused_in_words(
    client: FlaskClient, arguments: dict[str, Any], code: str
) -> None:
    answer = reserve(client, create_clinic(), **arguments)
    assert refused(answer, code).startswith("NOT BOOKED: ")


def test_a_sandbox_clinic_takes_the_quick_references_number(client: FlaskClient) -> None:
    assert reserve(client, create_clinic(sandbox=True), patientPhone="+1-555-1234")["success"]


def test_one_call_gets_its_own_hold_back_and_moves_it_with_another_time(client: FlaskClient) -> None:
    org = create_clinic(calendar={"step_minutes": 15})
    call = PhoneCall(client, org, phone_number())
    first = call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert first == call.say("reserve_atomic", slotId=slot(), patientName="John")
    # 10:15 overlaps what this very call holds: the hold moves.
    moved = call.say("reserve_atomic", slotId=slot(minute=15), patientName="John")
    assert "holdId=" in moved
    assert moved != first
    assert reserve(client, org, slotId=slot(hour=9, minute=30))["success"]
    assert refused(reserve(client, org, slotId=slot()), "slot_taken")


def test_a_call_that_is_refused_another_time_keeps_the_one_it_has(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    org = create_clinic()
    assert reserve(client, org, slotId=slot(hour=12))["success"]
    call = PhoneCall(client, org, phone_number())
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert call.say("reserve_atomic", slotId=slot(hour=12), patientName="John").startswith("NOT BOOKED")
    held = sql.execute(
        "SELECT starts_at = %s FROM appointment_holds WHERE call_sid = %s AND status = 'held'",
        [slot(), call.id],
    )
    assert held.fetchall() == [(True,)]


def test_a_stale_hold_is_no_obstacle(client: FlaskClient, clock: Clock) -> None:
    org = create_clinic()
    assert reserve(client, org)["success"]
    clock.forward(601)
    assert slot() in str(bare(client, "calendar/check", tenantId=org, date=slot()[:10])["slots"])
    assert reserve(client, org)["success"]
