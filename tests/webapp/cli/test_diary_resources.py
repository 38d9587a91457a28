"""People, rooms and devices by command: their hours and rooms, and what stands when these change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.factories import bare, code_of, create_clinic, reserve, slot
from tests.webapp.cli.commands import Operator

ZONE = "UTC"
MORNINGS = "mon-sun 09:00-12:00"


def book(client: FlaskClient, org: str, **arguments: object) -> str:
    """An appointment by phone. Returns its id."""
    hold = reserve(client, org, **arguments)["holdId"]
    bare(client, "booking/send-otp", holdId=hold)
    confirmed = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))
    assert confirmed["success"]
    return str(confirmed["appointmentId"])


def add(operator: Operator, org: str, which: str, kind: str, *more: object) -> str:
    return operator.does(
        *("resource", "add", org, which, "--kind", kind, "--name", which.title(), "--zone", ZONE), *more
    )


@pytest.fixture
def dentist(operator: Operator, clinic: str) -> str:
    """A clinic with a dentist, a room and a service for which both are needed. Returns its id."""
    add(operator, clinic, "room-1", "room")
    add(operator, clinic, "anna", "person", "--hours", MORNINGS)
    operator.does(
        *("service", "add", clinic, "check-up", "--name", "Check-up", "--minutes", 30),
        *("--who", "anna", "--who", "room-1"),
    )
    operator.does(
        *("calendar", "add", clinic, "any", "--name", "Anyone", "--zone", ZONE, "--anyone"),
        *("--default-service", "check-up"),
    )
    return clinic


def test_they_are_added_listed_and_changed(operator: Operator, clinic: str) -> None:
    add(operator, clinic, "room-1", "room")
    add(operator, clinic, "room-2", "room")
    said = add(
        operator,
        clinic,
        "anna",
        "person",
        "--hours",
        "mon 09:00-12:00 13:00-17:00@room-2",
        "--room",
        "room-1",
    )
    assert said == f"anna: mon 09:00-12:00@room-1 13:00-17:00@room-2, {ZONE}"
    rows = {row["id"]: row for row in operator.reads("resource", "list", clinic)}
    assert rows["anna"] == {
        "id": "anna",
        "kind": "person",
        "name": "Anna",
        "zone": ZONE,
        "hours": "mon 09:00-12:00@room-1 13:00-17:00@room-2",
        "services": [],
        "retired": None,
    }
    assert rows["room-1"]["hours"] is None
    # What is listed can be typed again, and nothing else is changed.
    operator.does("resource", "set", clinic, "anna", "--hours", rows["anna"]["hours"], "--name", "Anna Lee")
    (again,) = [row for row in operator.reads("resource", "list", clinic) if row["id"] == "anna"]
    assert again == rows["anna"] | {"name": "Anna Lee"}
    assert operator.reads("resource", "set", clinic, "anna", "--no-hours")["hours"] is None


def test_a_person_is_offered_in_their_hours_and_their_room_alone(
    operator: Operator, dentist: str, client: FlaskClient
) -> None:
    day = (datetime.now(UTC) + timedelta(days=14)).date()

    def starts() -> list[str]:
        free = bare(client, "calendar/check", tenantId=dentist, date=day.isoformat())
        return [each["slotId"] for each in free.get("slots", [])]

    assert len(starts()) == 6
    add(operator, dentist, "room-2", "room")
    operator.does("resource", "set", dentist, "anna", "--hours", MORNINGS, "--room", "room-2")
    assert starts() == []  # the service is done in room-1 only
    operator.does(
        "service", "set", dentist, "check-up", "--who", "anna", "--who", "room-1", "--who", "room-2"
    )
    assert len(starts()) == 6


def test_changed_hours_list_what_stands_outside_them(
    operator: Operator, dentist: str, client: FlaskClient
) -> None:
    first = book(client, dentist, calendarId="any", slotId=slot(hour=9))
    book(client, dentist, calendarId="any", slotId=slot(days=15, hour=11))
    changed = operator.run("resource", "set", dentist, "anna", "--hours", "mon-sun 10:00-12:00")
    assert changed.stdout == f"anna: mon-sun 10:00-12:00, {ZONE}\n"
    assert "1 appointments stand and stay: ring the patients" in changed.stderr
    assert first in changed.stderr
    data = operator.reads("resource", "set", dentist, "anna", "--hours", "mon-sun 10:00-12:00")
    (row,) = data["stands"]
    assert (row["appointment"], row["with"], row["why"]) == (first, "anna", ["outside hours"])
    assert datetime.fromisoformat(row["starts"]) == datetime.fromisoformat(slot(hour=9))
    # Neither the patient's name nor the number is in it.
    assert set(row) == {"starts", "appointment", "with", "name", "why"}
    assert operator.reads("diary", "outside", dentist) == data["stands"]
    operator.does("resource", "set", dentist, "anna", "--hours", MORNINGS)
    assert operator.reads("diary", "outside", dentist) == []


def test_a_room_that_is_booked_by_itself_stands_once_it_has_no_hours(
    operator: Operator, clinic: str, client: FlaskClient, sql: psycopg.Connection[Any]
) -> None:
    """A room without hours is always open for whoever works in it, and never where the room itself leads."""
    add(operator, clinic, "sauna", "room", "--hours", MORNINGS)
    operator.does(
        *("service", "add", clinic, "sauna", "--name", "Sauna", "--minutes", 30), *("--who", "sauna")
    )
    operator.does(
        *("calendar", "add", clinic, "any", "--name", "Anyone", "--zone", ZONE, "--anyone"),
        *("--default-service", "sauna"),
    )
    booked = book(client, clinic, calendarId="any", slotId=slot(hour=9))
    assert operator.reads("diary", "outside", clinic) == []
    sql.execute("DELETE FROM resource_hours WHERE org_id = %s", [clinic])
    (row,) = operator.reads("diary", "outside", clinic)
    assert (row["appointment"], row["with"], row["why"]) == (booked, "sauna", ["outside hours"])


def test_who_retires_leaves_appointments_that_are_listed(
    operator: Operator, dentist: str, client: FlaskClient
) -> None:
    booked = book(client, dentist, calendarId="any", slotId=slot())
    said = operator.fails("resource", "retire", dentist, "anna")
    assert "anna is the only person of the service check-up; give the service another one" in said
    assert "room-1 is the only room" in operator.fails("resource", "retire", dentist, "room-1")
    add(operator, dentist, "ben", "person", "--hours", MORNINGS)
    operator.does(
        *("service", "set", dentist, "check-up"), *("--who", "anna", "--who", "ben", "--who", "room-1")
    )
    gone = operator.reads("resource", "retire", dentist, "anna")
    assert [(row["appointment"], row["with"], row["why"]) for row in gone["stands"]] == [
        (booked, "anna", ["retired"])
    ]
    assert gone["retired"] == date.today().isoformat()  # noqa: DTZ011 (the servers' day is UTC's)
    assert [row["id"] for row in operator.reads("resource", "list", dentist)] == ["ben", "room-1"]
    assert len(operator.reads("resource", "list", dentist, "--all")) == 3
    taken = reserve(client, dentist, calendarId="any", slotId=slot(hour=11))["holdId"]
    assert operator.value("SELECT resource_id FROM appointment_holds WHERE id = %s", taken) == "ben"
    assert operator.reads("resource", "retire", dentist, "anna", "--undo")["stands"] == []


def test_a_room_in_which_somebody_works_does_not_retire(operator: Operator, clinic: str) -> None:
    add(operator, clinic, "room-1", "room")
    add(operator, clinic, "anna", "person", "--hours", MORNINGS, "--room", "room-1")
    assert "the hours of anna name the room room-1" in operator.fails("resource", "retire", clinic, "room-1")
    operator.does("resource", "set", clinic, "anna", "--hours", MORNINGS)
    operator.does("resource", "retire", clinic, "room-1")
    said = operator.fails("resource", "set", clinic, "anna", "--hours", MORNINGS, "--room", "room-1")
    assert "the room room-1 is retired" in said


def test_what_is_allowed_and_offers_nothing_is_said(operator: Operator, dentist: str) -> None:
    def notes(*words: object) -> str:
        return " ".join(operator.reads(*words)["notes"])

    assert "Anna (anna) has no hours in the next four weeks" in notes(
        "resource", "set", dentist, "anna", "--no-hours"
    )
    short = ("resource", "set", dentist, "anna", "--hours", "mon 09:00-09:20")
    assert "check-up takes 30 minutes, and those who do it are open for at most 20" in notes(*short)
    assert notes("resource", "set", dentist, "anna", "--hours", MORNINGS) == ""
    operator.does("resource", "set", dentist, "anna", "--hours", MORNINGS, "--room", "room-1")
    closed = notes("resource", "set", dentist, "room-1", "--hours", "mon 10:00-18:00, tue-sun 09:00-18:00")
    assert "Anna (anna) works in Room-1 (room-1) on Mondays when it is closed" in closed
    assert "Tuesdays" not in closed
    # A change says what is new, and the doctor says all of it.
    assert notes("resource", "set", dentist, "anna", "--name", "Anna Lee") != ""
    assert notes("resource", "set", dentist, "room-1", "--no-hours") == ""
    assert "on Mondays" not in operator.run("doctor", dentist).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["add", "x", "--kind", "person", "--name", "X", "--zone", "Europe/Londn"],
            "did you mean Europe/London?",
        ),
        (["add", "x", "--kind", "dog", "--name", "X", "--zone", "UTC"], "'dog' is not one of"),
        (["add", "x y", "--kind", "person", "--name", "X", "--zone", "UTC"], "'x y' is no id"),
        (["add", "a/b", "--kind", "person", "--name", "X", "--zone", "UTC"], "'a/b' is no id"),
        (["add", "cal-1", "--kind", "person", "--name", "X", "--zone", "UTC"], "there is a cal-1 already"),
        (["add", "x", "--kind", "person", "--name", "X", "--zone", "UTC", "--room", "r"], "--room goes with"),
        (["set", "cal-1", "--hours", "mon 09:00-12:00@nowhere"], "there is no room nowhere; add it first"),
        (["set", "cal-1", "--hours", "mon 09:00-12:00@cal-1"], "cal-1 is a person and no room"),
        (["set", "cal-1", "--hours", "mon 09:00-12:00 11:00-13:00"], "two periods of mon overlap"),
        (["set", "cal-1", "--hours", "mon 09:00-12:00", "--no-hours"], "exclude each other"),
        (["set", "cal-1"], "nothing was given"),
        (["set", "nobody", "--name", "X"], "there is no person, room or device nobody; `flask resource list"),
        (["retire", "nobody"], "there is no person, room or device nobody"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(
    operator: Operator, words: list[str], said: str
) -> None:
    org = create_clinic()
    before = operator.reads("resource", "list", org, "--all")
    assert said in operator.fails("resource", words[0], org, *words[1:])
    assert operator.reads("resource", "list", org, "--all") == before


def test_only_a_persons_hours_name_a_room(operator: Operator, clinic: str) -> None:
    add(operator, clinic, "room-1", "room")
    said = operator.fails(
        *("resource", "add", clinic, "room-2", "--kind", "room", "--name", "Room 2", "--zone", ZONE),
        *("--hours", "mon 09:00-12:00@room-1"),
    )
    assert "only the hours of a person name a room" in said
    assert [row["id"] for row in operator.reads("resource", "list", clinic)] == ["room-1"]
