"""Services and calendars of several people by command."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.factories import bare, code_of, create_clinic, reserve, slot
from tests.webapp.cli.commands import Operator
from tests.webapp.cli.test_diary_resources import add, book

HOURS = "mon-sun 09:00-17:00"


def service(operator: Operator, org: str, which: str, *more: object) -> str:
    return operator.does("service", "add", org, which, "--name", which.title(), *more)


def rows(operator: Operator, what: str, org: str) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in operator.reads(what, "list", org)}


@pytest.fixture
def two(operator: Operator, clinic: str) -> str:
    """A clinic with two people, and a check-up that both do. Returns its id."""
    for who in ("anna", "ben"):
        add(operator, clinic, who, "person", "--hours", HOURS)
    service(operator, clinic, "check-up", "--who", "anna", "--who", "ben")
    return clinic


def test_a_service_has_all_its_rules(operator: Operator, two: str) -> None:
    service(
        operator,
        two,
        "cleaning",
        *("--who", "ben", "--word", "hygienist", "--word", "scale and polish", "--minutes", 45),
        *("--minutes-before", 5, "--minutes-after", 10, "--min-notice-minutes", 120, "--horizon-days", 30),
        *("--most-per-day", 4, "--not-by-phone", "--not-by-link", "--worth", "high"),
    )
    made = rows(operator, "service", two)["cleaning"]
    assert made == {
        "id": "cleaning",
        "name": "Cleaning",
        "words": ["hygienist", "scale and polish"],
        "position": 2,
        "minutes": 45,
        "minutes_before": 5,
        "minutes_after": 10,
        "step_minutes": 45,
        "min_notice_minutes": 120,
        "horizon_days": 30,
        "most_per_day": 4,
        "by_phone": False,
        "by_link": False,
        "worth": "high",
        "who": ["ben"],
        "default_of": [],
        "retired": None,
    }
    operator.does(
        *("service", "set", two, "cleaning", "--by-phone", "--any-per-day", "--no-words", "--no-worth"),
        *("--position", 1),
    )
    changed = rows(operator, "service", two)["cleaning"]
    assert changed == made | {
        "by_phone": True,
        "most_per_day": None,
        "words": [],
        "worth": None,
        "position": 1,
    }
    assert "cleaning" in operator.does("service", "list", two)


def test_a_service_that_is_renamed_keeps_its_worth(operator: Operator, two: str) -> None:
    operator.does("service", "set", two, "check-up", "--worth", "low")
    operator.does("service", "set", two, "check-up", "--name", "Examination")
    made = rows(operator, "service", two)["check-up"]
    assert (made["name"], made["worth"]) == ("Examination", "low")
    operator.fails("service", "set", two, "check-up", "--worth", "dear")
    operator.fails("service", "set", two, "check-up", "--worth", "high", "--no-worth")


def test_a_calendar_of_anyone_books_whoever_is_free(
    operator: Operator, two: str, client: FlaskClient
) -> None:
    said = operator.does(
        *("calendar", "add", two, "front", "--name", "Front", "--zone", "UTC", "--anyone"),
        *("--default-service", "check-up"),
    )
    assert said == "front: whoever can do the service, UTC"
    holds = [reserve(client, two, calendarId="front", slotId=slot())["holdId"] for _ in range(2)]
    query = "SELECT resource_id FROM appointment_holds WHERE id = %s"
    assert {operator.value(query, hold) for hold in holds} == {"anna", "ben"}
    (row,) = operator.reads("calendar", "list", two)
    assert (row["id"], row["resource"], row["hours"], row["services"]) == ("front", None, None, ["Check-Up"])
    # It becomes the calendar of one of them, and of another service.
    service(operator, two, "cleaning", "--who", "ben")
    operator.does("calendar", "set", two, "front", "--of", "ben", "--default-service", "cleaning")
    assert rows(operator, "calendar", two)["front"]["resource"] == "ben"
    assert rows(operator, "service", two)["cleaning"]["default_of"] == ["front"]
    operator.does("calendar", "set", two, "front", "--anyone")
    assert rows(operator, "calendar", two)["front"]["resource"] is None


def test_a_calendar_is_changed_without_the_others_that_share_its_service(
    operator: Operator, clinic: str
) -> None:
    for name in ("east", "west"):
        operator.does(
            *("calendar", "add", clinic, name, "--name", name, "--zone", "UTC", "--hours", HOURS),
            *("--service", "check-up", "--service", "cleaning", "--resource", "chair"),
        )
    assert rows(operator, "service", clinic)["check-up"]["who"] == ["chair", "east", "west"]
    operator.does("service", "set", clinic, "check-up", "--minutes-after", 10, "--word", "exam")
    before = rows(operator, "calendar", clinic)
    services_before = rows(operator, "service", clinic)
    changed = operator.run("calendar", "set", clinic, "east", "--slot-minutes", 45)
    assert changed.exit_code == 0
    assert "other people do check-up too and keep their rules" in changed.stderr
    after = rows(operator, "calendar", clinic)
    assert after["west"] == before["west"]
    assert after["east"] == before["east"] | {"minutes": 45}
    # The one that is its own now has all else of the other, the room as well.
    made = rows(operator, "service", clinic)
    assert made["check-up"] == services_before["check-up"] | {
        "who": ["chair", "west"],
        "default_of": ["west"],
    }
    own = services_before["check-up"] | {"id": "check-up-2", "minutes": 45, "who": ["chair", "east"]}
    assert made["check-up-2"] == own | {"default_of": ["east"]}
    # What is changed to what it is already is nobody's own, and a second change makes nothing more.
    operator.does("calendar", "set", clinic, "west", "--slot-minutes", 30)
    operator.does("calendar", "set", clinic, "east", "--slot-minutes", 60)
    assert set(rows(operator, "service", clinic)) == {"check-up", "cleaning", "check-up-2", "cleaning-2"}


def test_the_services_of_a_calendar_are_named_anew_for_its_person_alone(
    operator: Operator, clinic: str
) -> None:
    for name in ("east", "west"):
        operator.does(
            *("calendar", "add", clinic, name, "--name", name, "--zone", "UTC", "--hours", HOURS),
            *("--service", "check-up", "--slot-minutes", 20),
        )
    operator.does("service", "set", clinic, "check-up", "--minutes-before", 5)
    operator.does("calendar", "set", clinic, "east", "--service", "whitening", "--service", "check-up")
    made = rows(operator, "service", clinic)
    assert made["check-up"]["who"] == ["east", "west"]
    assert (made["whitening"]["who"], made["whitening"]["minutes"]) == (["east"], 20)
    assert made["whitening"]["default_of"] == ["east"]
    operator.does("calendar", "set", clinic, "east", "--service", "check-up")
    assert set(rows(operator, "service", clinic)) == {"check-up"}  # nobody does the other any more


def test_what_retires_or_is_done_by_others_lists_what_stands(
    operator: Operator, two: str, client: FlaskClient
) -> None:
    operator.does(
        *("calendar", "add", two, "anna", "--name", "Anna", "--zone", "UTC", "--of", "anna"),
        *("--default-service", "check-up"),
    )
    booked = book(client, two, calendarId="anna", slotId=slot())
    said = operator.fails("service", "retire", two, "check-up")
    assert "check-up is the default service of the calendar anna" in said
    left = operator.reads("service", "set", two, "check-up", "--who", "ben")
    assert [(row["appointment"], row["why"]) for row in left["stands"]] == [
        (booked, ["does not do it any more"])
    ]
    service(operator, two, "cleaning", "--who", "anna")
    operator.does("calendar", "set", two, "anna", "--default-service", "cleaning")
    gone = operator.reads("service", "retire", two, "check-up")
    assert [(row["appointment"], row["why"]) for row in gone["stands"]] == [(booked, ["service retired"])]
    assert set(rows(operator, "service", two)) == {"cleaning"}
    operator.does("service", "retire", two, "check-up", "--undo")
    assert set(rows(operator, "service", two)) == {"check-up", "cleaning"}


def test_a_service_is_not_taken_back_without_the_room_that_it_needs(operator: Operator, two: str) -> None:
    add(operator, two, "room", "room")
    service(operator, two, "surgery", *("--who", "anna", "--who", "room"))
    operator.does("service", "retire", two, "surgery")
    operator.does("resource", "retire", two, "room")
    said = operator.fails("service", "retire", two, "surgery", "--undo")
    assert "surgery needs a room, and none is left (retired: room); take one back first" in said
    operator.does("resource", "retire", two, "room", "--undo")
    operator.does("service", "retire", two, "surgery", "--undo")


def test_one_that_is_longer_than_any_opening_is_told_of(operator: Operator, two: str) -> None:
    long = operator.run(
        "service", "add", two, "surgery", "--name", "Surgery", "--who", "anna", "--minutes", 480
    )
    assert (long.exit_code, long.stderr) == (0, "")
    operator.does("resource", "set", two, "anna", "--hours", "mon-fri 09:00-12:00 13:00-17:00")
    told = operator.run(
        "service", "add", two, "implant", "--name", "Implant", "--who", "anna", "--minutes", 300
    )
    assert "implant takes 300 minutes, and those who do it are open for at most 240 at a time" in told.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["service", "add", "ORG", "x", "--name", "X"], "a service needs somebody who can do it"),
        (
            ["service", "add", "ORG", "x", "--name", "X", "--who", "nobody"],
            "there is no nobody; add the person",
        ),
        (["service", "add", "ORG", "x", "--name", "X", "--who", "cal-1", "--minutes", "4"], "5<=x<=480"),
        (["service", "add", "ORG", "x y", "--name", "X", "--who", "cal-1"], "'x y' is no id"),
        (
            ["service", "add", "ORG", "check-up", "--name", "X", "--who", "cal-1"],
            "a service check-up already",
        ),
        (
            ["service", "add", "ORG", "x", "--name", "CHECK UP", "--who", "cal-1"],
            "callers say the same for x",
        ),
        (["service", "set", "ORG", "check-up"], "nothing was given"),
        (
            ["service", "set", "ORG", "nothing", "--minutes", "30"],
            "there is no service nothing; `flask service",
        ),
        (["service", "set", "ORG", "check-up", "--word", "x", "--no-words"], "exclude each other"),
        (["service", "retire", "ORG", "nothing"], "there is no service nothing"),
        (["calendar", "add", "ORG", "x", "--name", "X", "--zone", "UTC", "--anyone"], "'--default-service'"),
        (
            ["calendar", "add", "ORG", "x", "--name", "X", "--zone", "UTC", "--of", "cal-1", "--anyone"],
            "--of and --anyone exclude each other",
        ),
        (
            ["calendar", "add", "ORG", "x", "--name", "X", "--zone", "UTC", "--anyone", "--hours", HOURS],
            "with --of and --anyone the people and services are there already",
        ),
        (
            [
                "calendar",
                "add",
                "ORG",
                "x",
                "--name",
                "X",
                "--zone",
                "UTC",
                "--anyone",
                "--default-service",
                "nothing",
            ],
            "there is no service nothing",
        ),
        (["calendar", "set", "ORG", "cal-1", "--of", "nobody"], "there is no nobody"),
        (["calendar", "set", "ORG", "cal-1", "--of", "x", "--anyone"], "exclude each other"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(
    operator: Operator, words: list[str], said: str
) -> None:
    org = create_clinic(calendar={"service_names": ["check-up"]})
    before = [operator.reads(what, "list", org) for what in ("service", "calendar")]
    assert said in operator.fails(*(org if word == "ORG" else word for word in words))
    assert [operator.reads(what, "list", org) for what in ("service", "calendar")] == before


def test_one_calendars_hours_are_no_others(operator: Operator, two: str) -> None:
    operator.does(
        *("calendar", "add", two, "front", "--name", "Front", "--zone", "UTC", "--anyone"),
        *("--default-service", "check-up"),
    )
    said = operator.fails("calendar", "set", two, "front", "--hours", HOURS)
    assert "is of nobody in particular; people have hours of their own" in said
    assert "is of no one person" in operator.fails("calendar", "set", two, "front", "--slot-minutes", 45)
    assert "closes the whole clinic" in operator.fails("calendar", "close", two, "front", "2030-01-01")


def test_a_room_is_needed_whatever_zone_it_was_given(
    operator: Operator, two: str, client: FlaskClient
) -> None:
    operator.does(
        *("resource", "add", two, "room-1", "--kind", "room", "--name", "Room 1", "--zone", "Asia/Tokyo")
    )
    operator.does("service", "set", two, "check-up", "--who", "anna", "--who", "ben", "--who", "room-1")
    operator.does(
        *("calendar", "add", two, "front", "--name", "Front", "--zone", "UTC", "--anyone"),
        *("--default-service", "check-up"),
    )
    assert reserve(client, two, calendarId="front", slotId=slot())["success"]
    free = bare(client, "calendar/check", tenantId=two, date=slot()[:10])
    assert slot() not in [each["slotId"] for each in free["slots"]]
    assert not reserve(client, two, calendarId="front", slotId=slot())["success"]


def test_what_the_calendar_commands_do_can_be_read_by_a_program(
    operator: Operator, two: str, client: FlaskClient
) -> None:
    made = operator.reads(
        *("calendar", "add", two, "front", "--name", "Front", "--zone", "UTC", "--anyone"),
        *("--default-service", "check-up"),
    )
    assert (made["id"], made["zone"], made["stands"], made["notes"]) == ("front", "UTC", [], [])
    own = operator.reads(
        *("calendar", "add", two, "carla", "--name", "Carla", "--zone", "UTC", "--hours", HOURS),
        *("--service", "Filling"),
    )
    assert (own["resource"], own["services"]) == ("carla", ["Check-Up", "Filling"])
    assert operator.reads("calendar", "set", two, "front", "--name", "Desk")["name"] == "Desk"
    day = slot()[:10]
    hold = reserve(client, two, calendarId="carla", slotId=slot())["holdId"]
    bare(client, "booking/send-otp", holdId=hold)
    booked = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))["appointmentId"]
    closed = operator.reads("calendar", "close", two, "carla", day)
    assert (closed["closed"], [each["appointment"] for each in closed["stands"]]) == ([day], [booked])
    assert operator.reads("calendar", "open", two, "carla", day)["closed"] == []
    offered = operator.reads("calendar", "list", two, "--next")
    assert [(len(each["next"]), each["why_none"]) for each in offered] == [(3, None), (3, None)]
    operator.does("service", "set", two, "check-up", "--not-by-phone")
    _, front = operator.reads("calendar", "list", two, "--next")
    assert front["next"] == []
    assert "callers may not book Check-Up by phone" in front["why_none"]
