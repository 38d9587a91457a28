"""A patient is found, shown, exported and erased on the staff's pages."""

from __future__ import annotations

import base64
import re
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from models.base.erased import ERASED
from models.clinics.staff import StaffRole
from models.notices import texts
from tests.breaking import Breaks, Line
from tests.linked import Linked
from tests.surroundings import environment
from tests.webapp.staff.desk import DAY, Desk, at, later, slot_id
from tests.webapp.staff.desk import desk as desk  # the fixture  # noqa: PLC0414
from tests.webapp.staff.desk import elsewhere as elsewhere  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import nudged as nudged  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import shown
from tests.webapp.staff.rows import add_booking, now
from tests.webapp.staff.test_figures import follow


def test_a_patient_is_found_by_name_number_and_reference(desk: Desk, elsewhere: Desk) -> None:
    appointment = desk.booked("10:00", name="Wilhelmina Quarterstaff", phone="07700 900987")
    elsewhere.booked("10:00", name="Wilhelmina Theirs", phone="07700 900987")
    desk.booked("11:00", name="Somebody Else", phone="07911 123456")
    contact = desk.row(appointment, "contact_id")
    for sought in ("wilhelmina", "900987", "07700 900 987", "0044 7700 900987", "+447700900987", "%ilhel"):
        page = desk.seek(sought)
        found = sought != "%ilhel"
        assert (f"/dashboard/patients/{contact}" in page) == found, sought
        assert "Somebody Else" not in page
        assert "Theirs" not in page
    said = texts.reference(uuid.UUID(appointment))
    assert f"/dashboard/patients/{contact}" in desk.seek(said.lower())
    assert "Somebody Else" not in desk.seek(said)
    assert "No patient of that name" in desk.seek("nobody at all")
    assert "No patient" not in desk.seek("  ")


def test_the_page_of_a_patient_has_appointments_messages_and_calls(desk: Desk, client: FlaskClient) -> None:
    linked = Linked(client, desk.sql, desk.org, start=slot_id("15:00"), patientName="Tom Phone")
    contact = linked.row("contact_id")
    page = desk.person.get(f"patients/{contact}")
    assert page.status_code == 200
    text = shown(page)
    assert "Tom Phone" in text
    assert "3:00 pm" in text
    assert "text waiting" in text
    assert f"/dashboard/diary/appointments/{linked.appointment}" in page.text
    assert "Erase permanently" not in page.text  # only owners may


def test_all_that_is_held_is_handed_out_as_a_file(desk: Desk) -> None:
    contact = desk.row(desk.booked("10:00"), "contact_id")
    answer = desk.person.get(f"patients/{contact}.json")
    assert answer.status_code == 200
    assert "attachment" in answer.headers["Content-Disposition"]
    about: dict[str, Any] = answer.get_json()
    assert (about["clinic"], about["phone"]) == ("Test Clinic", "+447700900456")
    assert [each["patient_name"] for each in about["appointments"]] == ["Ann Desk"]


def test_only_an_owner_erases_and_not_one_who_is_expected(desk: Desk) -> None:
    appointment = desk.booked("10:00")
    contact = desk.row(appointment, "contact_id")
    path = f"patients/{contact}"
    assert desk.person.post(f"{path}/erase", cancel="1").status_code == 403
    owner = desk.colleague(StaffRole.OWNER)
    assert "Erase permanently" in owner.page(path)
    assert owner.person.post(f"{path}/erase").location == f"/dashboard/{path}"
    assert "Nothing was erased: the patient is expected" in owner.page(path)
    assert desk.row(appointment, "patient_name, status") == ("Ann Desk", "confirmed")
    assert owner.person.post(f"{path}/erase", cancel="1").location == "/dashboard/patients"
    assert "Erased: name, number and words are gone everywhere." in owner.page("patients")
    assert desk.row(appointment, "patient_name, status") == (ERASED, "cancelled")
    assert desk.claim("10:00")["success"]
    for page in (path, f"{path}.json"):
        assert owner.person.get(page).status_code == 404
    assert owner.person.post(f"{path}/erase").status_code == 404
    assert "Ann Desk" not in desk.seek("ann") + desk.seek("900456")


@pytest.mark.parametrize("how", [Breaks.BEFORE, Breaks.AFTER])
def test_an_erasure_whose_answer_is_lost_is_said_to_be_done(
    desk: Desk, database_url: str, how: Breaks
) -> None:
    contact = desk.row(desk.booked("10:00"), "contact_id")
    owner = desk.colleague(StaffRole.OWNER)
    with Line(database_url) as line, environment(DATABASE_URL=line.url):
        line.break_commit_of("UPDATE contacts", how)
        answer = owner.person.post(f"patients/{contact}/erase", cancel="1")
        assert line.has_broken()
        assert (answer.status_code, answer.location) == (303, "/dashboard/patients")
        assert "Erased: name" in owner.page("patients")


def test_a_patient_of_another_clinic_is_not_there(desk: Desk, elsewhere: Desk) -> None:
    owner = desk.colleague(StaffRole.OWNER)
    theirs = elsewhere.row(elsewhere.booked("10:00"), "contact_id")
    for nobodys in (theirs, uuid.uuid4()):
        assert owner.person.get(f"patients/{nobodys}").status_code == 404
        assert owner.person.get(f"patients/{nobodys}.json").status_code == 404
        assert owner.person.post(f"patients/{nobodys}/erase", cancel="1").status_code == 404
    assert owner.person.get("patients/nobody").status_code == 404


@pytest.mark.parametrize(
    "sought", ["\x00", "%", "_", "x" * 5000, "' OR 1=1", "é\u202e🦷", "\u017f" * 6, "AAAAAA", "٣٣٣"]
)
def test_rubbish_finds_nobody(desk: Desk, sought: str) -> None:
    desk.booked("10:00")
    assert "Ann Desk" not in desk.seek(sought)


# --- looking for a patient --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["patients", "diary/new/patient"])
def test_what_is_looked_for_stands_in_no_address(desk: Desk, path: str) -> None:
    desk.booked("10:00", name="Wilhelmina Quarterstaff", phone="07700 900987")
    for sought in ("Wilhelmina", "900987"):
        answer = desk.person.post(path, q=sought)
        assert answer.status_code == 303
        [sealed] = parse_qs(urlsplit(answer.location).query)["sought"]
        assert sought not in answer.location
        assert sought.encode() not in base64.urlsafe_b64decode(sealed.rpartition(".")[2])
        page = desk.person.client.get(answer.location).text
        assert "Wilhelmina Quarterstaff" in page
        # "Back" and "load again" ask for the same address.
        assert desk.person.client.get(answer.location).status_code == 200
        for address in re.findall(r'(?:href|action)="([^"]*)"', page):
            assert sought not in address
        another = desk.colleague(StaffRole.OWNER)
        assert "Wilhelmina" not in another.person.client.get(answer.location).text
    assert "Wilhelmina" not in desk.page("patients?q=wilhelmina")


def test_one_who_may_only_look_finds_patients_and_downloads_nothing(desk: Desk) -> None:
    contact = desk.row(desk.booked("10:00"), "contact_id")
    looker = desk.colleague(StaffRole.READ_ONLY)
    assert "Ann Desk" in looker.seek("ann")
    page = looker.page(f"patients/{contact}")
    assert "Ann Desk" in page
    assert ".json" not in page
    for contact_id in (contact, uuid.uuid4()):
        answer = looker.person.get(f"patients/{contact_id}.json")
        assert (answer.status_code, "Only the desk and the owners" in answer.text) == (403, True)
        assert "Ann Desk" not in answer.text


def test_a_search_says_that_there_are_more_and_leads_to_them(desk: Desk) -> None:
    for number in range(30):
        start = at("09:00", later(1)) + timedelta(minutes=30 * number)
        add_booking(desk.sql, desk.org, start, patient_name=f"Ann {number:02}")
    page, seen = desk.seek("ann"), []
    for first, last, more in ((1, 12, True), (13, 24, True), (25, 30, False)):
        seen += re.findall(r'class="person"[^>]*>(Ann \d\d)', page)
        assert f"{first} to {last} are shown{', and there are more' if more else ''}." in page
        assert (">The next</a>" in page) == more
        if more:
            page = follow(desk.person, page, "The next")
    assert sorted(seen) == [f"Ann {number:02}" for number in range(30)]
    assert "1 to 12 are shown" in follow(desk.person, page, "The first")
    booking = desk.seek("ann", "diary/new/patient", day=later(3))
    assert "1 to 12 are shown, and there are more." in booking
    following = follow(desk.person, booking, "The next")
    assert "13 to 24 are shown" in following
    assert f'value="{later(3)}"' in following  # what was chosen stays
    assert "are shown" not in desk.seek("ann 07")
    for skip in ("-1", "x", "99999999999999999999", "1e9"):
        assert desk.person.client.get(f"/dashboard/patients?sought=x&skip={skip}").status_code == 200


# --- the last visit -----------------------------------------------------------------------------------


def visited(desk: Desk, days: int, **values: Any) -> str:
    """A visit so many days ago of the patient whom `desk.booked` books."""
    contact = desk.sql.execute("SELECT id FROM contacts WHERE org_id = %s", [desk.org]).fetchall()[0][0]
    start = now(desk.sql).replace(hour=9, minute=0, second=0, microsecond=0) - timedelta(days=days)
    appointment = add_booking(
        desk.sql, desk.org, start, service_id="check-up", **({"patient_name": "Ann Desk"} | values)
    )
    desk.sql.execute(
        "UPDATE appointments SET patient_phone = '+447700900456', contact_id = %s WHERE id = %s",
        [contact, appointment],
    )
    return appointment


def test_the_last_visit_is_shown_and_booked_again_with_the_same_person(desk: Desk) -> None:
    booked = desk.booked("10:00")
    path = f"patients/{desk.row(booked, 'contact_id')}"
    assert "Not seen here yet." in desk.page(path)
    visited(desk, 30, resource_id="cal-2", status="completed")
    visited(desk, 3, resource_id="cal-1", status="no_show")
    visited(desk, 2, resource_id="cal-1", status="cancelled")
    visited(desk, 40, resource_id="cal-1", status="completed")
    page = desk.page(path)
    seen = (now(desk.sql) - timedelta(days=30)).date()
    assert f"Last seen on {seen:%a} {seen.day} {seen:%b %Y} at 9:00 am with cal-2, for Check-up." in page
    form = follow(desk.person, page, "Book again with cal-2")
    assert 'value="Ann Desk"' in form
    assert 'value="+447700900456"' in form
    assert '<option value="cal-2" selected>' in form
    assert '<option value="check-up" selected>' in form
    found = desk.seek("ann", "diary/new/patient")
    [link] = re.findall(r'class="person" href="([^"]*)"', found)
    form = desk.person.client.get(link.replace("&amp;", "&")).text
    assert "Ann Desk was last seen on" in form
    assert '<option value="cal-2" selected>' not in form
    assert '<option value="cal-2" selected>' in follow(desk.person, form, "Book again with cal-2")
    desk.sql.execute("UPDATE resources SET retired_at = now() WHERE org_id = %s AND id = 'cal-2'", [desk.org])
    assert "with cal-2, for Check-up." in desk.page(path)
    assert "Book again with" not in desk.page(path)


def test_the_appointments_to_come_are_apart_from_those_before(desk: Desk) -> None:
    booked = desk.booked("10:00")
    gone = desk.booked("11:00")
    desk.person.post(f"diary/appointments/{gone}/cancel")
    before = visited(desk, 5)
    page = desk.page(f"patients/{desk.row(booked, 'contact_id')}")
    to_come, _, rest = page.partition("Past and cancelled appointments")
    assert booked in to_come.partition("Appointments to come")[2]
    for each in (gone, before):
        assert each not in to_come.partition("Appointments to come")[2]
        assert each in rest


def test_an_erased_patient_is_nobody_to_book_again(desk: Desk) -> None:
    appointment = desk.booked("10:00")
    owner = desk.colleague(StaffRole.OWNER)
    owner.person.post(f"patients/{desk.row(appointment, 'contact_id')}/erase", cancel="1")
    for path in (f"diary/new?like={appointment}", f"diary/appointments/{appointment}", f"diary?day={DAY}"):
        page = desk.page(path)
        assert "erased:" not in page
        assert 'value="erased"' not in page
        assert "/dashboard/patients/" not in page
