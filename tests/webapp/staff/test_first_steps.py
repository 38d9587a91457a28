"""A new clinic is led step by step; what offers nothing is said; what stands is listed."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from models.clinics.staff import StaffRole
from tests.factories import EVERY_DAY
from tests.webapp.staff.browsers import employ
from tests.webapp.staff.desk import DAY, Desk
from tests.webapp.staff.setting_up import Owner, furnish, words
from tests.webapp.staff.setting_up import elsewhere as elsewhere  # noqa: PLC0414
from tests.webapp.staff.setting_up import empty as empty  # noqa: PLC0414
from tests.webapp.staff.setting_up import owner as owner  # noqa: PLC0414

CHECK_UP = {"name": "Check-up", "minutes": "30", "who": ["anna", "ben"], "by_phone": "1", "by_link": "1"}


def steps(owner: Owner) -> dict[str, str]:
    """The state of each step by its title: done, next, optional, or nothing."""
    found = {}
    for item in re.findall(
        r'<li class="row.*?</li>', owner.page().split("<ol")[1].split("</ol>")[0], re.DOTALL
    ):
        title = re.search(r'class="person"[^>]*>(.*?)<', item)
        chip = re.search(r'class="chip[^"]*">(.*?)<', item)
        assert title
        assert ("ticked" in item) is (chip is not None and chip[1] == "done")
        found[title[1]] = chip[1] if chip else ""
    return found


def following(owner: Owner) -> str:
    """The title of the step that is pointed out."""
    (title,) = [title for title, state in steps(owner).items() if state == "next"]
    return title


def test_a_new_clinic_is_led_from_step_to_step(empty: Owner) -> None:
    execute = empty.sql.execute
    execute("UPDATE integration_settings SET twilio_from_number = NULL WHERE org_id = %s", [empty.org])
    assert not any(state == "done" for state in steps(empty).values())
    assert following(empty) == "Add people and rooms"
    empty.add("anna")
    assert following(empty) == "Give everybody hours"
    empty.add("ben", opening=EVERY_DAY)
    assert following(empty) == "Give everybody hours"
    insert = (
        "INSERT INTO resource_hours (org_id, resource_id, weekday, from_minute, until_minute)"
        " VALUES (%s, 'anna', 0, 540, 1020)"
    )
    execute(insert, [empty.org])
    assert following(empty) == "Add services"
    empty.does("/services/add", **CHECK_UP)
    assert following(empty) == "Add a calendar for calls"
    empty.does("/phone/first")
    assert following(empty) == "Close public holidays"
    execute(
        "INSERT INTO hours_exceptions (org_id, day, is_open) VALUES (%s, current_date + 30, false)",
        [empty.org],
    )
    assert following(empty) == "Say who is told of hot leads"
    execute(
        "UPDATE integration_settings SET hot_lead_alert_phone = '+447700900123' WHERE org_id = %s",
        [empty.org],
    )
    assert following(empty) == "Connect SMS"
    execute("UPDATE integration_settings SET twilio_from_number = '+44' WHERE org_id = %s", [empty.org])
    assert following(empty) == "Connect the voice platform"
    credential = "INSERT INTO vapi_credentials (org_id, kind, secret_digest) VALUES (%s, 'bearer', %s)"
    execute(credential, [empty.org, empty.org])
    # What many do without comes last, and says so.
    assert "Everything that is needed is set up" in empty.reads()
    assert following(empty) == "Import your old diary"
    assert steps(empty)["Let colleagues sign in"] == "optional"
    empty.another(StaffRole.STAFF)
    assert steps(empty)["Let colleagues sign in"] == "done"


def test_steps_are_undone_when_their_rows_are(owner: Owner) -> None:
    owner.does("/services/add", **CHECK_UP)
    assert steps(owner)["Add services"] == "done"
    retire = "UPDATE resources SET retired_at = now() WHERE org_id = %s AND id = ANY(%s)"
    owner.sql.execute(retire, [owner.org, ["anna", "ben"]])
    assert steps(owner)["Add services"] != "done"
    # Carla, who is left, has no hours.
    assert steps(owner)["Give everybody hours"] != "done"
    owner.sql.execute(retire, [owner.org, ["carla", "room-1"]])
    assert following(owner) == "Add people and rooms"


def test_every_step_leads_to_its_page(empty: Owner) -> None:
    hrefs = re.findall(r'href="/dashboard(/settings/\w+)"', empty.page().split("<ol")[1].split("</ol>")[0])
    assert len(hrefs) == 9
    for href in set(hrefs):
        assert empty.person.get(href.lstrip("/")).status_code == 200
    read = empty.reads()
    assert "flask twilio set" in read
    assert "flask credential add" in read


def test_nothing_of_another_clinic_ticks_a_step(empty: Owner, elsewhere: Owner) -> None:
    elsewhere.does("/services/add", **CHECK_UP)
    elsewhere.does("/phone/first")
    assert {title for title, state in steps(empty).items() if state == "done"} == {"Connect SMS"}


def test_what_offers_nothing_is_said_with_the_page_where_it_is_changed(owner: Owner) -> None:
    assert "Everything that is set up can be offered." in owner.reads()
    owner.does("/services/add", **CHECK_UP | {"who": ["carla"]})
    owner.does("/services/add", **CHECK_UP | {"name": "Implant", "minutes": "480", "who": ["ben"]})
    owner.does("/services/add", **CHECK_UP | {"name": "Day", "minutes": "480", "minutes_after": "60"})
    owner.sql.execute("UPDATE services SET minutes = 480 WHERE org_id = %s", [owner.org])
    owner.sql.execute("DELETE FROM resource_hours WHERE org_id = %s AND from_minute <> 1", [owner.org])
    page = owner.page()
    gaps = page.split('id="gaps"')[1].split("</section>")[0]
    assert "Carla (carla) has no hours in the next four weeks and is not offered; set hours." in words(gaps)
    assert '/dashboard/settings/people">People and rooms' in gaps


def test_an_empty_diary_points_owners_to_the_first_steps(app: Flask, empty: Owner) -> None:
    page = empty.person.get("diary").text
    assert "Nobody to book yet" in page
    assert '<a href="/dashboard/settings">Set up the clinic</a>' in page
    desk = employ(app, empty.org, "Sam")
    desk.sign_in()
    assert "An owner of the clinic adds them, in its settings." in desk.get("diary").text
    assert "/dashboard/settings" not in desk.get("diary").text


# --- appointments that stand --------------------------------------------------------------------


@pytest.fixture
def desk(owner: Owner) -> Desk:
    """The same clinic with a check-up and a calendar, to book by hand."""
    owner.does("/services/add", **CHECK_UP)
    owner.does("/phone/first")
    return Desk(owner.app, owner.sql, owner.person)


def test_an_empty_list_says_so(owner: Owner) -> None:
    assert "There are none: every appointment to come would still be offered today." in owner.reads(
        "/standing"
    )


def test_each_that_stands_says_why_and_what_to_do(owner: Owner, desk: Desk) -> None:
    kept = desk.booked("09:00", person="ben", name="Kept One")
    closed, blocked, retired = (
        desk.booked(clock, person="anna", name=name)
        for clock, name in (("10:00", "Cora Closed"), ("11:00", "Bo Blocked"), ("12:00", "Rita Retired"))
    )
    closure = (
        "INSERT INTO hours_exceptions (org_id, resource_id, day, is_open, from_minute, until_minute)"
        " VALUES (%s, 'anna', %s, false, 600, 660)"
    )
    owner.sql.execute(closure, [owner.org, DAY])
    desk.block("11:00", "11:30", who="anna")
    read = owner.reads("/standing")
    assert re.search(r"Cora Closed .*10:00 am, Check-up Anna does not work then\. Move Cancel", read)
    assert re.search(r"Bo Blocked .*11:00 am, Check-up The time of Anna is blocked\. Move Cancel", read)
    assert "Rita Retired" not in read
    owner.sql.execute(
        "UPDATE resources SET retired_at = now() WHERE org_id = %s AND id = 'anna'", [owner.org]
    )
    page = owner.page("/standing")
    assert re.search(r"Rita Retired .*12:00 pm, Check-up Anna is retired\.", words(page))
    for each in (closed, blocked, retired):
        assert f'href="/dashboard/diary/appointments/{each}"' in page
        assert f'href="/dashboard/diary/appointments/{each}/move"' in page
    assert kept not in page
    assert "+447700900456" in page
    assert "3 appointments stand" in owner.reads()
    owner.changes("/service/check-up", who=["ben"])
    assert "Anna does not do Check-up any more." in owner.reads("/standing")


def test_a_room_that_is_closed_is_named_once(owner: Owner, desk: Desk) -> None:
    owner.changes("/service/check-up", who=["anna", "ben", "room-1"])
    appointment = desk.booked("10:00", person="anna")
    owner.sql.execute(
        "INSERT INTO resource_hours (org_id, resource_id, weekday, from_minute, until_minute)"
        " VALUES (%s, 'room-1', (extract(isodow FROM %s::date)::int + 1) %% 7, 0, 60)",
        [owner.org, DAY],
    )
    page = owner.page("/standing")
    assert "Room-1 is closed then." in page
    assert page.count(f'class="person" href="/dashboard/diary/appointments/{appointment}"') == 1


def test_a_patient_who_is_here_early_is_among_them(owner: Owner, desk: Desk) -> None:
    appointment = desk.booked("10:00", person="anna", name="Ann Early")
    owner.sql.execute("UPDATE appointments SET status = 'arrived' WHERE id = %s", [appointment])
    made = desk.block("10:00", "10:30", who="anna")
    assert "Ann Early" in desk.page(made.location.removeprefix("/dashboard/"))
    read = owner.reads("/standing")
    assert "Ann Early" in read
    assert "The patient is here already." in read


def test_what_another_clinic_has_standing_is_not_shown(owner: Owner, elsewhere: Owner) -> None:
    theirs = Desk(elsewhere.app, elsewhere.sql, elsewhere.person)
    elsewhere.does("/services/add", **CHECK_UP)
    elsewhere.does("/phone/first")
    theirs.booked("10:00", person="anna", name="Theirs Only")
    theirs.block("10:00", "10:30", who="anna")
    assert "Theirs Only" in elsewhere.reads("/standing")
    assert "Theirs Only" not in owner.reads("/standing")


@pytest.mark.parametrize("role", [StaffRole.STAFF, StaffRole.READ_ONLY])
def test_only_owners_see_them(owner: Owner, role: StaffRole) -> None:
    one = owner.another(role)
    for path in ("", "/standing"):
        assert one.person.get(f"settings{path}").status_code == 403


def test_a_furnished_clinic_has_a_diary(empty: Owner) -> None:
    assert "Nobody to book yet" not in furnish(empty).person.get("diary").text
