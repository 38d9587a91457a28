"""The desk notes whether a patient came: arrived, done, did not come."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import pytest

from models.base.session import transaction
from models.booking import by_hand
from models.booking.appointments import AppointmentStatus
from models.calls.calls import Call
from models.insight import labelled_calls
from models.leads import leads
from tests.conftest import Clock
from tests.webapp.staff.desk import DAY, Desk, at
from tests.webapp.staff.desk import desk as desk  # the fixture  # noqa: PLC0414
from tests.webapp.staff.judging import judge
from tests.webapp.staff.reading import shown
from tests.webapp.staff.rows import add_call, now
from webapp.staff.diary import NOTES


def test_whether_the_patient_came_is_noted_and_taken_back(desk: Desk, clock: Clock) -> None:
    appointment = desk.booked("10:00")
    go_to(desk, clock, at("10:05"))
    path = f"diary/appointments/{appointment}"
    for status, said in (("arrived", "is here"), ("completed", "done"), ("no_show", "did not come")):
        assert desk.person.post(f"{path}/note", status=status).location == f"/dashboard/{path}"
        assert desk.row(appointment, "status") == status
        assert said in shown(desk.person.get(path))
        assert said in shown(desk.person.get(f"diary?day={DAY}"))
        assert [
            each["status"] for each in desk.person.get(f"diary/entries?day={DAY}").get_json()["entries"]
        ] == [status]
        assert desk.book("10:10", name="Tom Late").status_code == 409  # it keeps its time
    assert "Take that back" in desk.page(path)
    desk.person.post(f"{path}/note", status="confirmed")
    assert desk.row(appointment, "status") == "confirmed"
    assert "Take that back" not in desk.page(path)
    who = f"staff {desk.person.email}"
    assert desk.audit("appointments", appointment)[-4:] == [(who, "update")] * 4


def go_to(desk: Desk, clock: Clock, moment: datetime) -> None:
    """Let the clock go on to a moment, and sign in again: a session ends after a working day."""
    clock.stop()
    clock.forward((moment - now(desk.sql)).total_seconds())
    assert desk.person.sign_in().status_code == 303


def test_nothing_is_noted_before_its_time_but_a_patient_who_is_early(desk: Desk, clock: Clock) -> None:
    appointment = desk.booked("10:00")
    path = f"diary/appointments/{appointment}"

    def noted(status: str) -> str:
        desk.person.post(f"{path}/note", status=status)
        page = desk.page(path)
        assert ("Nothing was noted: the appointment has not begun." in page) == (
            desk.row(appointment, "status") != status
        )
        return str(desk.row(appointment, "status"))

    words = ("Arrived", "Done", "Did not come")
    for before, can in ((13, ()), (11, ("Arrived",)), (0, words)):
        go_to(desk, clock, at("10:00") - timedelta(hours=before))
        page = desk.page(path)
        assert [word for word in words if f">{word}</button>" in page] == list(can), before
        for status in ("arrived", "completed", "no_show"):
            assert (noted(status) == status) == (desk_word(status) in can), (before, status)
            desk.person.post(f"{path}/note", status="confirmed")
    org = uuid.UUID(desk.org)
    later_one = desk.booked("12:00")
    with transaction(org) as session:  # nor past the page
        early = by_hand.note(session, org, uuid.UUID(later_one), AppointmentStatus.COMPLETED)
    assert early is by_hand.Noted.TOO_EARLY
    assert desk.row(later_one, "status") == "confirmed"


def desk_word(status: str) -> str:
    return NOTES[AppointmentStatus(status)]


def test_nothing_is_noted_of_a_cancelled_one_and_nothing_else_is_a_note(desk: Desk) -> None:
    appointment = desk.booked("10:00")
    path = f"diary/appointments/{appointment}"
    for status in ("", "cancelled", "ARRIVED", "\x00", "x" * 5000):
        assert desk.person.post(f"{path}/note", status=status).status_code == 400
    assert desk.row(appointment, "status") == "confirmed"
    desk.person.post(f"{path}/cancel")
    desk.person.post(f"{path}/note", status="arrived")
    assert "Nothing was noted" in desk.page(path)
    assert desk.row(appointment, "status") == "cancelled"


@pytest.mark.parametrize("status", by_hand.NOTES)
def test_a_call_that_booked_has_booked_whatever_the_desk_notes(desk: Desk, status: AppointmentStatus) -> None:
    call = add_call(desk.sql, desk.org, turns=[{"who": "caller", "text": "Hello", "at": 1.0}])
    begun = now(desk.sql) - timedelta(minutes=5)
    appointment = desk.booked(f"{begun:%H:%M}", day=f"{begun:%Y-%m-%d}", outside="1")
    desk.sql.execute("UPDATE appointments SET call_sid = %s WHERE id = %s", [call, appointment])
    desk.person.post(f"diary/appointments/{appointment}/note", status=status)
    assert "Booked" in shown(desk.person.get(f"leads/{call}"))
    judge(desk.person, call, "yes")
    org = uuid.UUID(desk.org)
    with transaction(org) as session:
        known = session.get_one(Call, (org, call))
        assert leads.evidence(session, known).booked
        [labelled] = labelled_calls.read(session, org, days=1).calls
        assert labelled["booked"]
