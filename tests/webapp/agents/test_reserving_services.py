"""A service is held with all that it takes: the person, the room and the buffers."""

from __future__ import annotations

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.factories import bare, code_of, create_clinic, phone_number, slot
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.agents.practice import Practice, create_practice, times
from tests.webapp.agents.refusals import refused


@pytest.fixture
def practice(client: FlaskClient, sql: psycopg.Connection) -> Practice:
    return Practice(client, sql, create_practice())


@pytest.fixture
def call(practice: Practice) -> PhoneCall:
    return PhoneCall(practice.client, practice.org, phone_number())


def held(practice: Practice) -> tuple[str, str, int]:
    """Of the one live hold: its service, its person and its minutes."""
    [row] = practice.sql.execute(
        "SELECT service_id, resource_id, extract(epoch FROM ends_at - starts_at)::int / 60"
        " FROM appointment_holds WHERE org_id = %s AND status = 'held'",
        [practice.org],
    ).fetchall()
    service, person, length = row
    return service, person, length


# --- by the whole slotId ------------------------------------------------------------------------


def test_a_service_is_held_at_its_length_with_the_person_who_was_asked_for(practice: Practice) -> None:
    [offered, *_] = practice.check(service="cleaning", person="Cara")["slots"]
    answer = practice.reserve(offered["slotId"])
    assert " with Dr. Cara Ruíz is held for 10 minutes, but not booked yet" in answer["say"]
    assert answer["person"] == "Dr. Cara Ruíz"
    assert answer["slotId"] == offered["slotId"] == f"{slot(hour=9)}/cleaning/cara"
    assert practice.taken(answer["holdId"]) == ("cleaning", "cara", {"room-1"}, 45, 60)


def test_what_is_held_is_what_is_booked(practice: Practice) -> None:
    hold = practice.reserve(f"{slot()}/cleaning/cara")["holdId"]
    bare(practice.client, "booking/send-otp", holdId=hold)
    booked = bare(practice.client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))
    row = practice.sql.execute(
        "SELECT service_id, service_type, resource_id, other_resources, minutes_after FROM appointments"
        " WHERE id = %s",
        [booked["appointmentId"]],
    ).fetchone()
    assert row == ("cleaning", "Cleaning", "cara", ["room-1"], 15)


def test_whoever_is_free_is_named_until_nobody_is(practice: Practice) -> None:
    practice.reserve(f"{slot(hour=15)}/whitening/ben")  # so Cara has the fewest that day
    answers = [practice.reserve(f"{slot()}/cleaning") for _ in range(3)]
    assert [answer.get("person") for answer in answers] == ["Dr. Cara Ruíz", "Ben Ode", None]
    assert " with Ben Ode is held" in answers[1]["say"]
    refused(answers[2], "slot_taken")
    assert times(answers[2], "nearest") == ["09:00", "11:00", "11:15"]


def test_the_same_time_asked_for_again_is_the_same_hold(practice: Practice, call: PhoneCall) -> None:
    first = call.say("reserve_atomic", slotId=f"{slot()}/cleaning/cara", patientName="John")
    again = call.say("reserve_atomic", slotId=f"{slot()}/cleaning", patientName="Joan")
    assert again == first
    assert held(practice) == ("cleaning", "cara", 45)


def test_another_person_or_service_moves_the_calls_hold(practice: Practice, call: PhoneCall) -> None:
    for slot_id, expected in (
        (f"{slot()}/check-up/anna", ("check-up", "anna", 30)),
        (f"{slot()}/check-up/cara", ("check-up", "cara", 30)),
        (f"{slot()}/cleaning/cara", ("cleaning", "cara", 45)),
        (f"{slot()}/cleaning/ben", ("cleaning", "ben", 45)),
    ):
        assert " is held " in call.say("reserve_atomic", slotId=slot_id, patientName="John")
        assert held(practice) == expected


def test_words_behind_the_time_are_understood_as_well(practice: Practice) -> None:
    answer = practice.reserve(f"{slot()}/Scale and polish/Dr Ruiz")
    assert practice.taken(answer["holdId"])[:2] == ("cleaning", "cara")
    answer = practice.reserve(f"{slot()}/haircut")
    assert refused(answer, "unknown_service").startswith("NOT BOOKED: I cannot find that service.")
    assert answer["services"]
    answer = practice.reserve(f"{slot()}/cleaning/zoe")
    assert refused(answer, "unknown_person").startswith("NOT BOOKED: Nobody of that name does that.")
    assert answer["people"] == ["Ben Ode", "Dr. Cara Ruíz"]


# --- the rules, at the claim --------------------------------------------------------------------


def test_no_more_of_a_service_is_held_than_the_clinic_does_on_a_day(practice: Practice) -> None:
    assert practice.reserve(f"{slot()}/whitening")["success"]
    answer = practice.reserve(f"{slot(hour=14)}/whitening")
    assert refused(answer, "day_is_full").startswith(
        "NOT BOOKED: the clinic does no more of these on that day. The nearest free times are "
    )
    assert slot()[:10] not in {each["slotId"][:10] for each in answer["nearest"]}
    assert times(practice.check(service="whitening"), "nextOpenings") == ["09:00"] * 3
    assert practice.reserve(f"{slot(days=15)}/whitening")["success"]
    assert practice.reserve(f"{slot(hour=14)}/cleaning/ben")["success"]  # he is free, for something else


def test_buffers_are_kept_free(practice: Practice) -> None:
    """Ben cleans from 10:00 to 10:45, and his quarter of an hour after it is his."""
    assert practice.reserve(f"{slot()}/cleaning/ben")["success"]
    offered = times(practice.check(service="cleaning", person="ben"))
    assert [time for time in offered if "09:00" <= time <= "11:00"] == ["09:00", "11:00"]
    answer = practice.reserve(f"{slot(minute=45)}/cleaning/ben")
    refused(answer, "slot_taken")
    # Nor may its own buffer reach into what is taken: 9:15 to 10:00 would need 10:00 to 10:15 besides.
    refused(practice.reserve(f"{slot(hour=9, minute=15)}/cleaning/ben"), "slot_taken")
    assert practice.reserve(f"{slot(hour=11)}/cleaning/ben")["success"]
    assert practice.reserve(f"{slot(hour=9)}/cleaning/ben")["success"]


def test_whoever_sits_in_a_room_takes_that_room(practice: Practice) -> None:
    anna = practice.reserve(f"{slot()}/check-up/anna")
    assert practice.taken(anna["holdId"]) == ("check-up", "anna", {"room-1"}, 30, 30)
    cara = practice.reserve(f"{slot()}/check-up/cara")
    assert practice.taken(cara["holdId"]) == ("check-up", "cara", {"room-2"}, 30, 30)

    # At eleven Cara takes the first room: Anna has no other, though the second is free.
    cara = practice.reserve(f"{slot(hour=11)}/check-up/cara")
    assert practice.taken(cara["holdId"])[2] == {"room-1"}
    assert "11:00" not in times(practice.check(person="anna"))
    refused(practice.reserve(f"{slot(hour=11)}/check-up/anna"), "slot_taken")


def test_two_rooms_are_two_rooms(practice: Practice) -> None:
    for slot_id in (f"{slot()}/cleaning/ben", f"{slot()}/check-up/cara"):
        assert practice.reserve(slot_id)["success"]
    assert "10:00" not in times(practice.check(person="anna"))
    refused(practice.reserve(slot()), "slot_taken")
    assert practice.reserve(f"{slot()}/check-up/anna")["code"] == "slot_taken"


# --- by what a model passed on of it ------------------------------------------------------------


def test_a_time_alone_means_what_was_offered_in_the_call(practice: Practice, call: PhoneCall) -> None:
    line = call.say("check_availability", date=slot()[:10], service="cleaning", person="Cara")
    assert f"= {slot()}/cleaning/cara," in line
    answer = call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert " with Dr. Cara Ruíz is held " in answer
    assert held(practice) == ("cleaning", "cara", 45)


def test_a_person_is_kept_where_there_is_but_one_service(practice: Practice, call: PhoneCall) -> None:
    practice.sql.execute(
        "UPDATE services SET by_phone = false WHERE org_id = %s AND id <> 'check-up'", [practice.org]
    )
    call.say("check_availability", date=slot()[:10], person="Cara")
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert held(practice) == ("check-up", "cara", 30)


def test_a_service_is_kept_where_there_is_but_one_person(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    practice = Practice(client, sql, create_clinic(calendar={"service_names": ["check-up", "cleaning"]}))
    call = PhoneCall(client, practice.org, phone_number())
    call.say("check_availability", date=slot()[:10], service="cleaning")
    answer = call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert " with " not in answer  # the calendar is that person's
    assert held(practice) == ("cleaning", "cal-1", 30)


def test_a_service_is_kept_where_the_calendar_means_none_of_its_own(
    practice: Practice, call: PhoneCall
) -> None:
    practice.sql.execute("UPDATE calendars SET service_id = NULL WHERE org_id = %s", [practice.org])
    call.say("check_availability", date=slot()[:10], service="check-up")
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert held(practice)[0] == "check-up"


def test_the_latest_offer_of_that_time_counts(practice: Practice, call: PhoneCall) -> None:
    day, next_day = slot()[:10], slot(days=15)[:10]
    call.say("check_availability", date=day, service="cleaning")
    call.say("check_availability", date=next_day)  # of another day
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert held(practice)[0] == "cleaning"
    call.say("check_availability", date=day)
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert held(practice)[0] == "check-up"
    call.say("reserve_atomic", slotId=slot(days=15), patientName="John")
    assert held(practice)[0] == "check-up"


def test_times_that_were_offered_instead_count_too(practice: Practice, call: PhoneCall) -> None:
    practice.reserve(f"{slot(hour=9)}/cleaning/ben")
    refusal = call.say("reserve_atomic", slotId=f"{slot(hour=9)}/cleaning/ben", patientName="John")
    assert refusal.startswith("NOT BOOKED: ")
    assert f"= {slot()}/cleaning/ben" in refusal
    practice.sql.execute("UPDATE appointment_holds SET status = 'released' WHERE org_id = %s", [practice.org])
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert held(practice) == ("cleaning", "ben", 45)


def test_what_another_call_or_calendar_was_offered_counts_for_nothing(
    practice: Practice, call: PhoneCall
) -> None:
    other = PhoneCall(practice.client, practice.org, phone_number())
    other.say("check_availability", date=slot()[:10], service="cleaning")
    practice.sql.execute(
        "INSERT INTO calendars (org_id, id, name, service_id, time_zone)"
        " VALUES (%s, 'cal-2', 'Other', 'check-up', 'UTC')",
        [practice.org],
    )
    call.say("check_availability", date=slot()[:10], service="cleaning", calendarId="cal-2")
    call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert held(practice) == ("check-up", "anna", 30)


def test_what_was_offered_and_is_gone_since_is_not_held_as_something_else(
    practice: Practice, call: PhoneCall
) -> None:
    call.say("check_availability", date=slot()[:10], service="whitening")
    practice.sql.execute(
        "UPDATE resources SET retired_at = app_clock() WHERE org_id = %s AND id = 'ben'", [practice.org]
    )
    answer = call.say("reserve_atomic", slotId=slot(), patientName="John")
    assert answer.startswith("NOT BOOKED: Nobody at the clinic does that at the moment.")
