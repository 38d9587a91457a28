"""The live page says who moved or cancelled what, and what became of the time; and who is expected today."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.booking import appointments
from models.clinics.staff import StaffRole
from tests.conftest import Clock
from tests.linked import Linked
from tests.webapp.staff.desk import DAY, Desk, at, id_in, open_desk, slot_id
from tests.webapp.staff.desk import desk as desk  # the fixture  # noqa: PLC0414
from tests.webapp.staff.desk import elsewhere as elsewhere  # the fixture  # noqa: PLC0414
from tests.webapp.staff.rows import add_booking, now
from tests.webapp.staff.test_figures import follow, part, rows, tiles


def changes(desk: Desk) -> list[str]:
    """The rows of the list, newest first, as they read."""
    listed = part(desk.page("live"), "changes")
    return [" ".join(re.sub("<[^>]*>", " ", row).split()) for row in listed.split('<li class="row">')[1:]]


def version(desk: Desk) -> str:
    return desk.person.get("live/state").headers["ETag"]


@pytest.fixture
def noon(desk: Desk, clock: Clock) -> datetime:
    """Noon of a day on which nothing is booked yet."""
    clock.stop()
    moment = (now(desk.sql) + timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)
    clock.forward((moment - now(desk.sql)).total_seconds())
    desk.person.sign_in()
    return moment


def test_it_is_said_who_did_it_with_whom_and_from_when_to_when(desk: Desk, client: FlaskClient) -> None:
    linked = Linked(client, desk.sql, desk.org, start=slot_id("15:00"), patientName="Tom Phone")
    client.post(f"{linked.path}/cancel")
    moved = desk.booked("10:00", name="Ann Desk")
    sam = desk.colleague(StaffRole.STAFF, "Sam")
    sam.person.post(f"diary/appointments/{moved}/move", day=DAY, other="11:30", person="cal-2")
    by_hand = desk.booked("09:00", name="Olga Operator")
    org = uuid.UUID(desk.org)
    with transaction(org, actor="operator jane") as session:
        appointments.cancel(session, org_id=org, appointment_id=uuid.UUID(by_hand))
    by_agent = desk.booked("09:30", name="Vera Voice")
    with transaction(org, actor="call 4711") as session:
        appointments.cancel(session, org_id=org, appointment_id=uuid.UUID(by_agent))

    agents, operators, desks, links = changes(desk)
    day = r"\w+ \d+ \w+"
    assert re.search(rf"Vera Voice .*Cancelled: it was for {day}, 9:30 am · with cal-1", agents)
    assert "by the phone agent, " in agents
    assert "by an operator, " in operators
    assert "jane" not in operators
    moves = (
        rf"Ann Desk .*Moved from {day}, 10:00 am to {day}, 11:30 am · with cal-1, now with cal-2 · Check-up"
    )
    assert re.search(moves, desks)
    assert "by Sam at the desk, " in desks
    assert "by the patient, by the link, " in links
    for appointment in (moved, by_hand, by_agent, linked.appointment):
        assert f'href="/dashboard/diary/appointments/{appointment}"' in part(desk.page("live"), "changes")


def test_another_person_at_the_same_time_is_a_change_too(desk: Desk) -> None:
    appointment = desk.booked("10:00")
    desk.person.post(f"diary/appointments/{appointment}/move", day=DAY, other="10:00", person="cal-2")
    [said] = changes(desk)
    assert "with cal-1, now with cal-2" in said
    assert "10:00 am is free again" in said
    assert "1 moved, 0 cancelled" in desk.page("live")


def test_the_time_that_was_left_is_free_booked_held_or_blocked_and_the_page_follows(
    desk: Desk, elsewhere: Desk, noon: datetime, clock: Clock
) -> None:
    elsewhere.person.sign_in()
    gone = desk.booked("10:00")
    desk.person.post(f"diary/appointments/{gone}/cancel")
    seen = [version(desk)]

    def says(words: str) -> bool:
        seen.append(version(desk))
        return words in changes(desk)[0] and seen[-1] != seen[-2]

    elsewhere.booked("10:00")
    desk.booked("10:00", person="cal-2")
    assert "free again" in changes(desk)[0]
    seen.append(version(desk))
    block = id_in(desk.block("10:15", "11:00"))
    assert says("blocked now")
    desk.person.post(f"diary/blocks/{block}/remove")
    assert says("free again")
    assert desk.claim("10:00")["success"]
    assert says("held by a caller")
    clock.forward(3600)  # nobody reads the code back
    assert says("free again")
    desk.booked("10:10", name="Somebody Else")
    assert says("booked again")
    clock.forward((at("10:00") - now(desk.sql)).total_seconds() + 60)
    desk.person.sign_in()
    assert "again" not in " ".join(changes(desk))  # a time that has passed is nobody's


def test_an_appointment_that_keeps_a_part_of_its_time_leaves_nothing_free(desk: Desk) -> None:
    appointment = desk.booked("10:00")
    desk.person.post(f"diary/appointments/{appointment}/move", day=DAY, other="10:10")
    [said] = changes(desk)
    assert "Moved from" in said
    assert "again" not in said


def test_an_erased_patient_is_nobody_among_the_changes(desk: Desk) -> None:
    appointment = desk.booked("10:00", name="Wilhelmina Quarterstaff", phone="07700 900987")
    owner = desk.colleague(StaffRole.OWNER)
    contact = desk.row(appointment, "contact_id")
    assert owner.person.post(f"patients/{contact}/erase", cancel="1").status_code == 303
    page = desk.page("live")
    for trace in ("Wilhelmina", "900987", "erased:"):
        assert trace not in page
    assert "Erased patient" in changes(desk)[0]


# --- today ----------------------------------------------------------------------------------------


def test_todays_appointments_and_the_bookings_made_today_are_two_things(desk: Desk, noon: datetime) -> None:
    yesterday = noon - timedelta(days=1)
    days: tuple[tuple[int, str, dict[str, Any]], ...] = (
        (1, "Ann Next", {}),
        (2, "Bob Later", {}),
        (-1, "Cleo Begun", {}),
        (-2, "Dora Here", {"status": "arrived"}),
        (-3, "Emil Done", {"status": "completed"}),
        (-4, "Fay Missing", {"status": "no_show"}),
        (3, "Gus Gone", {"status": "cancelled"}),
        (13, "Hal Tomorrow", {}),
        (-13, "Ida Yesterday", {}),
    )
    for hours, name, values in days:
        start = noon + timedelta(hours=hours)
        add_booking(desk.sql, desk.org, start, booked_at=yesterday, patient_name=name, **values)
    add_booking(desk.sql, desk.org, noon + timedelta(days=9), patient_name="Jo New")
    page = desk.page("live")
    found = tiles(page)
    assert (found["appointments today"], found["booking made today"]) == (6, 1)
    today = part(page, "today")
    assert "2 to come, 1 begun, 1 here, 1 done, 1 did not come, 1 cancelled" in " ".join(today.split())
    assert re.findall(r'class="person"[^>]*>(\w+)', today) == [
        "Fay",
        "Emil",
        "Dora",
        "Cleo",
        "Ann",
        "Bob",
        "Gus",
    ]
    assert re.findall(r'class="person"[^>]*>(\w+)', part(page, "bookings")) == ["Jo"]


def test_each_figure_counts_all_and_leads_to_its_list(desk: Desk, noon: datetime) -> None:
    for number in range(60):
        start = noon.replace(hour=13) + timedelta(minutes=number)
        add_booking(
            desk.sql,
            desk.org,
            start,
            booked_at=noon - timedelta(days=1),
            **({"status": "cancelled"} if number < 5 else {"ends_at": start + timedelta(minutes=1)}),
        )
    page = desk.page("live")
    assert tiles(page)["appointments today"] == 55
    assert "55 to come, 5 cancelled" in " ".join(part(page, "today").split())
    assert rows(part(page, "today")) == 50
    assert "50 of 60 are shown." in part(page, "today")
    everything = follow(desk.person, part(page, "today"), "Show more")
    assert rows(part(everything, "today")) == 60
    lists = re.findall(r'<li class="tile[^"]*"><a href="#(\w+)">', page)
    assert lists == ["calls", "holds", "today", "bookings", "changes", "leads"]
    for name in lists:
        assert f'id="{name}" data-part="{name}"' in page


def test_the_version_follows_what_is_shown_of_today(desk: Desk, noon: datetime, clock: Clock) -> None:
    made = noon - timedelta(days=1)
    soon = add_booking(desk.sql, desk.org, noon + timedelta(minutes=5), booked_at=made, patient_name="Ann")
    seen = [version(desk)]

    def has_changed() -> bool:
        seen.append(version(desk))
        return seen[-1] != seen[-2]

    assert not has_changed()
    desk.person.post(f"diary/appointments/{soon}/note", status="arrived")
    assert has_changed()
    desk.person.post(f"diary/appointments/{soon}/note", status="confirmed")
    assert has_changed()
    clock.forward(600)  # it has begun, and no row says so
    assert has_changed()
    desk.sql.execute("UPDATE resources SET name = 'Dr Lee' WHERE org_id = %s AND id = 'cal-1'", [desk.org])
    assert has_changed()
    assert "Dr Lee" in part(desk.page("live"), "today")


def test_today_is_the_clinics_day(app: Any, sql: Any, clock: Clock) -> None:
    desk = open_desk(app, sql, calendar={"time_zone": "Pacific/Auckland"})
    clock.stop()
    evening = (now(sql) + timedelta(days=2)).replace(hour=20, minute=0, second=0, microsecond=0)
    clock.forward((evening - now(sql)).total_seconds())  # there it is the morning of the next day
    desk.person.sign_in()
    made = evening - timedelta(days=3)
    add_booking(sql, desk.org, evening + timedelta(hours=8), booked_at=made, patient_name="Ann There")
    add_booking(sql, desk.org, evening - timedelta(hours=16), booked_at=made, patient_name="Bob Before")
    today = part(desk.page("live"), "today")
    assert "Ann There" in today
    assert "Bob Before" not in today
