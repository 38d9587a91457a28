"""What a caller asks for, in their own words: a service, a person, a part of the day."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import Door, system_transaction, transaction
from models.booking import hours, services, set_up
from models.booking.resources import ResourceKind
from tests.factories import EVERY_DAY, bare, create_clinic, slot
from tests.webapp.agents.practice import BY_PHONE, Practice, create_practice, times
from tests.webapp.agents.refusals import refused


@pytest.fixture
def practice(client: FlaskClient, sql: psycopg.Connection) -> Practice:
    return Practice(client, sql, create_practice())


# --- a service ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "service", "behind"),
    [
        (None, None, ""),
        ("check-up", "Check-up", ""),
        ("a checkup", "Check-up", ""),
        ("CHECKUP", "Check-up", ""),
        ("an examination, please", "Check-up", ""),
        ("cleaning", "Cleaning", "/cleaning"),
        ("a scale and polish", "Cleaning", "/cleaning"),
        ("the air flow thing", "Cleaning", "/cleaning"),
        ("a deep cleaning", "Deep cleaning", "/sedation"),
        ("sedation", "Deep cleaning", "/sedation"),
        ("whitening of my teeth", "Whitening", "/whitening"),
        ("not specified", None, ""),
    ],
)
def test_a_service_is_found_in_the_callers_words(
    practice: Practice, said: str | None, service: str | None, behind: str
) -> None:
    answer = practice.check(**({"service": said} if said else {}))
    assert answer["success"], answer
    assert answer.get("service") == (service or ("Check-up" if said else None))
    assert answer["slots"][0]["slotId"] == slot(hour=9) + behind
    assert answer["services"] == BY_PHONE


def test_each_service_is_offered_by_its_own_rules(practice: Practice) -> None:
    """The last start leaves room for all of it: 30, 45 and 90 minutes, and a step of a quarter of an hour."""
    assert times(practice.check())[-2:] == ["16:00", "16:30"]
    assert times(practice.check(service="cleaning"))[-2:] == ["16:00", "16:15"]
    assert times(practice.check(service="deep cleaning"))[-2:] == ["15:00", "15:30"]


def test_an_unknown_service_is_answered_with_those_there_are(practice: Practice) -> None:
    answer = practice.check(service="a haircut")
    say = refused(answer, "unknown_service")
    assert say == ("I cannot find that service. I can offer Check-up, Cleaning, Whitening or Deep cleaning.")
    assert answer["services"] == BY_PHONE
    assert "slots" not in answer


def test_no_more_services_are_named_than_a_caller_can_keep_in_mind(practice: Practice) -> None:
    with system_transaction(Door.OPERATOR) as session:
        for name in ("Braces", "Crowns", "Fillings"):
            set_up.add_service(session, org_id=uuid.UUID(practice.org), name=name, resource_ids=["cara"])
    answer = practice.check(service="a haircut")
    assert refused(answer, "unknown_service").endswith("Deep cleaning, Braces, Crowns or something else.")
    assert answer["services"] == [*BY_PHONE, "Braces", "Crowns", "Fillings"]


def test_a_word_that_could_mean_several_services_is_asked_back(practice: Practice) -> None:
    practice.sql.execute(
        "UPDATE services SET name = 'Quick cleaning' WHERE org_id = %s AND id = 'cleaning'", [practice.org]
    )
    practice.sql.execute(
        "UPDATE services SET words = '[\"cleaning by the dentist\"]' WHERE org_id = %s AND id = 'check-up'",
        [practice.org],
    )
    answer = practice.check(service="cleaning please")  # two names have the word, none is the word alone
    assert refused(answer, "unknown_service")
    answer = practice.check(service="cleaning")
    assert "Is it Check-up, Quick cleaning or Deep cleaning?" in refused(answer, "unknown_service")
    assert answer["services"] == ["Check-up", "Quick cleaning", "Deep cleaning"]


@pytest.mark.parametrize("name", ["Check-up", services.UNNAMED])
def test_of_two_of_one_name_the_calendars_own_is_meant_else_the_first(practice: Practice, name: str) -> None:
    practice.sql.execute(
        "UPDATE services SET name = %s, words = '{}' WHERE org_id = %s AND id IN ('check-up', 'sedation')",
        [name, practice.org],
    )
    assert times(practice.check(service=name))[-1] == "16:30"
    practice.sql.execute("UPDATE calendars SET service_id = 'cleaning' WHERE org_id = %s", [practice.org])
    assert times(practice.check(service=name))[-1] == "16:30"
    practice.sql.execute("UPDATE calendars SET service_id = 'sedation' WHERE org_id = %s", [practice.org])
    assert times(practice.check(service=name))[-1] == "15:30"


def test_a_service_of_the_desk_alone_is_not_offered_by_phone(practice: Practice) -> None:
    answer = practice.check(service="an implant consultation")
    say = refused(answer, "not_by_phone")
    assert say.startswith("That is booked at the clinic's desk only. By phone I can offer Check-up, ")
    assert answer["services"] == BY_PHONE
    answer = practice.reserve(f"{slot()}/implants")
    assert refused(answer, "not_by_phone").startswith("NOT BOOKED: ")
    off_its_grid = practice.reserve(f"{slot(minute=10)}/implants")
    refused(off_its_grid, "not_by_phone")
    assert "nearest" not in off_its_grid  # nor is another time of it


def test_where_the_calendar_means_no_service_of_its_own_it_is_asked_for(practice: Practice) -> None:
    practice.sql.execute("UPDATE calendars SET service_id = NULL WHERE org_id = %s", [practice.org])
    answer = practice.check()
    assert refused(answer, "unknown_service").startswith("I need to know what the appointment is for.")
    assert answer["services"] == BY_PHONE
    assert refused(practice.reserve(slot()), "unknown_service").startswith("NOT BOOKED: I need to know")
    assert practice.check(service="cleaning")["success"]


# --- nobody does it any more --------------------------------------------------------------------


def test_a_service_that_nobody_does_any_more_is_not_offered(practice: Practice) -> None:
    offered = practice.check(service="whitening")["slots"][0]["slotId"]
    practice.sql.execute(
        "UPDATE resources SET retired_at = app_clock() WHERE org_id = %s AND id = 'ben'", [practice.org]
    )
    say = "Nobody at the clinic does that at the moment. I can offer Check-up, Cleaning or Deep cleaning."
    assert refused(practice.check(service="whitening"), "nobody_does_it") == say
    assert refused(practice.reserve(offered), "nobody_does_it") == f"NOT BOOKED: {say}"
    assert practice.check(service="cleaning")["success"]  # Cara still does


def test_a_service_that_is_offered_no_more_is_unknown(practice: Practice) -> None:
    offered = practice.check(service="whitening")["slots"][0]["slotId"]
    practice.sql.execute(
        "UPDATE services SET retired_at = app_clock() WHERE org_id = %s AND id = 'whitening'", [practice.org]
    )
    answer = practice.check(service="whitening")
    refused(answer, "unknown_service")
    assert answer["services"] == ["Check-up", "Cleaning", "Deep cleaning"]
    assert refused(practice.reserve(offered), "unknown_service").startswith("NOT BOOKED: ")


# --- a person -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "person", "name"),
    [
        ("Anna", "anna", "Anna Meyer"),
        ("anna meyer", "anna", "Anna Meyer"),
        ("Mrs Meyer", "anna", "Anna Meyer"),
        ("Doctor Ruiz", "cara", "Dr. Cara Ruíz"),
        ("cara", "cara", "Dr. Cara Ruíz"),
    ],
)
def test_a_person_is_found_by_a_part_of_the_name(
    practice: Practice, said: str, person: str, name: str
) -> None:
    answer = practice.check(person=said)
    assert answer["person"] == name
    assert f" with {name}: " in answer["say"]
    assert answer["slots"][0]["slotId"] == f"{slot(hour=9)}/check-up/{person}"


@pytest.mark.parametrize("said", ["anyone", "whoever is free", "no preference", "none", "N/A"])
def test_anybody_is_nobody_in_particular(practice: Practice, said: str) -> None:
    answer = practice.check(person=said)
    assert "person" not in answer
    assert answer["slots"][0]["slotId"] == slot(hour=9)


@pytest.mark.parametrize("said", ["Zoe", "Ben"])
def test_a_person_who_does_not_do_it_is_answered_with_those_who_do(practice: Practice, said: str) -> None:
    answer = practice.check(person=said)
    say = refused(answer, "unknown_person")
    assert say == "Nobody of that name does that. It can be with Anna Meyer or Dr. Cara Ruíz."
    assert answer["people"] == ["Anna Meyer", "Dr. Cara Ruíz"]


def test_who_is_not_in_on_that_day_is_said_by_name(practice: Practice) -> None:
    closed: dict[str, Any] = {day: [] for day in EVERY_DAY}
    with transaction(uuid.UUID(practice.org)) as session:
        hours.replace(session, uuid.UUID(practice.org), "anna", closed | {"sun": [["09:00", "17:00"]]})
    day = next(each for each in range(1, 8) if date.fromisoformat(slot(days=each)[:10]).weekday() < 6)
    answer = practice.check(slot(days=day)[:10], person="anna")
    assert answer["code"] == "day_closed"
    assert "is a day on which Anna Meyer is not in. The next openings are" in answer["say"]
    held = practice.reserve(f"{slot(days=day)}/check-up/anna")
    assert (held["code"], "Anna Meyer is not in on that day." in held["say"]) == ("day_closed", True), held


def test_two_people_of_one_name_are_asked_back(practice: Practice) -> None:
    practice.sql.execute(
        "UPDATE resources SET name = 'Anna Ruíz' WHERE org_id = %s AND id = 'cara'", [practice.org]
    )
    answer = practice.check(person="Anna")
    say = refused(answer, "unknown_person")
    assert say == "There is more than one of that name. Is it Anna Meyer or Anna Ruíz?"
    assert practice.check(person="Anna Meyer")["person"] == "Anna Meyer"


def test_a_room_is_no_person_to_ask_for(practice: Practice) -> None:
    org_id = uuid.UUID(practice.org)
    with system_transaction(Door.OPERATOR) as session:
        hours.replace(session, org_id, "room-2", EVERY_DAY)
        set_up.add_service(session, org_id=org_id, name="Photographs", resource_ids=["room-2"])
    answer = practice.check(service="photographs", person="room-2")
    assert refused(answer, "unknown_person") == "Nobody in particular can be chosen for that."
    held = practice.reserve(f"{slot()}/photographs")
    assert held["success"]
    assert "person" not in held
    assert "room" not in held["say"]


def test_the_model_may_name_people_where_callers_choose_one(practice: Practice) -> None:
    for org, people in (
        (practice.org, ["Anna Meyer", "Ben Ode", "Dr. Cara Ruíz"]),
        (create_clinic(("cal-1", "cal-2")), []),
    ):
        with transaction(uuid.UUID(org)) as session:
            assert services.people_to_ask_for(session, uuid.UUID(org)) == people


# --- a part of the day --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ("morning", "09:00", "11:30"),
        ("In the Morning", "09:00", "11:30"),
        ("afternoon", "12:00", "16:30"),
        ("morning or afternoon", "09:00", "16:30"),
        ("any", "09:00", "16:30"),
    ],
)
def test_only_a_part_of_the_day_is_offered(practice: Practice, said: str, first: str, last: str) -> None:
    offered = times(practice.check(partOfDay=said))
    assert (offered[0], offered[-1]) == (first, last)


def test_where_that_part_of_the_day_has_nothing_the_rest_is_offered(practice: Practice) -> None:
    answer = practice.check(partOfDay="evening")
    assert ": Nothing is free in the evening of that day. 16 times are free, " in answer["say"]
    assert len(answer["slots"]) == 16


def test_the_next_openings_are_in_that_part_of_the_day(practice: Practice) -> None:
    practice.sql.execute(
        "INSERT INTO hours_exceptions (org_id, day, is_open) VALUES (%s, %s, false)",
        [practice.org, slot()[:10]],
    )
    answer = practice.check(partOfDay="afternoon")
    refused(answer, "day_closed")
    assert times(answer, "nextOpenings") == ["12:00"] * 3
    assert times(practice.check(partOfDay="evening"), "nextOpenings") == ["09:00"] * 3  # none has any


# --- a clinic as there were before there were services ------------------------------------------


@pytest.mark.parametrize("names", [[], ["Physiotherapy"], ["check-up", "cleaning", "implants"]])
def test_where_the_service_makes_no_difference_any_word_will_do(
    client: FlaskClient, names: list[str]
) -> None:
    org = create_clinic(("cal-1", "cal-2"), {"service_names": names})
    asked: dict[str, Any] = {"tenantId": org, "date": slot()[:10]}
    usual, other = (
        bare(client, "calendar/check", **asked),
        bare(client, "calendar/check", service="?", **asked),
    )
    assert usual["success"]
    assert "service" not in usual
    for said in ("my tooth hurts", "appointment"):
        other = bare(client, "calendar/check", service=said, **asked)
        assert (other["say"], other["slots"]) == (usual["say"], usual["slots"])
        assert other.get("service") == (names[0] if names else None)


def test_people_of_one_calendar_each_have_their_own_service_of_that_name(client: FlaskClient) -> None:
    org = create_clinic(("cal-1",), {"service_names": ["cleaning", "check-up"]})
    with system_transaction(Door.OPERATOR) as session:
        set_up.add_calendar(
            session,
            org_id=uuid.UUID(org),
            calendar_id="cal-2",
            name="cal-2",
            time_zone="UTC",
            opening=EVERY_DAY,
            service_names=["check-up", "cleaning"],
            minutes=60,
            step_minutes=60,
        )
    for calendar, how_many in (("cal-1", 16), ("cal-2", 8)):
        answer = bare(
            client, "calendar/check", tenantId=org, date=slot()[:10], calendarId=calendar, service="cleaning"
        )
        assert answer["service"] == "cleaning"
        assert len(answer["slots"]) == how_many


def test_ids_of_any_letters_come_back_whole(practice: Practice) -> None:
    org_id = uuid.UUID(practice.org)
    with system_transaction(Door.OPERATOR) as session:
        set_up.add_resource(
            session,
            org_id=org_id,
            resource_id="Dr. Ö/2; [x] = 50%",
            kind=ResourceKind.PERSON,
            name="Olga Öz",
            time_zone="UTC",
            opening=EVERY_DAY,
        )
        set_up.add_service(
            session,
            org_id=org_id,
            service_id="a/b, c",
            name="Massage",
            resource_ids=["Dr. Ö/2; [x] = 50%"],
        )
    offered = practice.check(service="massage", person="olga")["slots"][0]["slotId"]
    assert set(offered) <= set("0123456789ABCDEFTZabcdeorxD-:/%.")
    held = practice.reserve(offered)
    assert (held["slotId"], held["person"]) == (offered, "Olga Öz")
