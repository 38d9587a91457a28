"""`flask import`: an existing diary from files of several systems, without an SMS or a double booking."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.factories import create_clinic, phone_number, reserve
from tests.places import ROOT
from tests.webapp.cli.commands import Operator

FILES = ROOT / "tests/models/booking/imports/files"

#: The year of the dates in the files becomes one that is to come.
YEAR = datetime.now(UTC).year + 1

HEADER = "Date,Time,Duration,Name,Mobile,Service,With"


@pytest.fixture
def org() -> str:
    return create_clinic(("cal-1", "cal-2"), calendar={"service_names": ("Check-up", "Filling")})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def file_of(name: str, folder: Path) -> Path:
    data = (FILES / name).read_bytes()
    for encoding in ("utf-8", "utf-16-le"):
        data = data.replace("2030".encode(encoding), str(YEAR).encode(encoding))
    path = folder / name
    path.write_bytes(data)
    return path


def rows(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "rows.csv"
    path.write_text("\n".join((header, *(line.replace("2030", str(YEAR)) for line in lines))) + "\n")
    return path


def told(operator: Operator, *arguments: object) -> tuple[dict[str, Any], int]:
    result = operator.run("import", *arguments, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return json.loads(result.stdout), result.exit_code


def booked(operator: Operator, org: str) -> list[tuple[Any, ...]]:
    query = (
        "SELECT to_char(scheduled_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), resource_id, patient_name, status"
        " FROM appointments WHERE org_id = %s AND booked_by = 'import' ORDER BY scheduled_at, resource_id"
    )
    return operator.sql.execute(query, [org]).fetchall()


def test_a_dental_list_comes_in_whole_with_the_people_rooms_and_services_it_names(
    operator: Operator, org: str, folder: Path
) -> None:
    path = file_of("dental.csv", folder)
    dry, status = told(operator, "csv", org, path, "--new", "--dry-run")
    assert (dry["appointments"], dry["left_out"], dry["refused"], status) == (4, {"cancelled": 1}, [], 0)
    assert not dry["imported"]
    assert booked(operator, org) == []
    assert operator.value("SELECT count(*) FROM resources WHERE org_id = %s", org) == 2
    done, status = told(operator, "csv", org, path, "--new")
    assert (done["imported"], done["appointments"], status) == (True, 4, 0)
    assert booked(operator, org) == [
        ("05-13 09:00", "dr-jane-smith", "Anna Quince", "confirmed"),
        ("05-13 09:30", "dr-jane-smith", "Ben Reed", "confirmed"),
        ("05-13 10:15", "dr-jane-smith", "Cy Stone", "confirmed"),
        ("05-14 09:00", "dr-jane-smith", '=HYPERLINK("http://example.com")', "confirmed"),
    ]
    assert operator.sql.execute(
        "SELECT a.service_id, a.other_resources, a.patient_phone, a.ends_at - a.scheduled_at, a.booker,"
        " c.booking_source FROM appointments a JOIN contacts c ON c.id = a.contact_id"
        " WHERE a.org_id = %s AND patient_name = 'Ben Reed'",
        [org],
    ).fetchone()[:3] == ("filling", ["chair-1"], "+447700900102")  # type: ignore[index]
    # Each owns a confirmation, which says why none is sent, is never due and no trouble.
    assert operator.sql.execute(
        "SELECT DISTINCT kind, status, cause, attempt FROM sms_messages WHERE org_id = %s", [org]
    ).fetchall() == [("confirmation", "expired", "it was imported, and its patient knows of it", 0)]
    assert operator.value("SELECT count(*) FROM sms_trouble WHERE org_id = %s", org) == 0
    assert (
        operator.value("SELECT count(*) FROM calendars WHERE org_id = %s AND id = 'dr-jane-smith'", org) == 1
    )


def test_a_second_import_of_the_same_file_doubles_nothing(operator: Operator, org: str, folder: Path) -> None:
    for name in ("dental.csv", "gp.tsv"):
        path = file_of(name, folder)
        first, _ = told(operator, "csv", org, path, "--new", "--others")
        again, status = told(operator, "csv", org, path, "--new", "--others")
        assert first["appointments"] > 0
        assert (again["appointments"], status) == (0, 0), again
        assert again["left_out"]["imported before"] == first["appointments"]
    calendar = file_of("calendar.ics", folder)
    first, _ = told(operator, "ics", org, calendar, "--person", "cal-1", "--others")
    again, _ = told(operator, "ics", org, calendar, "--person", "cal-1", "--others")
    assert (first["appointments"], first["blocks"]) == (2, 4)
    assert (again["appointments"], again["blocks"]) == (0, 0)
    assert operator.value("SELECT count(*) FROM blocks WHERE org_id = %s", org) == 4


def test_a_changed_row_is_told_and_not_applied_and_a_cancelled_one_does_not_come_back(
    operator: Operator, org: str, folder: Path
) -> None:
    header = f"{HEADER},Appointment ID"
    lines = (
        "2030-05-13,09:00,30,Ann,07700 900101,Check-up,cal-1,A1",
        "2030-05-13,10:00,30,Ben,07700 900102,Check-up,cal-1,A2",
    )
    assert told(operator, "csv", org, rows(folder, *lines, header=header))[1] == 0
    operator.sql.execute(
        "UPDATE appointments SET status = 'cancelled' WHERE org_id = %s AND patient_name = 'Ben'", [org]
    )
    moved = (lines[0].replace("09:00", "11:00"), lines[1])
    report, status = told(operator, "csv", org, rows(folder, *moved, header=header), "--others")
    assert [(each["line"], each["code"]) for each in report["refused"]] == [(2, "changed")]
    assert "at " + f"{YEAR}-05-13 09:00" in report["refused"][0]["why"]
    assert (report["left_out"], status) == ({"imported before": 1}, 1)
    assert booked(operator, org)[0][0] == "05-13 09:00"
    assert len(booked(operator, org)) == 2


def test_each_refused_row_has_its_line_and_a_reason_and_without_others_nothing_goes_in(
    operator: Operator, org: str, folder: Path
) -> None:
    path = file_of("salon.csv", folder)
    report, status = told(operator, "csv", org, path, "--new")
    assert status == 1
    assert [(each["line"], each["code"]) for each in report["refused"]] == [
        (4, "overlaps_row"),
        (5, "unreadable_date"),
        (6, "too_long"),
        (7, "impossible_number"),
        (8, "name_missing"),
    ]
    assert "overlaps row 3" in report["refused"][0]["why"]
    assert (report["imported"], booked(operator, org)) == (False, [])
    assert operator.value("SELECT count(*) FROM resources WHERE org_id = %s", org) == 2  # nothing was made
    report, status = told(operator, "csv", org, path, "--new", "--others")
    assert (report["imported"], report["appointments"], status) == (True, 2, 1)
    assert [each[2] for each in booked(operator, org)] == ["Anna Quince", "Renée Reed"]


def test_a_row_without_a_number_keeps_its_time_as_a_block(operator: Operator, folder: Path) -> None:
    org = create_clinic(
        ("sam",), calendar={"service_names": ("Follow-up", "Initial assessment")}, region="US"
    )
    report, status = told(operator, "csv", org, file_of("physio.csv", folder), "--person", "sam", "--new")
    assert (report["appointments"], report["blocks"], status) == (2, 1, 0)
    assert (
        operator.value("SELECT reason FROM blocks WHERE org_id = %s", org) == "Cy Stone (no telephone number)"
    )


def test_what_is_in_the_diary_already_is_never_doubled(
    operator: Operator, client: FlaskClient, org: str, folder: Path
) -> None:
    day = f"{YEAR}-05-13"
    held = reserve(client, org, slotId=f"{day}T09:00:00Z", patientName="Caller", patientPhone=phone_number())
    assert held["success"], held
    operator.does("block", "add", org, "cal-1", f"{day}T10:00", "11:00", "--reason", "Meeting")
    lines = [
        "2030-05-13,09:00,30,Ann,07700 900101,Check-up,cal-1",
        "2030-05-13,10:30,30,Ben,07700 900102,Check-up,cal-1",
        "2030-05-13,11:00,30,Cy,07700 900103,Check-up,cal-1",
        "2030-05-13,11:00,30,Dee,07700 900104,Check-up,Nobody Known",
    ]
    report, _ = told(operator, "csv", org, rows(folder, *lines), "--others")
    assert [(each["line"], each["code"]) for each in report["refused"]] == [
        (2, "overlaps_hold"),
        (3, "overlaps_block"),
        (5, "unknown_person"),
    ]
    assert [each[2] for each in booked(operator, org)] == ["Cy"]
    # An expired hold makes way.
    operator.sql.execute(
        "UPDATE appointment_holds SET expires_at = now() - interval '1 s' WHERE org_id = %s", [org]
    )
    report, status = told(operator, "csv", org, rows(folder, lines[0], lines[2]))
    assert (report["appointments"], report["left_out"], status) == (1, {"imported before": 1}, 0)


def test_the_past_is_left_out_or_comes_in_as_history(operator: Operator, org: str, folder: Path) -> None:
    lines = [
        "2020-05-13,09:00,30,Ann,07700 900101,Check-up,cal-1",
        "2030-05-13,09:00,30,Ann,07700 900101,Check-up,cal-1",
    ]
    report, _ = told(operator, "csv", org, rows(folder, *lines))
    assert (report["appointments"], report["past"], report["left_out"]) == (1, 0, {"past": 1})
    report, _ = told(operator, "csv", org, rows(folder, *lines), "--with-past")
    assert (report["appointments"], report["past"]) == (0, 1)
    assert [each[3] for each in booked(operator, org)] == ["completed", "confirmed"]


def test_buffers_are_kept_where_they_are_free_and_give_way_to_rows(operator: Operator, folder: Path) -> None:
    org = create_clinic(calendar={"service_names": ("Check-up",), "minutes_after": 15})
    lines = [
        "2030-05-13,09:00,30,Ann,07700 900101,Check-up,cal-1",
        "2030-05-13,09:30,30,Ben,07700 900102,Check-up,cal-1",
        "2030-05-13,18:00,30,Cy,07700 900103,Check-up,cal-1",
    ]
    report, status = told(operator, "csv", org, rows(folder, *lines))
    assert (report["appointments"], report["outside_hours"], status) == (3, [4], 0)
    assert operator.sql.execute(
        "SELECT minutes_after FROM appointments WHERE org_id = %s ORDER BY scheduled_at", [org]
    ).fetchall() == [(0,), (15,), (15,)]


def test_a_room_that_the_service_needs_is_found_or_its_want_is_said(operator: Operator, folder: Path) -> None:
    org = create_clinic(
        ("cal-1", "cal-2", "cal-3"), calendar={"service_names": ("Check-up",), "room": "room-1"}
    )
    operator.does("resource", "add", org, "room-2", "--kind", "room", "--name", "Room 2", "--zone", "UTC")
    lines = [
        "2030-05-13,09:00,30,Ann,07700 900101,Check-up,cal-1,",
        "2030-05-13,09:00,30,Ben,07700 900102,Check-up,cal-2,",
        "2030-05-13,09:00,30,Cy,07700 900103,Check-up,cal-3,Room 2",
    ]
    report, _ = told(operator, "csv", org, rows(folder, *lines, header=f"{HEADER},Room"), "--others")
    assert [(each["line"], each["code"]) for each in report["refused"]] == [(3, "room_taken")]
    assert operator.sql.execute(
        "SELECT other_resources FROM appointments WHERE org_id = %s ORDER BY resource_id", [org]
    ).fetchall() == [(["room-1"],), (["room-2"],)]


def test_an_imported_appointment_is_moved_and_cancelled_like_any_other(
    operator: Operator, org: str, folder: Path
) -> None:
    told(operator, "csv", org, rows(folder, "2030-05-13,09:00,30,Ann,07700 900101,Check-up,cal-1"))
    appointment = operator.value("SELECT id FROM appointments WHERE org_id = %s", org)
    moved = operator.row(
        "SELECT success, message_id FROM move_appointment(%s, %s, %s)",
        appointment,
        org,
        f"{YEAR}-05-13T10:00Z",
    )
    assert moved[0]
    assert operator.value("SELECT status FROM sms_messages WHERE id = %s", moved[1]) == "queued"
    assert operator.value("SELECT success FROM cancel_appointment(%s, %s)", appointment, org)
    assert (
        operator.value(
            "SELECT status FROM sms_messages WHERE kind = 'cancellation' AND appointment_id = %s", appointment
        )
        == "queued"
    )


def test_the_confirmation_of_an_imported_appointment_is_not_sent_by_hand(
    operator: Operator, org: str, folder: Path
) -> None:
    told(operator, "csv", org, rows(folder, "2030-05-13,09:00,30,Ann,07700 900101,Check-up,cal-1"))
    message = operator.value("SELECT confirmation_message_id FROM appointments WHERE org_id = %s", org)
    assert "it was imported" in operator.fails("sms", "retry", org, message)


def test_a_person_of_another_clinic_is_nobody(operator: Operator, org: str, folder: Path) -> None:
    other = create_clinic(("theirs",))
    path = rows(folder, "2030-05-13,09:00,30,Ann,07700 900101,Check-up,")
    assert "there is no person theirs" in operator.fails("import", "csv", org, path, "--person", "theirs")
    assert operator.value("SELECT count(*) FROM appointments WHERE org_id IN (%s, %s)", org, other) == 0


def test_files_that_are_none_are_refused_in_a_sentence(operator: Operator, org: str, folder: Path) -> None:
    path = folder / "book.csv"
    path.write_bytes(b"PK\x03\x04rest")
    assert "save it as CSV" in operator.fails("import", "csv", org, path)
    with path.open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    assert "larger than 5 MB" in operator.fails("import", "csv", org, path)
