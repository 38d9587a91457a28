"""The desk books by hand, by the telephone's rules but for those that it may judge."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import Clock
from tests.factories import create_clinic
from tests.webapp.staff.browsers import employ
from tests.webapp.staff.desk import DAY, Desk, at, later, open_desk, slot_id
from tests.webapp.staff.desk import desk as desk  # the fixture  # noqa: PLC0414
from tests.webapp.staff.desk import elsewhere as elsewhere  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import nudged as nudged  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import shown
from tests.webapp.staff.rows import now

# --- booking ------------------------------------------------------------------------------------


def test_a_new_patient_is_booked_with_a_confirmation_and_the_one_who_answers_for_it(
    desk: Desk, nudged: list[Any]
) -> None:
    appointment = desk.booked("10:00")
    assert desk.row(
        appointment,
        "scheduled_at, ends_at, resource_id, service_id, patient_name, patient_phone, status, seat,"
        " overruled",
    ) == (at("10:00"), at("10:30"), "cal-1", "check-up", "Ann Desk", "+447700900456", "confirmed", 0, None)
    who = f"staff {desk.person.email}"
    assert desk.row(appointment, "booked_by, booker, hold_id") == ("desk", who, None)
    assert desk.messages(appointment) == [("confirmation", "queued", "+447700900456")]
    message = desk.row(appointment, "confirmation_message_id")
    assert [(str(due.org_id), due.message_id, due.kind) for due in nudged] == [
        (desk.org, message, "confirmation")
    ]
    # Its link works like that of a booking by telephone.
    [link] = desk.sql.execute(
        "SELECT expires_at FROM patient_links WHERE message_id = %s", [message]
    ).fetchall()
    assert link == (at("10:00"),)
    assert desk.audit("appointments", appointment)[0] == (who, "insert")
    page = desk.page(f"diary/appointments/{appointment}")
    assert "Booked. The patient gets a text." in page
    assert "by Jo at the desk" in page


def test_the_time_is_taken_for_callers_and_the_next_one_is_free(desk: Desk) -> None:
    desk.booked("10:00")
    assert desk.claim("10:00")["code"] == "slot_taken"
    assert desk.claim("10:30")["success"]


def test_whoever_is_free_is_taken_and_of_two_the_one_with_less_to_do(desk: Desk) -> None:
    assert desk.row(desk.booked("09:00", person=""), "resource_id") == "cal-1"
    assert desk.row(desk.booked("10:00", person=""), "resource_id") == "cal-2"
    assert desk.row(desk.booked("10:00", person=""), "resource_id") == "cal-1"
    refused = desk.book("10:00", person="")
    assert refused.status_code == 409
    assert "that time is taken" in refused.text


def test_the_form_lists_the_free_times_of_the_day_and_no_taken_one(desk: Desk) -> None:
    desk.booked("10:00")
    page = desk.page(f"diary/new?service=check-up&person=cal-1&day={DAY}")
    assert 'value="09:30"' in page
    assert 'value="10:00"' not in page
    assert 'value="16:30"' in page


def test_the_chosen_time_of_the_list_is_booked_or_the_written_one_if_that_is_chosen(desk: Desk) -> None:
    assert desk.row(desk.booked(other="", time="09:30"), "scheduled_at") == at("09:30")
    assert desk.row(desk.booked("14:10", time="11:30"), "scheduled_at") == at("11:30")
    assert desk.row(desk.booked("14:10", time="other"), "scheduled_at") == at("14:10")
    assert desk.row(desk.booked("", nearby=slot_id("16:00")), "scheduled_at") == at("16:00")


def test_a_form_that_is_sent_twice_books_once(desk: Desk) -> None:
    once = str(uuid.uuid4())
    booked = desk.booked("10:00", once=once)
    assert desk.booked("10:00", once=once) == booked != once
    assert desk.count("appointments") == 1
    assert len(desk.messages(booked)) == 1
    [shown_once] = re.findall(r'name="once" value="([^"]+)"', desk.page("diary/new"))
    assert uuid.UUID(shown_once) != uuid.UUID(once)


def test_a_page_that_one_goes_back_to_books_somebody_else(desk: Desk) -> None:
    """A browser that goes back shows the form as it was, with its old id; only the patient is another one."""
    once = str(uuid.uuid4())
    first = desk.booked("10:00", once=once)
    second = desk.booked("10:30", once=once, name="Bob Back", phone="07700 900111")
    assert first != second
    assert desk.row(second, "patient_name, scheduled_at") == ("Bob Back", at("10:30"))


def test_an_id_that_another_clinic_has_given_is_no_way_to_its_appointment(
    desk: Desk, elsewhere: Desk
) -> None:
    theirs = elsewhere.booked("10:00", name="Tom Theirs")
    booked = desk.booked("10:00", once=theirs)
    assert booked != theirs
    assert desk.row(booked, "patient_name") == "Ann Desk"
    assert elsewhere.row(theirs, "org_id, patient_name") == (uuid.UUID(elsewhere.org), "Tom Theirs")


def test_times_are_those_of_the_clinics_clock_also_for_a_person_elsewhere(desk: Desk) -> None:
    for table in ("calendars", "resources"):
        desk.sql.execute(
            f"UPDATE {table} SET time_zone = 'America/New_York' WHERE org_id = %s AND id = 'cal-2'".encode(),
            [desk.org],
        )
    page = desk.page(f"diary/new?service=check-up&person=cal-2&day={DAY}")
    assert 'value="15:00"' in page
    assert 'value="10:00"' not in page
    booked = desk.booked("", person="cal-2", time="15:00")
    assert desk.row(booked, "scheduled_at, resource_id") == (at("15:00"), "cal-2")


def test_a_day_with_nothing_free_offers_the_nearest(desk: Desk) -> None:
    desk.block("00:00", "23:59")
    page = shown(desk.person.get(f"diary/new?service=check-up&person=cal-1&day={DAY}"))
    assert "Nothing is free on that day. Free nearby:" in page


@pytest.mark.parametrize("sought", ["wilhel", "WILHELMINA QUARTER", "900987", "07700 900 987", "+44 7700"])
def test_a_patient_who_was_here_is_found_by_name_and_number(desk: Desk, sought: str) -> None:
    desk.booked("09:00", name="Wilhelmina Quarterstaff", phone="07700 900987")
    desk.booked("15:00", name="Wilhelmina Quarterstaff", phone="07700 900987")
    desk.booked("09:30", name="Somebody Else", phone="07911 123456")
    page = desk.seek(sought, "diary/new/patient")
    assert page.count(">Wilhelmina Quarterstaff</a>") == 1
    assert "Somebody Else" not in page
    assert "447700900987" not in "".join(re.findall(r'href="([^"]*)"', page))
    [link] = re.findall(r'class="person" href="([^"]*)"', page)
    form = desk.person.client.get(link.replace("&amp;", "&")).text
    assert 'value="Wilhelmina Quarterstaff"' in form
    assert 'value="+447700900987"' in form


def test_a_known_patient_is_booked_as_the_same_contact(desk: Desk) -> None:
    first, second = desk.booked("09:00", phone="07700900987"), desk.booked("09:30", phone="+44 7700 900987")
    assert desk.row(first, "contact_id") == desk.row(second, "contact_id")


@pytest.mark.parametrize("sought", ["%", "_", "!", "\x00", "nobody at all", "'; --", "0" * 5000, "٣٣٣"])
def test_a_search_that_finds_nobody_says_so(desk: Desk, sought: str) -> None:
    desk.booked("09:00")
    page = desk.seek(sought, "diary/new/patient")
    assert "Ann Desk" not in page
    assert "No patient of that name or number" in page or sought == "\x00"


def test_no_patient_of_another_clinic_is_found(desk: Desk, elsewhere: Desk) -> None:
    elsewhere.booked("09:00", name="Wilhelmina Quarterstaff")
    for sought in ("wilhelmina", "900456"):
        assert "Wilhelmina Quarterstaff" not in desk.seek(sought, "diary/new/patient")


# --- what is in the way -------------------------------------------------------------------------


def test_a_conflict_says_what_is_in_the_way_and_offers_the_nearest(desk: Desk) -> None:
    desk.booked("10:00", name="Tom Early")
    answer = desk.book("10:10", name="Ann Late")
    page = shown(answer)
    assert answer.status_code == 409
    assert "Not done: that time is taken." in page
    assert "cal-1, 10:00 am to 10:30 am: booked for Tom Early" in page
    assert "Free nearby:" in page
    assert "9:30 am" in page
    assert "10:30 am" in page
    # What was written is still there.
    assert 'value="Ann Late"' in answer.text
    assert 'value="07700 900456"' in answer.text
    assert desk.count("appointments") == 1


def test_a_hold_and_a_block_are_named_too_and_an_expired_hold_is_not(desk: Desk, clock: Clock) -> None:
    assert desk.claim("11:00", patientName="Cal Caller")["success"]
    desk.block("11:30", "12:00")
    page = shown(desk.book("11:00"))
    assert "held for Cal Caller" in page
    page = shown(desk.book("11:15"))
    assert "held for Cal Caller" in page
    assert "blocked, Staff meeting" in page
    clock.forward(3600)
    page = shown(desk.book("11:15"))
    assert "Cal Caller" not in page
    assert "blocked, Staff meeting" in page
    assert desk.booked("11:00")


def test_a_shared_room_is_named_once_with_all_that_it_takes(app: Any, sql: Any) -> None:
    desk = open_desk(app, sql, calendar={"room": "surgery"})
    appointment = desk.booked("10:00", name="Tom Early")
    assert desk.row(appointment, "resource_id, other_resources") == ("cal-1", ["surgery"])
    page = shown(desk.book("10:00", person="cal-2"))
    assert "surgery, 10:00 am to 10:30 am: booked for Tom Early" in page
    page = shown(desk.book("10:00", person="cal-1"))
    assert page.count("booked for Tom Early") == 1


def test_outside_the_hours_needs_the_tick(desk: Desk) -> None:
    answer = desk.book("07:00")
    assert answer.status_code == 409
    assert "Not done: nobody who can do it works then." in shown(answer)
    assert 'name="outside"' in answer.text
    assert desk.count("appointments") == 0
    assert desk.row(desk.booked("07:00", outside="1"), "scheduled_at") == at("07:00")
    assert desk.book("07:00", outside="1").status_code == 409  # what is booked is in the way all the same


def test_a_time_that_has_passed_is_none_but_a_patient_who_just_walked_in_is_booked(
    desk: Desk, nudged: list[Any]
) -> None:
    yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    answer = desk.book("10:00", day=yesterday)
    assert answer.status_code == 409
    assert "Not done: that time has passed." in shown(answer)
    begun = datetime.now(UTC) - timedelta(minutes=10)
    appointment = desk.booked(f"{begun:%H:%M}", day=f"{begun:%Y-%m-%d}", outside="1")
    assert desk.messages(appointment) == [("confirmation", "queued", "+447700900456")]


def test_who_stands_at_the_desk_is_shown_the_next_free_time_of_the_service(desk: Desk, clock: Clock) -> None:
    clock.stop()
    clock.forward((at("10:10") - now(desk.sql)).total_seconds())
    desk.person.sign_in()
    assert "time=next" in desk.page("diary")
    desk.booked("10:30", person="cal-1")
    desk.booked("10:30", person="cal-2")

    def checked(query: str) -> list[str]:
        return re.findall(r'value="([^"]*)" checked', desk.page(f"diary/new?{query}"))

    assert checked("time=next") == ["11:00"]
    assert checked(f"time=next&day={later(1)}") == []  # the times of a day were asked for
    clock.forward(8 * 3600)  # after the last time of the day
    desk.person.sign_in()
    assert checked("time=next") == ["09:00"]
    assert f'value="{later(1)}"' in desk.page("diary/new?time=next")


def test_the_desk_may_exceed_notice_horizon_and_the_limit_of_a_day(app: Any, sql: Any) -> None:
    desk = open_desk(app, sql, calendar={"min_notice_minutes": 60 * 24 * 30, "horizon_days": 40})
    assert desk.claim("10:00")["code"] == "slot_too_soon"
    assert desk.booked("10:00")
    assert desk.booked("10:00", day=later(200))
    answer = desk.book("10:00", day=later(4000))
    assert (answer.status_code, "that is more than ten years ahead" in answer.text) == (409, True)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "  "}, "Give the patient's name."),
        ({"name": "\x00"}, "Give the patient's name."),
        ({"phone": ""}, "That telephone number cannot be right"),
        ({"phone": "hello"}, "That telephone number cannot be right"),
        ({"phone": "12"}, "That telephone number cannot be right"),
        ({"other": ""}, "Choose a service and a time."),
        ({"other": "ten"}, "Choose a service and a time."),
        ({"other": "25:00"}, "Choose a service and a time."),
        ({"service": "no-such-service"}, "Choose a service and a time."),
        ({"person": "nobody"}, "Choose a service and a time."),
        ({"service": "\x00'", "person": "\x00"}, "Choose a service and a time."),
    ],
)
def test_what_is_missing_or_wrong_gets_a_sentence_and_books_nothing(
    desk: Desk, form: dict[str, str], said: str
) -> None:
    answer = desk.book("10:00", **form)
    assert answer.status_code == 400
    assert said in shown(answer).replace("&#39;", "'")
    assert desk.count("appointments") == desk.count("sms_messages") == 0


def test_rubbish_is_never_an_error_of_ours(desk: Desk) -> None:
    rubbish = (
        "\x00",
        "x" * 5000,
        "é\u202e🦷",
        "' OR 1=1 --",
        "<script>",
        "-1",
        "9" * 400,
        "2026-02-30",
        "%00",
    )
    appointment = desk.booked("09:00")
    for path in ("diary/new", f"diary/appointments/{appointment}/move"):
        for field in (
            "service",
            "person",
            "day",
            "other",
            "time",
            "name",
            "phone",
            "overrule",
            "outside",
            "sought",
            "skip",
        ):
            for value in rubbish:
                answer = desk.person.client.get(f"/dashboard/{path}", query_string={field: value})
                assert answer.status_code == 200, (path, field, value)
                assert "<script>x" not in answer.text
    for field in ("service", "person", "day", "other", "time", "name", "phone"):
        for value in rubbish:
            answer = desk.book("09:00", **{field: value})
            assert answer.status_code in {303, 400, 409}, (field, value, answer.status_code)
    assert desk.book(name="x" * 1_000_000).status_code == 413
    for day in ("0001-01-01", "1999-12-31", "2100-01-01", "9999-12-31"):
        assert desk.person.get(f"diary/new?day={day}").status_code == 200
        assert desk.book("09:00", day=day).status_code in {400, 409}


def test_a_clinic_without_a_calendar_is_told_so(app: Any, sql: Any) -> None:
    person = employ(app, create_clinic(()))
    person.sign_in()
    assert "Nobody does that." in person.get("diary/new").text
    assert Desk(app, sql, person).book().status_code == 400
    assert "Nobody to book yet" in person.get("diary").text


# --- whose it is --------------------------------------------------------------------------------


def test_an_appointment_of_another_clinic_is_not_there(desk: Desk, elsewhere: Desk) -> None:
    theirs = elsewhere.booked("10:00")
    for nobodys in (theirs, "3f333df6-90a4-4fda-8dd3-9485d27cee36"):
        path = f"diary/appointments/{nobodys}"
        assert desk.person.get(path).status_code == 404
        assert desk.person.get(f"{path}/move").status_code == 404
        assert desk.person.post(f"{path}/move", day=DAY, other="11:00").status_code == 404
        assert desk.person.post(f"{path}/cancel").status_code == 404
        assert desk.person.post(f"{path}/note", status="arrived").status_code == 404
    assert desk.person.get("diary/appointments/no-id").status_code == 404
    assert elsewhere.row(theirs, "status, scheduled_at") == ("confirmed", at("10:00"))


def test_nobody_of_another_clinic_is_booked_with(desk: Desk, elsewhere: Desk) -> None:
    elsewhere.sql.execute("UPDATE resources SET name = 'Theirs' WHERE org_id = %s", [elsewhere.org])
    assert desk.row(desk.booked("10:00", org_id=elsewhere.org), "org_id::text") == desk.org
    assert elsewhere.count("appointments") == 0
