"""A patient is found, shown, exported and erased on the staff's pages."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.base.erased import ERASED
from models.clinics.staff import StaffRole
from models.notices import texts
from tests.breaking import Breaks, Line
from tests.linked import Linked
from tests.surroundings import environment
from tests.webapp.staff.desk import Desk, slot_id
from tests.webapp.staff.desk import desk as desk  # the fixture  # noqa: PLC0414
from tests.webapp.staff.desk import elsewhere as elsewhere  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import nudged as nudged  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import shown


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
