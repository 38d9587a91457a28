"""An owner puts an appointment beside another: with a reason, marked, and without freeing anything."""

from __future__ import annotations

import uuid

import psycopg
import pytest

from models.base.erased import ERASED
from models.base.session import transaction
from models.clinics.staff import StaffRole
from models.insight import privacy
from tests.webapp.staff.desk import DAY, Desk, at
from tests.webapp.staff.desk import desk as desk  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import nudged as nudged  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import shown


def test_only_an_owner_may_book_beside_another_and_only_with_a_reason(desk: Desk) -> None:
    first = desk.booked("10:00", name="Tom Early")
    refused = desk.book("10:00", overrule="An emergency")
    assert refused.status_code == 403
    assert "Only an owner may book beside another appointment." in refused.text
    assert "overrule" not in desk.book("10:00").text
    owner = desk.colleague(StaffRole.OWNER)
    assert 'name="overrule"' in owner.book("10:00").text
    assert owner.book("10:00", overrule="  ").status_code == 409
    assert desk.count("appointments") == 1

    second = owner.booked("10:00", overrule="An emergency", name="Una Urgent")
    assert owner.row(second, "seat, overruled, booker, resource_id") == (
        *(1, "An emergency"),
        *(f"staff {owner.person.email}", "cal-1"),
    )
    assert owner.messages(second) == [("confirmation", "queued", "+447700900456")]
    assert owner.audit("appointments", second)[0] == (f"staff {owner.person.email}", "insert")
    assert "Booked beside another appointment: An emergency" in owner.page(f"diary/appointments/{second}")
    day = shown(owner.person.get(f"diary?day={DAY}"))
    assert "beside another: An emergency" in day
    assert "Tom Early" in day
    # It has freed nothing, and a third one sits beside both.
    assert desk.row(first, "status, seat, scheduled_at") == ("confirmed", 0, at("10:00"))
    assert desk.claim("10:00")["code"] == "slot_taken"
    assert desk.book("10:00").status_code == 409
    third = owner.booked("10:15", overrule="Another emergency")
    assert owner.row(third, "seat") == 2


def test_one_that_needs_nothing_overruled_is_marked_as_nothing(desk: Desk) -> None:
    owner = desk.colleague(StaffRole.OWNER)
    assert owner.row(owner.booked("10:00", overrule="To be sure"), "seat, overruled") == (0, None)


def test_a_time_that_a_caller_holds_or_a_block_has_can_be_overruled_and_stays_theirs(desk: Desk) -> None:
    owner = desk.colleague(StaffRole.OWNER)
    hold = desk.claim("11:00")["holdId"]
    desk.block("12:00", "13:00")
    assert owner.row(owner.booked("11:00", overrule="An emergency"), "seat") == 1
    assert owner.row(owner.booked("12:00", overrule="An emergency"), "seat") == 1
    [status] = desk.sql.execute("SELECT status FROM appointment_holds WHERE id = %s", [hold]).fetchall()
    assert status == ("held",)
    assert desk.claim("12:00")["code"] == "slot_taken"


def test_where_the_first_of_two_is_cancelled_nobody_else_gets_in_beside_the_other(desk: Desk) -> None:
    first = desk.booked("10:00")
    owner = desk.colleague(StaffRole.OWNER)
    second = owner.booked("10:00", overrule="An emergency", name="Una Urgent")
    desk.person.post(f"diary/appointments/{first}/cancel")
    assert desk.claim("10:00")["code"] == "slot_taken"
    answer = desk.book("10:00")
    assert answer.status_code == 409
    assert "booked for Una Urgent" in shown(answer)
    page = desk.page(f"diary/new?service=check-up&person=cal-1&day={DAY}")
    assert 'value="10:00"' not in page
    desk.person.post(f"diary/appointments/{second}/cancel")
    assert desk.claim("10:00")["success"]


def test_one_that_is_moved_sits_alone_again(desk: Desk) -> None:
    desk.booked("10:00")
    owner = desk.colleague(StaffRole.OWNER)
    second = owner.booked("10:00", overrule="An emergency")
    assert desk.person.post(f"diary/appointments/{second}/move", day=DAY, other="11:00").status_code == 303
    assert desk.row(second, "seat, overruled, scheduled_at") == (0, None, at("11:00"))
    assert desk.claim("11:00")["code"] == "slot_taken"


def test_a_reason_that_names_the_patient_goes_with_them(desk: Desk) -> None:
    desk.booked("10:00", name="Tom Early", phone="07700 900123")
    owner = desk.colleague(StaffRole.OWNER)
    second = owner.booked("10:00", overrule="Una Urgent is in pain", name="Una Urgent")
    org = uuid.UUID(desk.org)
    with transaction(org) as session:
        privacy.erase(session, org, ["+447700900456"], cancel=True)
    assert desk.row(second, "patient_name, overruled, seat, status") == (ERASED, ERASED, 1, "cancelled")


def test_a_reason_is_no_word_about_the_hours(desk: Desk) -> None:
    owner = desk.colleague(StaffRole.OWNER)
    assert "nobody who can do it works then" in shown(owner.book("03:00", overrule="An emergency"))
    desk.booked("06:00", outside="1")
    taken = owner.book("06:00", outside="1")
    assert 'name="outside" value="1" checked' in taken.text
    assert owner.row(owner.booked("06:00", outside="1", overrule="An emergency"), "seat") == 1


def test_no_room_is_used_twice_while_another_is_free(desk: Desk) -> None:
    for room in ("room-1", "room-2"):
        desk.sql.execute(
            "INSERT INTO resources (org_id, id, kind, name, time_zone) VALUES (%s, %s, 'room', %s, 'UTC')",
            [desk.org, room, room],
        )
        desk.sql.execute(
            "INSERT INTO service_resources (org_id, service_id, resource_id) VALUES (%s, 'check-up', %s)",
            [desk.org, room],
        )
    with_the_first = desk.booked("10:00")
    [used] = desk.row(with_the_first, "other_resources")
    owner = desk.colleague(StaffRole.OWNER)
    beside = owner.booked("10:00", overrule="An emergency")
    assert owner.row(beside, "other_resources, seat") == ([{"room-1": "room-2", "room-2": "room-1"}[used]], 1)


def test_a_prompt_does_not_get_in_beside_the_one_that_stayed(desk: Desk) -> None:
    first = desk.booked("10:00")
    second = desk.colleague(StaffRole.OWNER).booked("10:00", overrule="An emergency")
    desk.person.post(f"diary/appointments/{first}/cancel")
    with pytest.raises(psycopg.errors.ExclusionViolation):
        desk.sql.execute(
            "INSERT INTO appointments (id, org_id, calendar_id, scheduled_at, contact_id, patient_name,"
            " patient_phone, confirmation_message_id) SELECT gen_random_uuid(), org_id, calendar_id,"
            " scheduled_at, contact_id, patient_name, patient_phone, gen_random_uuid() FROM appointments"
            " WHERE id = %s",
            [second],
        )
