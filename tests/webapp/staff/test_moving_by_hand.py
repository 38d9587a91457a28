"""The desk moves and cancels; and what it does is done once, also where the answer of a commit is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.breaking import Breaks, Line
from tests.linked import Linked
from tests.surroundings import environment
from tests.webapp.staff.desk import DAY, Desk, at, id_in, later, open_desk, slot_id
from tests.webapp.staff.desk import desk as desk  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import nudged as nudged  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import shown

# --- moving -------------------------------------------------------------------------------------


def test_an_appointment_is_moved_to_another_time_with_a_new_text(desk: Desk, nudged: list[Any]) -> None:
    appointment = desk.booked("10:00")
    first = desk.row(appointment, "confirmation_message_id")
    answer = desk.person.post(f"diary/appointments/{appointment}/move", day=later(1), other="11:30")
    assert id_in(answer) == appointment
    assert desk.row(appointment, "scheduled_at, resource_id") == (at("11:30", later(1)), "cal-1")
    message = desk.row(appointment, "confirmation_message_id")
    assert message != first
    assert [due.message_id for due in nudged] == [first, message]
    assert sorted(desk.messages(appointment)) == [
        ("confirmation", "expired", "+447700900456"),
        ("confirmation", "queued", "+447700900456"),
    ]
    changes = desk.sql.execute(
        "SELECT change, actor FROM appointment_changes WHERE appointment_id = %s", [appointment]
    ).fetchall()
    assert changes == [("moved", f"staff {desk.person.email}")]
    assert desk.claim("10:00")["success"]
    assert "Moved. The patient gets a text." in desk.page(f"diary/appointments/{appointment}")


def test_an_appointment_is_moved_to_another_person_at_the_same_time(desk: Desk) -> None:
    appointment = desk.booked("10:00")
    path = f"diary/appointments/{appointment}/move"
    assert desk.person.post(path, day=DAY, other="10:00", person="cal-2").status_code == 303
    assert desk.row(appointment, "scheduled_at, resource_id") == (at("10:00"), "cal-2")
    assert desk.claim("10:00")["success"]
    assert desk.claim("10:00", "cal-2")["code"] == "slot_taken"


def test_a_move_is_refused_in_a_sentence_and_changes_nothing(desk: Desk) -> None:
    appointment = desk.booked("10:00")
    desk.booked("11:00", name="Tom Early")
    yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    path = f"diary/appointments/{appointment}/move"
    for form, status, said in (
        ({"other": "11:10"}, 409, "that time is taken"),
        ({"other": "10:00"}, 409, "it is already at that time"),
        ({"other": "06:00"}, 409, "nobody who can do it works then"),
        ({"other": "10:00", "day": yesterday}, 409, "that time has passed"),
        ({"other": "later"}, 400, "Choose a time."),
        ({"other": "15:00", "person": "nobody"}, 400, "Choose a time."),
    ):
        answer = desk.person.post(path, **({"day": DAY} | form))
        assert (answer.status_code, said in shown(answer)) == (status, True), (form, shown(answer))
    assert "booked for Tom Early" in shown(desk.person.post(path, day=DAY, other="11:10"))
    assert desk.row(appointment, "scheduled_at") == at("10:00")
    assert len(desk.messages(appointment)) == 1
    assert desk.person.post(path, day=DAY, other="06:00", outside="1").status_code == 303
    # By less than its own length it is in nobody's way, its own least of all.
    assert desk.person.post(path, day=DAY, other="06:10", outside="1").status_code == 303


def test_a_move_keeps_the_service_whatever_the_form_says(app: Any, sql: Any) -> None:
    """Only cal-1 does the other service, so a move of a check-up may still go to cal-2."""
    desk = open_desk(app, sql)
    desk.sql.execute(
        "INSERT INTO services (org_id, id, name, minutes, step_minutes, position)"
        " VALUES (%s, 'surgery', 'Surgery', 90, 30, 9)",
        [desk.org],
    )
    desk.sql.execute(
        "INSERT INTO service_resources (org_id, service_id, resource_id) VALUES (%s, 'surgery', 'cal-1')",
        [desk.org],
    )
    appointment = desk.booked("10:00")
    answer = desk.person.post(
        f"diary/appointments/{appointment}/move", day=DAY, other="10:00", person="cal-2", service="surgery"
    )
    assert answer.status_code == 303
    assert desk.row(appointment, "service_id, resource_id, ends_at") == ("check-up", "cal-2", at("10:30"))


def test_one_of_a_retired_service_is_moved_as_long_as_there_is_all_that_it_needs(desk: Desk) -> None:
    appointment = desk.booked("10:00")
    path = f"diary/appointments/{appointment}/move"
    desk.sql.execute("UPDATE services SET retired_at = now() WHERE org_id = %s", [desk.org])
    assert 'value="11:00"' in desk.page(f"{path}?day={DAY}")
    assert desk.person.post(path, day=DAY, other="11:00").status_code == 303
    assert desk.row(appointment, "scheduled_at, service_id") == (at("11:00"), "check-up")
    assert "Choose a service and a time." in shown(desk.book("14:00"))  # and booked no more
    desk.sql.execute(
        "WITH r AS (INSERT INTO resources (org_id, id, kind, name, time_zone, retired_at)"
        " VALUES (%s, 'room-1', 'room', 'Room', 'UTC', now()) RETURNING org_id, id)"
        " INSERT INTO service_resources (org_id, service_id, resource_id)"
        " SELECT org_id, 'check-up', id FROM r",
        [desk.org],
    )
    assert desk.person.post(path, day=DAY, other="12:00").status_code == 400  # its room is gone


def test_a_patient_who_is_here_is_not_moved_nor_cancelled(desk: Desk) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).replace(second=0, microsecond=0)
    appointment = desk.booked(f"{soon:%H:%M}", day=f"{soon:%Y-%m-%d}", outside="1")
    path = f"diary/appointments/{appointment}"
    desk.person.post(f"{path}/note", status="arrived")
    answer = desk.person.post(f"{path}/move", day=DAY, other="11:00")
    assert (answer.status_code, "the patient is here already" in answer.text) == (409, True)
    desk.person.post(f"{path}/cancel")
    assert "Not cancelled: the patient is here already." in desk.page(path)
    assert desk.row(appointment, "status, scheduled_at") == ("arrived", soon)


def test_the_patients_own_move_by_link_and_the_desks_are_of_one_appointment(desk: Desk, client: Any) -> None:
    linked = Linked(client, desk.sql, desk.org, start=slot_id("10:00"), patientName="Tom Phone")
    answer = desk.person.post(f"diary/appointments/{linked.appointment}/move", day=DAY, other="12:00")
    assert answer.status_code == 303
    # The link of the text that says ten o'clock decides nothing any more.
    client.post(f"{linked.path}/cancel")
    assert linked.row("status, scheduled_at") == ("confirmed", at("12:00"))


# --- cancelling ---------------------------------------------------------------------------------


def test_a_cancelled_time_is_free_and_the_patient_gets_a_text(desk: Desk, nudged: list[Any]) -> None:
    appointment = desk.booked("10:00")
    path = f"diary/appointments/{appointment}"
    assert desk.person.post(f"{path}/cancel").location == f"/dashboard/{path}"
    page = desk.page(path)
    assert "Cancelled. The time is free again, and the patient gets a text." in page
    assert desk.row(appointment, "status") == "cancelled"
    assert sorted(desk.messages(appointment)) == [
        ("cancellation", "queued", "+447700900456"),
        ("confirmation", "expired", "+447700900456"),
    ]
    assert [due.kind for due in nudged] == ["confirmation", "cancellation"]
    assert desk.claim("10:00")["success"]
    desk.person.post(f"{path}/cancel")
    assert "Not cancelled: it was cancelled before." in desk.page(path)
    assert len(desk.messages(appointment)) == 2
    assert len(nudged) == 2


def test_one_that_has_begun_is_neither_moved_nor_cancelled(desk: Desk) -> None:
    begun = datetime.now(UTC) - timedelta(minutes=10)
    appointment = desk.booked(f"{begun:%H:%M}", day=f"{begun:%Y-%m-%d}", outside="1")
    desk.person.post(f"diary/appointments/{appointment}/cancel")
    assert "Not cancelled: it has begun." in desk.page(f"diary/appointments/{appointment}")
    answer = desk.person.post(f"diary/appointments/{appointment}/move", day=DAY, other="11:00")
    assert (answer.status_code, "it has begun" in answer.text) == (409, True)


# --- the answer of a commit is lost -------------------------------------------------------------


@pytest.mark.parametrize("how", [Breaks.BEFORE, Breaks.AFTER])
def test_what_the_desk_does_is_done_once_where_the_connection_breaks_in_the_commit(
    desk: Desk, database_url: str, how: Breaks, nudged: list[Any]
) -> None:
    with Line(database_url) as line, environment(DATABASE_URL=line.url):
        line.break_commit_of("book_by_hand(", how)
        appointment = desk.booked("10:00")
        assert line.has_broken()
        assert desk.count("appointments") == 1
        assert desk.messages(appointment) == [("confirmation", "queued", "+447700900456")]
        assert [due.message_id for due in nudged] == [desk.row(appointment, "confirmation_message_id")]
        path = f"diary/appointments/{appointment}"
        line.break_commit_of("move_appointment(", how)
        assert id_in(desk.person.post(f"{path}/move", day=DAY, other="11:00")) == appointment
        assert line.has_broken()
        assert desk.row(appointment, "scheduled_at") == at("11:00")
        assert len(desk.messages(appointment)) == 2
        line.break_commit_of("cancel_appointment(", how)
        desk.person.post(f"{path}/cancel")
        assert line.has_broken()
        assert "Cancelled. The time is free again" in desk.page(path)
        assert len(desk.messages(appointment)) == 3
        line.break_commit_of("INSERT INTO blocks", how)
        block = id_in(desk.block("12:00", "13:00"))
        assert line.has_broken()
        assert desk.count("blocks") == 1
        line.break_commit_of("DELETE FROM blocks", how)
        desk.person.post(f"diary/blocks/{block}/remove")
        assert line.has_broken()
        assert "Removed. The time can be booked again." in desk.page("diary")
