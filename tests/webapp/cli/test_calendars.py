"""Calendars by command; hours as one writes them, and where they cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient

from tests.factories import bare, code_of, create_clinic, reserve, slot
from tests.webapp.cli.commands import Operator
from webapp.cli import hours

WEEKDAYS = "mon-fri 09:00-17:00"


WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("mon 09:00-17:00", {"mon": [["09:00", "17:00"]]}),
        ("Monday 9:00-17:00", {"mon": [["09:00", "17:00"]]}),
        (
            "mon-tue 13:30-17:00 09:00-12:30, sat 10:00-14:00,",
            {
                "mon": [["09:00", "12:30"], ["13:30", "17:00"]],
                "tue": [["09:00", "12:30"], ["13:30", "17:00"]],
                "sat": [["10:00", "14:00"]],
            },
        ),
        (
            "mon 20:00-00:00, tue 20:00-24:00, wed 00:00-23:59, thu 0:00-0:00",
            {
                "mon": [["20:00", "24:00"]],
                "tue": [["20:00", "24:00"]],
                "wed": [["00:00", "24:00"]],
                "thu": [["00:00", "24:00"]],
            },
        ),
        (
            "fri-sat 22:00-02:00, sun 02:00-03:00",
            {"fri": [["22:00", "02:00"]], "sat": [["22:00", "02:00"]], "sun": [["02:00", "03:00"]]},
        ),
        (
            "mon 13:00-17:00@room-2 09:00-12:30@Room.1, tue 09:00-10:00",
            {
                "mon": [["09:00", "12:30", "Room.1"], ["13:00", "17:00", "room-2"]],
                "tue": [["09:00", "10:00"]],
            },
        ),
        ("mon-sun 20:00-08:00", {day: [["20:00", "08:00"]] for day in WEEK}),
        ("mon\u2013tue 09:00\u201317:00", {day: [["09:00", "17:00"]] for day in ("mon", "tue")}),
        (
            "sun-mon 09:00-10:00, mon 10:00-11:00",
            {"mon": [["09:00", "10:00"], ["10:00", "11:00"]], "sun": [["09:00", "10:00"]]},
        ),
    ],
)
def test_hours_are_read_as_one_writes_them(text: str, read: hours.Hours) -> None:
    assert hours.parse(text) == read
    assert hours.parse(hours.written(read)) == read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no day has hours"),
        ("mon-fri", 'at character 1, "mon-fri": the hours of these days are missing'),
        ("mon 09:00-17:00, xyz 10:00-14:00", 'at character 18, "xyz": a day is one of mon'),
        ("mon-mox 09:00-17:00", 'at character 1, "mon-mox"'),
        ("mon 9-17", 'at character 5, "9-17": hours are written 09:00-17:00'),
        ("mon 09:00-12:00 25:00-26:00", 'at character 17, "25:00-26:00": there is no such time'),
        ("mon 17:00-09:00", "it ends before it begins"),
        ("mon 09:00-05:00", "it ends before it begins"),
        ("mon 17:00-09:00", "mon 17:00-24:00, tue 00:00-09:00"),
        ("mon 09:00-09:00", "it ends before it begins"),
        ("mon 24:00-02:00", "there is no such time"),
        ("mon 20:00-24:30", "there is no such time"),
        ("mon 22:00-02:00, tue 01:30-03:00", "two periods of mon and tue overlap: one ends 02:00"),
        ("sun 22:00-02:00, mon 01:30-03:00", "two periods of sun and mon overlap: one ends 02:00"),
        ("mon 22:00-02:00 23:00-23:30", "two periods of mon overlap"),
        ("mon 09:00-12:00 11:00-13:00", "two periods of mon overlap: one ends 12:00"),
        ("mon-wed 09:00-12:00, tue 11:00-13:00", "two periods of tue overlap"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, said: str) -> None:
    with pytest.raises(hours.Unreadable) as raised:
        hours.parse(text)
    assert said in str(raised.value)


def test_a_calendar_is_made_and_offers_its_times(
    operator: Operator, clinic: str, client: FlaskClient
) -> None:
    operator.does(
        *("calendar", "add", clinic, "cal-1", "--name", "Main", "--zone", "Europe/London"),
        *("--hours", "mon-sun 10:00-12:00", "--slot-minutes", "60", "--service", "check-up"),
        *("--service", "cleaning"),
    )
    (row,) = operator.reads("calendar", "list", clinic)
    assert row == {
        "id": "cal-1",
        "name": "Main",
        "resource": "cal-1",
        "zone": "Europe/London",
        "hours": "mon-sun 10:00-12:00",
        "minutes": 60,
        "every": 60,
        "services": ["check-up", "cleaning"],
        "closed": [],
    }
    day = (datetime.now(UTC) + timedelta(days=14)).date()
    free = bare(client, "calendar/check", tenantId=clinic, date=day.isoformat())
    assert len(free["slots"]) == 2
    operator.does("calendar", "close", clinic, "cal-1", day)
    assert not bare(client, "calendar/check", tenantId=clinic, date=day.isoformat()).get("slots")
    operator.does("calendar", "open", clinic, "cal-1", day)
    assert bare(client, "calendar/check", tenantId=clinic, date=day.isoformat())["slots"] == free["slots"]


def test_a_calendar_is_changed_where_it_is_said_and_nowhere_else(operator: Operator, clinic: str) -> None:
    operator.does(
        *("calendar", "add", clinic, "room", "--name", "Room", "--zone", "UTC", "--hours", WEEKDAYS),
        *("--resource", "chair", "--service", "check-up"),
    )
    (before,) = operator.reads("calendar", "list", clinic)
    assert before["resource"] == "chair"
    operator.does("calendar", "set", clinic, "room", "--hours", "sat 10:00-12:00", "--slot-minutes", 45)
    (after,) = operator.reads("calendar", "list", clinic)
    assert after == before | {"hours": "sat 10:00-12:00", "minutes": 45}


def test_closures_are_ranges_and_know_of_what_is_booked(operator: Operator, client: FlaskClient) -> None:
    org = create_clinic(sandbox=True)
    hold = reserve(client, org)["holdId"]
    bare(client, "booking/send-otp", holdId=hold)
    assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))["success"]
    day = datetime.fromisoformat(slot()).date()
    end = day + timedelta(days=2)
    closed = operator.run("calendar", "close", org, "cal-1", f"{day}..{end}")
    assert "1 appointments stand on these days" in closed.stderr
    (row,) = operator.reads("calendar", "list", org)
    assert row["closed"] == [str(day + timedelta(days=number)) for number in range(3)]
    operator.does("calendar", "open", org, "cal-1", day + timedelta(days=1))
    (row,) = operator.reads("calendar", "list", org)
    assert row["closed"] == [str(day), str(end)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["add", "x", "--name", "x", "--zone", "Europe/Londn", "--hours", WEEKDAYS],
            "did you mean Europe/London?",
        ),
        (["add", "x", "--name", "x", "--zone", "UTC", "--hours", "mon 9-5"], "at character 5"),
        (["add", "x", "--name", "x", "--zone", "UTC"], "Missing option '--hours'"),
        (["add", "cal-1", "--name", "x", "--zone", "UTC", "--hours", WEEKDAYS], "there is a calendar cal-1"),
        (["set", "cal-2", "--name", "x"], "there is no calendar cal-2"),
        (["set", "cal-1"], "nothing was given"),
        (["set", "cal-1", "--slot-minutes", "4"], "5<=x<=480"),
        (["close", "cal-1", "tomorrow"], "tomorrow is no date"),
        (["close", "cal-1", "2026-12-26..2026-12-24"], "does not run forward"),
        (["close", "cal-2", "2026-12-26"], "there is no calendar cal-2"),
    ],
)
def test_what_is_wrong_is_said(operator: Operator, words: list[str], said: str) -> None:
    org = create_clinic()
    assert said in operator.fails("calendar", words[0], org, *words[1:])
