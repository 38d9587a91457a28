"""Bringing a diary by the settings page: a file, its names, the dry run, the import; and what may not be."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from models.base.session import transaction
from models.clinics.staff import StaffRole
from models.insight import privacy
from tasks.housekeeping import keep_house
from tests.conftest import Clock
from tests.factories import create_clinic
from tests.places import ROOT
from tests.webapp.staff.browsers import token_in
from tests.webapp.staff.desk import Desk

FILES = ROOT / "tests/models/booking/imports/files"
YEAR = datetime.now(UTC).year + 1
DAY = f"{YEAR}-05-13"
HEADER = "Date,Time,Duration,Name,Mobile,Service,With"
TWO = (
    HEADER,
    f"{DAY},09:00,30,Anna Quince,07700 900101,Check-up,cal-1",
    f"{DAY},10:00,30,Ben Reed,07700 900102,Check-up,cal-1",
)


@pytest.fixture
def owner(app: Flask, sql: psycopg.Connection[tuple[Any, ...]]) -> Desk:
    return opened(app, sql)


def opened(app: Flask, sql: psycopg.Connection[tuple[Any, ...]]) -> Desk:
    from tests.webapp.staff.browsers import employ  # noqa: PLC0415

    org = create_clinic(("cal-1", "cal-2"), calendar={"service_names": ("Check-up",)})
    person = employ(app, org, role=StaffRole.OWNER)
    assert person.sign_in().status_code == 303
    return Desk(app, sql, person)


def send(desk: Desk, data: bytes | str, name: str = "diary.csv", path: str = "importing") -> TestResponse:
    content = data.encode() if isinstance(data, str) else data
    part = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    token = part % (b"csrf", b"", token_in(desk.person.get("reports")).encode())
    file = part % (b"file", f'; filename="{name}"'.encode(), content)
    return desk.person.client.post(
        f"/dashboard/settings/{path}",
        data=token + file + b"--x--\r\n",
        content_type="multipart/form-data; boundary=x",
    )


def csv_of(*lines: str) -> str:
    return "\r\n".join(lines) + "\r\n"


def kept(desk: Desk) -> str:
    [row] = desk.sql.execute("SELECT id FROM import_files WHERE org_id = %s", [desk.org]).fetchall()
    return str(row[0])


def go(desk: Desk, **form: str) -> TestResponse:
    page = desk.page("settings/importing/file")
    seen = re.search(r'name="seen" value="(\w+)"', page)
    assert seen, page
    return desk.person.post(
        "settings/importing/file/import", **({"upload": kept(desk), "seen": seen[1]} | form)
    )


def test_from_a_file_to_the_diary_without_a_text(owner: Desk) -> None:
    answer = send(owner, csv_of(*TWO))
    assert answer.location == "/dashboard/settings/importing/file"
    page = owner.page("settings/importing/file")
    assert "Import 2 rows" in page
    assert "Anna Quince" in page
    assert owner.count("appointments") == 0
    answer = go(owner)
    assert answer.location == f"/dashboard/diary?day={DAY}"
    diary = owner.person.client.get(answer.location).text
    assert "2 appointments were imported. No text was sent to anybody." in diary
    assert "not sent in time" not in diary  # it was never to be sent
    assert diary.count('<span class="sms imported">no text</span>') == 2
    assert "Anna Quince" in diary
    rows = owner.sql.execute(
        "SELECT booked_by, booker, calendar_id, status FROM appointments WHERE org_id = %s", [owner.org]
    ).fetchall()
    assert rows == [("import", f"staff {owner.person.email}", "cal-1", "confirmed")] * 2
    sent = owner.sql.execute(
        "SELECT status, error_reason FROM sms_messages WHERE org_id = %s", [owner.org]
    ).fetchall()
    assert sent == [("expired", "it was imported, and its patient knows of it")] * 2
    assert owner.count("import_files") == 0  # erased with the import
    [first] = owner.sql.execute(
        "SELECT id FROM appointments WHERE org_id = %s AND patient_name = 'Anna Quince'", [owner.org]
    ).fetchall()
    shown = owner.page(f"diary/appointments/{first[0]}")
    assert "imported from the former diary" in shown
    assert "it was imported, and its patient knows of it" in shown
    assert "Anna Quince" not in owner.page("messages")


def test_a_name_is_matched_by_hand_made_new_or_left_out(owner: Desk) -> None:
    rows = (
        HEADER,
        f"{DAY},09:00,30,Anna,07700 900101,Check up,The Boss",
        f"{DAY},09:00,30,Ben,07700 900102,Polish,Nina New",
        f"{DAY},10:00,30,Cy,07700 900103,Check-up,Left Behind",
    )
    send(owner, csv_of(*rows))
    page = owner.page("settings/importing/file")
    fields = {
        name: field for field, name in re.findall(r'<label for="((?:person|service)-\d+)">(.+?) <span', page)
    }
    assert set(fields) == {"The Boss", "Nina New", "Left Behind", "Check up", "Polish", "Check-up"}
    answer = owner.person.post(
        "settings/importing/file",
        upload=kept(owner),
        **{fields["The Boss"]: "cal-2", fields["Left Behind"]: "-", fields["Nina New"]: "+"},
    )
    assert answer.status_code == 303
    page = owner.page("settings/importing/file")
    assert "person left out: Left Behind" in page
    assert "Import 2 rows" in page
    assert go(owner).status_code == 303
    rows_in = owner.sql.execute(
        "SELECT patient_name, resource_id, service_id FROM appointments WHERE org_id = %s ORDER BY 1",
        [owner.org],
    ).fetchall()
    assert rows_in == [("Anna", "cal-2", "check-up"), ("Ben", "nina-new", "polish")]
    assert owner.sql.execute(
        "SELECT minutes FROM services WHERE org_id = %s AND id = 'polish'", [owner.org]
    ).fetchall() == [(30,)]


def test_a_choice_that_was_made_since_the_look_is_kept_and_nothing_is_imported_yet(owner: Desk) -> None:
    send(owner, csv_of(HEADER, f"{DAY},09:00,30,Anna,07700 900101,Check-up,Nina New"))
    answer = go(owner, **{"person-0": "cal-2"})
    assert answer.location == "/dashboard/settings/importing/file#rows"
    assert owner.count("appointments") == 0
    page = owner.page("settings/importing/file")
    assert "Nothing was imported yet: you have matched a name differently." in page
    assert '<option value="cal-2" selected>' in page
    assert go(owner, **{"person-0": "cal-2"}).location == f"/dashboard/diary?day={DAY}"
    rows = owner.sql.execute("SELECT resource_id FROM appointments WHERE org_id = %s", [owner.org])
    assert rows.fetchall() == [("cal-2",)]


def test_what_a_caller_took_meanwhile_stops_the_import_unless_the_others_are_wanted(owner: Desk) -> None:
    for others in ("", "1"):
        owner = opened(owner.app, owner.sql)
        send(owner, csv_of(*TWO))
        page = owner.page("settings/importing/file")
        seen = re.search(r'name="seen" value="(\w+)"', page)
        assert seen
        held = owner.claim("09:00", slotId=f"{DAY}T09:00:00Z")
        assert held["success"], held
        form = {"upload": kept(owner), "seen": seen[1], "others": others}
        answer = owner.person.post("settings/importing/file/import", **form)
        assert answer.status_code == 303
        if others:
            assert owner.count("appointments") == 1
            assert owner.count("import_files") == 0
            continue
        assert owner.count("appointments") == 0
        page = owner.page("settings/importing/file")
        assert "Nothing was imported: the diary has changed since you looked" in page
        assert "A caller holds that time" in page
        assert go(owner).location == f"/dashboard/diary?day={DAY}"  # it was seen now
        assert owner.count("appointments") == 1


def test_a_file_that_cannot_be_read_comes_back_with_a_sentence(owner: Desk) -> None:
    for data, says in (
        (b"", "No file was chosen, or it is empty"),
        (b"PK\x03\x04 a workbook", "save it as CSV"),
        (b"Colour,Size\r\nred,4\r\n", "names its columns"),
    ):
        answer = send(owner, data)
        assert answer.status_code == 422
        assert says in answer.text
    assert owner.count("import_files") == 0


def test_a_file_that_is_too_large_is_refused_by_its_head(owner: Desk) -> None:
    answer = owner.person.client.post(
        "/dashboard/settings/importing",
        content_type="multipart/form-data; boundary=x",
        environ_overrides={"CONTENT_LENGTH": str(200 * 1024 * 1024)},
    )
    assert answer.status_code == 413
    # A file of 5 MB is taken to this form, and to no other.
    row = f"{DAY},09:00,30,Anna Quince {'x' * 180},07700 900101,Check-up,cal-1"
    large = csv_of(HEADER, *[row] * 15_000)
    assert send(owner, large).status_code == 303
    assert send(owner, large, path="importing/file/forget").status_code == 413


def test_only_an_owner_sees_the_page_or_sends_a_file(owner: Desk) -> None:
    for role in (StaffRole.STAFF, StaffRole.READ_ONLY):
        other = owner.colleague(role, role.value)
        assert other.person.get("settings/importing").status_code == 403
        assert send(other, csv_of(*TWO)).status_code == 403
    assert owner.count("import_files") == 0


def test_the_file_of_another_clinic_is_nobodys(owner: Desk) -> None:
    other = opened(owner.app, owner.sql)
    send(owner, csv_of(*TWO))
    send(other, csv_of(*TWO))
    theirs, nobodys = kept(other), str(uuid.uuid4())
    for path in ("settings/importing/file", "settings/importing/file/import"):
        answers = [owner.person.post(path, upload=each, seen="", others="1") for each in (theirs, nobodys)]
        assert answers[0].location == answers[1].location == "/dashboard/settings/importing"
    assert owner.count("appointments") == other.count("appointments") == 0
    assert owner.count("import_files") == other.count("import_files") == 1


def test_ids_of_another_clinic_are_no_choice(owner: Desk) -> None:
    other = create_clinic(("their-dentist",))
    send(owner, csv_of(*TWO))
    owner.person.post("settings/importing/file", upload=kept(owner), **{"person-0": "their-dentist"})
    assert "their-dentist" not in owner.page("settings/importing/file")
    go(owner)
    assert owner.count("appointments") == 2
    [count] = owner.sql.execute("SELECT count(*) FROM appointments WHERE org_id = %s", [other]).fetchall()
    assert count == (0,)


def test_the_file_is_erased_by_hand_after_an_hour_and_with_any_patient(owner: Desk, clock: Clock) -> None:
    send(owner, csv_of(*TWO))
    assert owner.person.post("settings/importing/file/forget").status_code == 303
    assert owner.count("import_files") == 0
    send(owner, csv_of(*TWO))
    owner.sql.execute(
        "INSERT INTO contacts (org_id, phone, name) VALUES (%s, '+447700900199', 'Jo')", [owner.org]
    )
    with transaction(uuid.UUID(owner.org)) as session:
        privacy.erase(session, uuid.UUID(owner.org), ["+447700900199"])
    assert owner.count("import_files") == 0
    send(owner, csv_of(*TWO))
    clock.forward(3601)
    assert owner.person.get("settings/importing/file").location == "/dashboard/settings/importing"
    keep_house()
    assert owner.count("import_files") == 0


def test_an_erased_patient_is_not_brought_back_by_the_old_file(owner: Desk) -> None:
    send(owner, csv_of(*TWO))
    go(owner)
    with transaction(uuid.UUID(owner.org)) as session:
        privacy.erase(session, uuid.UUID(owner.org), ["+447700900101"], cancel=True)
    send(owner, csv_of(*TWO))
    page = owner.page("settings/importing/file")
    assert "There is nothing to import" in page
    assert "2: imported before" in page
    everything = owner.sql.execute(
        "SELECT appointments::text FROM appointments WHERE org_id = %s", [owner.org]
    )
    assert sum("Anna" in row for (row,) in everything) == 0


def test_sent_twice_it_is_imported_once(owner: Desk) -> None:
    send(owner, csv_of(*TWO))
    form = {"upload": kept(owner), "seen": "", "others": "1"}
    assert "diary" in owner.person.post("settings/importing/file/import", **form).location
    again = owner.person.post("settings/importing/file/import", **form)
    assert again.location == "/dashboard/settings/importing"
    assert owner.count("appointments") == 2


def test_imports_are_no_bookings_of_the_day(owner: Desk) -> None:
    send(owner, csv_of(*TWO))
    go(owner)
    assert "Anna Quince" not in owner.page("live")
    today = datetime.now(UTC).date().isoformat()
    lines = owner.person.get("reports.csv").text.splitlines()
    [line] = [each for each in lines if each.startswith(today)]
    assert line.split(",")[1] == "0"


def test_a_calendar_is_that_of_the_person_who_is_chosen(owner: Desk) -> None:
    data = (FILES / "calendar.ics").read_bytes().replace(b"2030", str(YEAR).encode())
    send(owner, data, "jane.ics")
    page = owner.page("settings/importing/file")
    assert "Whose calendar it is" in page
    assert "The row names no person" in page
    owner.person.post("settings/importing/file", upload=kept(owner), **{"person-0": "cal-2"})
    assert go(owner).status_code == 303
    booked = owner.sql.execute(
        "SELECT patient_name, resource_id FROM appointments WHERE org_id = %s ORDER BY 1", [owner.org]
    ).fetchall()
    assert booked == [("Anna Quince", "cal-2"), ("Ben Reed", "cal-2")]
    assert owner.count("blocks") == 4
    # Nobody can book over the lunch.
    taken = owner.claim("12:00", calendar="cal-2", slotId=f"{YEAR}-05-13T12:00:00Z")
    assert taken["code"] == "slot_taken"


def test_the_name_in_the_reason_of_a_block_is_forgotten_with_the_words_of_calls(owner: Desk) -> None:
    send(owner, csv_of(HEADER, f"{DAY},09:00,30,Anna Quince,,Check-up,cal-1"))
    go(owner)
    reason = "SELECT reason FROM blocks WHERE org_id = %s"
    assert owner.sql.execute(reason, [owner.org]).fetchall() == [("Anna Quince (no telephone number)",)]
    owner.sql.execute(
        "UPDATE blocks SET starts_at = starts_at - interval '3 years', ends_at = ends_at - interval '3 years'"
        " WHERE org_id = %s",
        [owner.org],
    )
    keep_house()
    assert owner.sql.execute(reason, [owner.org]).fetchall() == [("imported",)]


def test_a_kept_file_that_cannot_be_read_with_its_past_is_said_in_a_sentence(owner: Desk) -> None:
    begins = f"{YEAR - 6}0513T0900"
    event = "BEGIN:VEVENT\nUID:{}\nDTSTART:{}00Z\nDTEND:{}30Z\nRRULE:FREQ=DAILY\nEND:VEVENT\n"
    events = "".join(event.format(each, begins, begins) for each in range(2))
    assert send(owner, f"BEGIN:VCALENDAR\n{events}END:VCALENDAR\n", "a.ics").status_code == 303
    page = owner.person.get("settings/importing/file")
    upload = re.search(r'name="upload" value="([^"]+)"', page.text)
    assert upload
    form = {"csrf": token_in(page), "upload": upload[1], "with_past": "1"}
    owner.person.client.post("/dashboard/settings/importing/file", data=form)
    answer = owner.person.client.get("/dashboard/settings/importing/file", follow_redirects=True)
    assert answer.status_code == 200
    assert "3,000 times" in answer.text
