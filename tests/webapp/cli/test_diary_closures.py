"""Closures, openings and blocks by command, and the appointments that they meet."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient

from tests.factories import bare, create_clinic, slot
from tests.webapp.cli.commands import Operator
from tests.webapp.cli.test_diary_resources import add, book

DAY = (datetime.now(UTC) + timedelta(days=14)).date()
NEXT = DAY + timedelta(days=1)


def last_sunday(month: int) -> date:
    """On which the clocks of Europe/London change, in a month of 31 days of next year."""
    last = date(DAY.year + 1, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)


SPRING, AUTUMN = last_sunday(3), last_sunday(10)


def starts(client: FlaskClient, org: str, day: object = DAY) -> list[str]:
    """The wall-clock times that are free, in a clinic of UTC."""
    free = bare(client, "calendar/check", tenantId=org, date=str(day))
    return [each["slotId"][11:16] for each in free.get("slots", []) if each["slotId"].startswith(str(day))]


def test_the_whole_clinic_closes_and_one_person_works(operator: Operator, client: FlaskClient) -> None:
    org = create_clinic(calendars=("cal-1", "cal-2"))
    operator.does("closure", "add", org, f"{DAY}..{NEXT}", "--reason", "Christmas")
    assert starts(client, org) == []
    operator.does("closure", "add", org, DAY, "--for", "cal-1", "--open", "--hours", "10:00-11:00")
    assert starts(client, org) == ["10:00", "10:30"]
    rows = operator.reads("closure", "list", org)
    assert [(row["date"], row["for"], row["is"], row["hours"], row["reason"]) for row in rows] == [
        (str(DAY), "cal-1", "open besides", "10:00-11:00", None),
        (str(DAY), None, "closed", None, "Christmas"),
        (str(NEXT), None, "closed", None, "Christmas"),
    ]
    operator.does("closure", "remove", org, f"{DAY}..{NEXT}")
    assert len(starts(client, org)) == 16
    operator.does("closure", "remove", org, rows[0]["id"])
    assert operator.reads("closure", "list", org) == []
    assert "every day is as usual" in operator.does("closure", "list", org)


def test_a_part_of_a_day_closes_once_however_often_it_is_typed(
    operator: Operator, client: FlaskClient
) -> None:
    org = create_clinic()
    part = ("closure", "add", org, DAY, "--for", "cal-1", "--hours", "10:00-16:00")
    assert operator.does(*part) == f"closed on {DAY} 10:00-16:00: cal-1"
    assert operator.reads(*part)["closures"] == operator.reads("closure", "list", org)
    assert starts(client, org) == ["09:00", "09:30", "16:00", "16:30"]


def test_a_closed_day_lists_who_stands_on_it_and_nobody_else(operator: Operator, client: FlaskClient) -> None:
    org = create_clinic(calendars=("cal-1", "cal-2"), calendar={"opening": WEEK})
    first = book(client, org, slotId=f"{DAY}T23:00:00Z")
    second = book(client, org, slotId=f"{NEXT}T01:00:00Z")  # in hours that began on the day
    other = book(client, org, slotId=f"{DAY}T23:00:00Z", calendarId="cal-2")
    book(client, org, slotId=f"{NEXT}T23:00:00Z")
    closed = operator.reads("closure", "add", org, DAY, "--for", "cal-1")
    assert [row["appointment"] for row in closed["stands"]] == [first, second]
    closed = operator.reads("closure", "add", org, DAY)
    assert {row["appointment"] for row in closed["stands"]} == {first, second, other}
    assert "3 appointments stand and stay" in operator.run("closure", "add", org, DAY).stderr
    assert {row["appointment"] for row in operator.reads("diary", "outside", org)} == {first, second, other}
    said = operator.run("doctor", org).output
    assert f"flask diary outside {org}" in said


WEEK = {day: [["22:00", "02:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}


def test_an_opening_that_is_taken_back_leaves_what_was_booked_in_it(
    operator: Operator, client: FlaskClient
) -> None:
    org = create_clinic()
    operator.does("closure", "add", org, DAY, "--for", "cal-1", "--open", "--hours", "18:00-20:00")
    booked = book(client, org, slotId=slot(hour=18))
    back = operator.reads("closure", "remove", org, DAY, "--for", "cal-1")
    assert [row["appointment"] for row in back["stands"]] == [booked]


def test_a_room_that_closes_while_somebody_works_in_it_is_told_of(operator: Operator, clinic: str) -> None:
    add(operator, clinic, "room-1", "room")
    add(operator, clinic, "anna", "person", "--hours", "mon-sun 09:00-12:00", "--room", "room-1")
    closed = operator.reads("closure", "add", clinic, DAY, "--for", "room-1")
    (note,) = closed["notes"]
    assert note.startswith(f"Room-1 (room-1) is closed on {DAY} when Anna (anna) works there")
    add(operator, clinic, "room-2", "room")
    moved = ("--for", "anna", "--open", "--hours", "14:00-16:00", "--room", "room-2")
    operator.does("closure", "add", clinic, DAY, *moved)
    assert operator.reads("closure", "list", clinic)[0]["room"] == "room-2"


def test_a_block_takes_its_time_and_gives_it_back(operator: Operator, client: FlaskClient) -> None:
    org = create_clinic()
    booked = book(client, org, slotId=slot(hour=12))
    made = operator.run("block", "add", org, "cal-1", f"{DAY}T10:00", "16:00", "--reason", "Training")
    assert made.stdout == f"blocked: {DAY}T10:00+00:00 to {DAY}T16:00+00:00\n"
    assert "1 appointments stand and stay: ring the patients" in made.stderr
    assert booked in made.stderr
    assert starts(client, org) == ["09:00", "09:30", "16:00", "16:30"]
    (row,) = operator.reads("block", "list", org)
    assert (row["for"], row["reason"], row["source"]) == ("cal-1", "Training", "desk")
    (left,) = operator.reads("diary", "outside", org)
    assert (left["appointment"], left["why"]) == (booked, ["blocked"])
    assert operator.does("block", "remove", org, row["id"]) == "its time is free again"
    assert len(starts(client, org)) == 15
    assert operator.reads("block", "list", org) == []


def test_a_block_of_days_goes_by_the_clocks_of_whom_it_is(operator: Operator, clinic: str) -> None:
    operator.does(
        *("resource", "add", clinic, "anna", "--kind", "person", "--name", "Anna", "--zone", "Europe/London")
    )
    made = operator.reads(
        "block", "add", clinic, "anna", SPRING - timedelta(days=1), SPRING, "--reason", "Leave"
    )
    assert (made["from"], made["until"]) == (
        f"{SPRING - timedelta(days=1)}T00:00+00:00",
        f"{SPRING + timedelta(days=1)}T00:00+01:00",
    )
    # The hour that comes twice is taken whole.
    made = operator.reads(
        *("block", "add", clinic, "anna", f"{AUTUMN} 01:00", "01:30", "--reason", "The clocks change")
    )
    assert (made["from"], made["until"]) == (f"{AUTUMN}T01:00+01:00", f"{AUTUMN}T01:30+00:00")
    operator.does("resource", "add", clinic, "ben", "--kind", "person", "--name", "Ben", "--zone", "UTC")
    assert operator.reads("block", "list", clinic, "--for", "ben", "--days", 3660) == []
    assert len(operator.reads("block", "list", clinic, "--for", "anna", "--days", 3660)) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["closure", "add", "ORG", "2026-02-30"], "2026-02-30 is no date"),
        (["closure", "add", "ORG", "2020-01-01"], "2020-01-01 is over; give a day from today on"),
        (["closure", "add", "ORG", "2099-12-25"], "more than ten years ahead, too far to book"),
        (["closure", "add", "ORG", "DAY", "--open"], "an opening needs its hours"),
        (["closure", "add", "ORG", "DAY", "--hours", "9-12"], "hours are written 09:00-17:00"),
        (["closure", "add", "ORG", "DAY", "--hours", "17:00-09:00"], "it ends before it begins"),
        (["closure", "add", "ORG", "DAY", "--hours", "25:00-26:00"], "there is no such time of day"),
        (["closure", "add", "ORG", "DAY", "--for", "nobody"], "there is no person, room or device nobody"),
        (["closure", "add", "ORG", "DAY", "--room", "x"], "only an opening is in a room"),
        (
            [
                "closure",
                "add",
                "ORG",
                "DAY",
                "--for",
                "cal-1",
                "--open",
                "--hours",
                "18:00-20:00",
                "--room",
                "x",
            ],
            "there is no room x; add it first",
        ),
        (
            ["closure", "add", "ORG", "SPRING", "--for", "london", "--hours", "01:30-04:00"],
            "01:30 does not exist on SPRING in Europe/London: the clocks skip it",
        ),
        (["closure", "remove", "ORG", "DAY"], "there is no such closure of the whole clinic"),
        (["closure", "remove", "ORG", "a0000000-0000-4000-8000-00000000000a"], "there is no such closure"),
        (
            ["block", "add", "ORG", "nobody", "DAY", "DAY", "--reason", "x"],
            "there is no person, room or device",
        ),
        (["block", "add", "ORG", "cal-1", "DAYT12:00", "11:00", "--reason", "x"], "ends before it begins"),
        (["block", "add", "ORG", "cal-1", "DAYT12:00", "12:00", "--reason", "x"], "ends before it begins"),
        (["block", "add", "ORG", "cal-1", "2020-01-01", "2020-01-02", "--reason", "x"], "is over already"),
        (["block", "add", "ORG", "cal-1", "DAY", "2199-01-01", "--reason", "x"], "at most ten years"),
        (["block", "add", "ORG", "cal-1", "DAY", "9999-12-31", "--reason", "x"], "is too far away"),
        (
            ["block", "add", "ORG", "cal-1", "2127-02-30", "2127-03-01", "--reason", "x"],
            "is no date and time",
        ),
        (["block", "add", "ORG", "cal-1", "DAYT25:00", "DAY", "--reason", "x"], "is no date and time"),
        (["block", "add", "ORG", "cal-1", "12:00", "DAY", "--reason", "x"], "FROM needs a date"),
        (["block", "add", "ORG", "cal-1", "DAY", "DAY", "--reason", " "], "it is empty"),
        (["block", "add", "ORG", "cal-1", "DAY", "DAY"], "Missing option '--reason'"),
        (
            ["block", "add", "ORG", "london", "SPRINGT01:30", "04:00", "--reason", "x"],
            "01:30 does not exist on SPRING in Europe/London: the clocks skip it",
        ),
        (["block", "remove", "ORG", "a0000000-0000-4000-8000-00000000000a"], "there is no block a0000000"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(
    operator: Operator, words: list[str], said: str
) -> None:
    org = create_clinic()
    operator.does(
        *("resource", "add", org, "london", "--kind", "person", "--name", "L", "--zone", "Europe/London")
    )
    said = filled(said, org)
    assert said in operator.fails(*(filled(word, org) for word in words))
    assert operator.reads("closure", "list", org) == []
    assert operator.reads("block", "list", org) == []


def filled(text: str, org: str) -> str:
    return text.replace("ORG", org).replace("DAY", str(DAY)).replace("SPRING", str(SPRING))


def test_a_date_on_which_nobody_can_book_yet_is_told_of(operator: Operator) -> None:
    org = create_clinic(calendar={"horizon_days": 30})
    closed = operator.reads("closure", "add", org, DAY + timedelta(days=60))
    assert closed["notes"][0].startswith("patients may book at most 30 days ahead as yet")
    assert operator.reads("closure", "add", org, DAY)["notes"] == []
