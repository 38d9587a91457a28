"""Notes about a patient: who writes them, where they show, and that they go with the patient."""

from __future__ import annotations

import re
import uuid

import pytest
from flask.testing import FlaskClient

from models.clinics.staff import StaffRole
from tests.webapp.staff.desk import Desk, id_in
from tests.webapp.staff.desk import desk as desk  # the fixture  # noqa: PLC0414
from tests.webapp.staff.desk import elsewhere as elsewhere  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import shown

NOTE = "Allergic to latex <b>bold</b>\nprefers mornings"


@pytest.fixture
def booked(desk: Desk) -> str:
    return desk.booked("10:00")


@pytest.fixture
def path(desk: Desk, booked: str) -> str:
    """The page of the patient who booked."""
    return f"patients/{desk.row(booked, 'contact_id')}"


def note_ids(page: str) -> list[str]:
    return re.findall(r'name="away" value="([^"]+)"', page)


def test_the_desk_and_owners_note_and_everybody_reads(desk: Desk, booked: str, path: str) -> None:
    answer = desk.person.post(f"{path}/notes", body=NOTE)
    assert answer.location == f"/dashboard/{path}#notes"
    owner = desk.colleague(StaffRole.OWNER, "Olu")
    owner.person.post(f"{path}/notes", body="Call after five")
    looker = desk.colleague(StaffRole.READ_ONLY, "Lou")
    assert looker.person.post(f"{path}/notes", body="No").status_code == 403
    page = looker.person.get(path)
    assert "Allergic to latex &lt;b&gt;bold&lt;/b&gt;" in page.text
    assert re.search("Call after five Olu at the desk, .* Allergic .* Jo at the desk, ", shown(page))
    assert note_ids(page.text) == []
    assert "Save the note" not in page.text
    assert "2 notes" in desk.page(f"diary/appointments/{booked}")
    assert desk.audit("patient_notes", note_ids(desk.page(path))[0])[0][1] == "insert"


def test_a_note_is_taken_away_by_the_desk_only(desk: Desk, path: str) -> None:
    desk.person.post(f"{path}/notes", body=NOTE)
    [note] = note_ids(desk.page(path))
    looker = desk.colleague(StaffRole.READ_ONLY, "Lou")
    assert looker.person.post(f"{path}/notes", away=note).status_code == 403
    desk.person.post(f"{path}/notes", away=note)
    assert "The note was taken away." in desk.page(path)
    assert desk.count("patient_notes") == 0
    desk.person.post(f"{path}/notes", away=note)
    assert "Nothing was changed: it was taken away before." in desk.page(path)


def test_a_note_that_cannot_be_comes_back_with_its_words(desk: Desk, path: str) -> None:
    for body in ("", "  ", "\x00"):
        desk.person.post(f"{path}/notes", body=body)
        assert "Nothing was changed: a note needs some words." in desk.page(path)
    answer = desk.person.post(f"{path}/notes", body="x" * 2001)
    assert (answer.status_code, "at most 2000 characters" in answer.text) == (400, True)
    assert "x" * 2001 in answer.text
    assert desk.count("patient_notes") == 0


def test_a_form_that_is_sent_twice_notes_once_and_a_page_of_before_notes_again(desk: Desk, path: str) -> None:
    once = str(uuid.uuid4())
    for body in ("One", "One", "Two"):
        assert desk.person.post(f"{path}/notes", body=body, once=once).status_code == 303
    assert desk.count("patient_notes") == 2


def test_no_note_of_or_about_another_clinics_patient(desk: Desk, elsewhere: Desk, path: str) -> None:
    theirs = f"patients/{elsewhere.row(elsewhere.booked('10:00'), 'contact_id')}"
    elsewhere.person.post(f"{theirs}/notes", body="Theirs", once=str(uuid.uuid4()))
    [note] = note_ids(elsewhere.page(theirs))
    assert desk.person.post(f"{theirs}/notes", body="Mine").status_code == 404
    assert desk.person.post(f"{theirs}/notes", away=note).status_code == 404
    desk.person.post(f"{path}/notes", away=note)
    assert elsewhere.count("patient_notes") == 1
    assert desk.person.post(f"{path}/notes", body="Mine", once=note).status_code == 303
    assert desk.count("patient_notes") == 1


def test_notes_are_handed_out_and_erased_with_the_patient(desk: Desk, path: str) -> None:
    desk.person.post(f"{path}/notes", body=NOTE)
    assert [each["body"] for each in desk.person.get(f"{path}.json").get_json()["notes"]] == [NOTE]
    owner = desk.colleague(StaffRole.OWNER)
    assert owner.person.post(f"{path}/erase", cancel="1").status_code == 303
    assert desk.count("patient_notes") == 0
    assert desk.person.post(f"{path}/notes", body="Again").status_code == 404


def test_words_of_the_staff_forget_an_erased_patient_who_is_named_in_them(
    desk: Desk, client: FlaskClient
) -> None:
    del client
    gone = desk.booked("10:00", name="Ann O'Desk (Mrs)", phone="07700 900987")
    other = desk.booked("11:00", name="Annie Other", phone="07911 123456")
    owner = desk.colleague(StaffRole.OWNER)
    beside = id_in(owner.book("11:00", name="In Pain", overrule="as ann o'desk  (mrs) had wished"))
    notes = f"patients/{desk.row(other, 'contact_id')}"
    desk.person.post(f"{notes}/notes", body="Sister of ANN O'Desk (Mrs), 07700 900 987. Annie likes tea.")
    block = id_in(desk.block("14:00", "15:00", reason="Operation of Ann O'Desk (Mrs), +44 (0)7700-900987!"))
    unnamed = id_in(desk.block("16:00", "17:00", reason="Annual leave"))
    taken = desk.count("occupancies")
    contact = desk.row(gone, "contact_id")
    assert owner.person.post(f"patients/{contact}/erase", cancel="1").status_code == 303
    reasons = dict(desk.sql.execute("SELECT id::text, reason FROM blocks WHERE org_id = %s", [desk.org]))
    assert reasons == {block: "Operation of erased, erased!", unnamed: "Annual leave"}
    assert desk.row(beside, "overruled") == "as erased had wished"
    [note] = desk.sql.execute("SELECT body FROM patient_notes WHERE org_id = %s", [desk.org]).fetchall()
    assert note == ("Sister of erased, erased. Annie likes tea.",)
    assert desk.count("occupancies") == taken - 1  # the block keeps its time
    assert desk.claim("14:00")["code"] == "slot_taken"
