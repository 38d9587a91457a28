"""Owners set up calendars on their pages, see what callers are offered, and whether calls get through."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from models.clinics.staff import StaffRole
from tests.factories import EVERY_DAY, slot
from tests.webapp.staff.setting_up import Owner, fields, notices
from tests.webapp.staff.setting_up import elsewhere as elsewhere  # noqa: PLC0414
from tests.webapp.staff.setting_up import empty as empty  # noqa: PLC0414
from tests.webapp.staff.setting_up import owner as owner  # noqa: PLC0414

DAY = slot()[:10]
CHECK_UP = {"name": "Check-up", "minutes": "30", "who": ["anna", "ben"], "by_phone": "1"}


@pytest.fixture
def ready(owner: Owner) -> Owner:
    """With a check-up that Anna and Ben do, a cleaning that Ben does, and a calendar of anyone."""
    owner.does("/services/add", **CHECK_UP)
    owner.does("/services/add", **CHECK_UP | {"name": "Cleaning", "who": ["ben"]})
    owner.does("/phone/first")
    return owner


def calendar(owner: Owner, which: str = "cal-1") -> Any:
    query = (
        "SELECT name, service_id, resource_id, time_zone, hold_minutes FROM calendars"
        " WHERE org_id = %s AND id = %s"
    )
    return owner.sql.execute(query, [owner.org, which]).fetchone()


# --- the first one ------------------------------------------------------------------------------


def test_one_button_makes_a_calendar_of_anyone_and_callers_are_offered_times(owner: Owner) -> None:
    assert "First add a service that callers may book." in owner.reads("/phone")
    owner.does("/services/add", **CHECK_UP | {"name": "Implant", "by_phone": None})
    assert "First add a service that callers may book." in owner.reads("/phone")
    owner.does("/services/add", **CHECK_UP)
    assert "Add a calendar for anyone" in owner.page("/phone")
    assert owner.free(date=DAY)["success"] is False
    assert "Callers can book now" in owner.does("/phone/first")
    assert calendar(owner) == ("Test Clinic", "check-up", None, "UTC", 10)
    assert owner.audit("calendars", "cal-1") == ["insert"]
    assert owner.free(date=DAY)["slots"]
    page = owner.reads("/phone")
    assert "Anyone who can do the service · Check-up · UTC" in page
    assert "Right now callers are offered" in page
    assert "Add a calendar for anyone" not in page


def test_the_button_makes_one_however_often_it_is_pressed(ready: Owner) -> None:
    assert "Nothing was changed: there is a calendar already." in ready.does("/phone/first")
    assert ready.sql.execute("SELECT count(*) FROM calendars WHERE org_id = %s", [ready.org]).fetchone() == (
        1,
    )


def test_there_is_no_first_calendar_without_a_service(owner: Owner) -> None:
    assert "Nothing was changed: no service can be booked by phone yet" in owner.does("/phone/first")


# --- adding and changing ------------------------------------------------------------------------


def test_a_calendar_of_one_person_is_added_and_changed(ready: Owner) -> None:
    form = fields(ready.page("/phone/add"))
    assert form["time_zone"] == ["UTC"]
    assert form["hold_minutes"] == ["10"]
    said = ready.does(
        "/phone/add", **form | {"name": "Ben", "id": "ben", "service": "cleaning", "who": "ben"}
    )
    assert "Ben was added." in said
    assert calendar(ready, "ben") == ("Ben", "cleaning", "ben", "UTC", 10)
    assert ready.free(date=DAY, calendarId="ben")["slots"]
    ready.changes(
        "/calendar/ben", name="Dr Ben", service="check-up", hold_minutes="5", time_zone="Asia/Tokyo"
    )
    assert calendar(ready, "ben") == ("Dr Ben", "check-up", "ben", "Asia/Tokyo", 5)
    # The person keeps their own name and their own clock.
    query = "SELECT name, time_zone FROM resources WHERE org_id = %s AND id = 'ben'"
    assert ready.sql.execute(query, [ready.org]).fetchone() == ("Ben", "UTC")
    ready.changes("/calendar/ben", who="")
    assert calendar(ready, "ben")[2] is None
    assert ready.audit("calendars", "ben") == ["insert", "update", "update"]


def test_an_id_that_is_left_empty_is_the_next_free_one(ready: Owner) -> None:
    form = fields(ready.page("/phone/add")) | {"name": "Second", "service": "check-up"}
    ready.does("/phone/add", **form)
    assert calendar(ready, "cal-2")[0] == "Second"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": ""}, "a calendar needs a name"),
        ({"name": "x" * 81}, "is no name"),
        ({"name": "B\u202eb"}, "is no name"),
        ({"id": "cal 1"}, "is no id; it has letters, digits and dashes, such as cal-1"),
        ({"id": "cal/1"}, "is no id"),
        ({"id": "cäl"}, "is no id"),
        ({"id": "cal-1"}, "there is a calendar cal-1 already; choose another id"),
        ({"service": ""}, "a calendar needs a default service"),
        ({"service": "nothing"}, "there is no service nothing"),
        ({"who": "nobody"}, "there is no nobody"),
        ({"who": "anna"}, "anna does not do cleaning; say with the service who can do it first"),
        ({"time_zone": "London"}, "'London' is no time zone; they are written like Europe/London"),
        ({"time_zone": ""}, "is no time zone"),
        ({"hold_minutes": "0"}, "a hold lasts from 1 to 60 minutes, and not 0"),
        ({"hold_minutes": "61"}, "a hold lasts from 1 to 60 minutes, and not 61"),
        ({"hold_minutes": ""}, "say for how many minutes a time is held"),
        ({"hold_minutes": "ten"}, "must be a whole number"),
    ],
)
def test_what_cannot_work_comes_back_as_it_was_typed(ready: Owner, given: Any, says: str) -> None:
    form = fields(ready.page("/phone/add")) | {"name": "Ben", "service": "cleaning", "who": "ben"} | given
    page = ready.is_refused("/phone/add", **form)
    assert says in notices(page)
    shown = fields(page)
    for name in ("name", "hold_minutes", "time_zone"):
        assert shown[name] == ([form[name]] if isinstance(form[name], str) else form[name])
    if "id" not in given:
        right = fields(ready.page("/phone/add")) | {"name": "Ben", "id": "ben", "service": "cleaning"}
        ready.does("/phone/add", **right)
        page = ready.is_refused("/calendar/ben", **fields(ready.page("/calendar/ben")) | form)
        assert says in notices(page)


def test_a_form_that_a_colleague_overtook_is_not_saved_unseen(ready: Owner) -> None:
    colleague = ready.another()
    old = fields(colleague.page("/calendar/cal-1"))
    ready.changes("/calendar/cal-1", hold_minutes="5")
    page = colleague.is_refused("/calendar/cal-1", **old | {"name": "Front"})
    assert "a colleague has changed this since you opened the page" in notices(page)
    colleague.does("/calendar/cal-1", **fields(page))
    assert calendar(ready) == ("Front", "check-up", None, "UTC", 10)


def test_two_owners_who_press_the_button_at_once_make_one_calendar(owner: Owner) -> None:
    owner.does("/services/add", **CHECK_UP)
    pair, start = [owner, owner.another()], threading.Barrier(2)
    said: list[str] = []

    def press(one: Owner) -> None:
        start.wait()
        said.append(one.does("/phone/first"))

    threads = [threading.Thread(target=press, args=[each]) for each in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted("there is a calendar already" in each for each in said) == [False, True]


# --- what callers are offered right now ---------------------------------------------------------


def words_of(owner: Owner, path: str = "/phone") -> str:
    found = re.search(r"Right now callers are offered [^.]*\.", owner.reads(path))
    assert found
    return found[0]


def test_a_page_says_what_a_caller_would_be_offered_or_why_nothing(ready: Owner) -> None:
    today = words_of(ready)
    assert today == words_of(ready, "/calendar/cal-1")
    # The next three starts of people who work from nine to five every day.
    assert len(re.findall(r"\d\d? [A-Z][a-z]{2}, \d\d?:[03]0 [ap]m", today)) == 3
    ready.changes("/service/check-up", by_phone=None)
    assert "nothing: callers may not book Check-up by phone" in ready.reads("/phone")
    ready.changes("/service/check-up", by_phone="1", who=["carla"])
    assert "no time for Check-up is free in the next 21 days" in ready.reads("/phone")
    retire = "UPDATE resources SET retired_at = now() WHERE org_id = %s AND id = 'carla'"
    ready.sql.execute(retire, [ready.org])
    assert "nothing: nobody does its service" in ready.reads("/phone")


def test_a_calendar_of_one_who_is_retired_still_shows_whose_it_is(ready: Owner) -> None:
    ready.changes("/calendar/cal-1", who="anna")
    ready.sql.execute(
        "UPDATE resources SET retired_at = now() WHERE org_id = %s AND id = 'anna'", [ready.org]
    )
    assert "Anna (retired)" in ready.reads("/calendar/cal-1")
    ready.changes("/calendar/cal-1", hold_minutes="7")
    assert calendar(ready)[2:] == ("anna", "UTC", 7)


# --- the voice platform -------------------------------------------------------------------------


def test_the_page_says_whether_calls_get_through_and_no_secret(ready: Owner, elsewhere: Owner) -> None:
    add = (
        "INSERT INTO vapi_credentials (org_id, kind, secret_digest, label, last_used_at, revoked_at)"
        " VALUES (%s, 'bearer', %s, %s, %s, %s)"
    )
    ready.sql.execute(add, [elsewhere.org, "d" * 60 + ready.org[:4], "Theirs", None, None])
    ready.sql.execute(add, [ready.org, "e" * 60 + ready.org[:4], "Old", None, "2026-01-01T00:00Z"])
    assert "It is not connected, so no call gets through." in ready.reads("/phone")
    secret = "f" * 60 + ready.org[:4]
    ready.sql.execute(add, [ready.org, secret, "Vapi, live", "2026-11-03T10:05Z", None])
    page = ready.page("/phone")
    assert secret not in page
    read = ready.reads("/phone")
    assert "It is connected: its calls are let in by one credential." in read
    assert "Vapi, live last used Tue 3 Nov 2026 at 10:05 am" in read
    assert not any(word in read for word in ("Theirs", "Old"))
    ready.sql.execute(add, [ready.org, "a" * 60 + ready.org[:4], None, None, None])
    assert "a bearer token never used yet" in ready.reads("/phone")


# --- who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [StaffRole.STAFF, StaffRole.READ_ONLY])
def test_only_owners_see_and_change_calendars(ready: Owner, role: StaffRole) -> None:
    one = ready.another(role)
    before = ready.rows()
    for path in ("/phone", "/phone/add", "/calendar/cal-1"):
        assert one.person.get(f"settings{path}").status_code == 403
    form = fields(ready.page("/calendar/cal-1")) | {"name": "Mine", "id": "mine"}
    for path in ("/phone/first", "/phone/add", "/calendar/cal-1"):
        assert one.sends(path, **form).status_code == 403
    assert ready.rows() == before


def test_a_calendar_of_another_clinic_is_nobodys(ready: Owner, elsewhere: Owner) -> None:
    elsewhere.does("/services/add", **CHECK_UP | {"name": "Theirs"})
    form = fields(elsewhere.page("/phone/add")) | {"name": "Theirs", "id": "theirs", "service": "theirs"}
    elsewhere.does("/phone/add", **form)
    elsewhere.add("zoe", opening=EVERY_DAY)
    before = elsewhere.rows()
    form = fields(ready.page("/calendar/cal-1"))
    for which in ("theirs", "nobody", "a/b", "%00"):
        assert ready.person.get(f"settings/calendar/{which}").status_code == 404
        assert ready.sends(f"/calendar/{which}", **form).status_code == 404
    assert "there is no service theirs" in notices(
        ready.is_refused("/calendar/cal-1", **form | {"service": "theirs"})
    )
    assert "there is no zoe" in notices(ready.is_refused("/calendar/cal-1", **form | {"who": "zoe"}))
    assert elsewhere.rows() == before


def test_rubbish_is_never_an_error_of_ours(ready: Owner) -> None:
    for field in ("name", "service", "who", "time_zone", "hold_minutes", "seen"):
        for value in ("", "\x00", "'; --", "9" * 5000, "½"):
            form = fields(ready.page("/calendar/cal-1")) | {field: value}
            answer = ready.sends("/calendar/cal-1", **form)
            assert answer.status_code in {303, 400}, (field, value, answer.status_code)


def test_a_clinic_without_services_is_sent_to_add_one(empty: Owner) -> None:
    assert "A calendar books a service. Add a service , then come back." in empty.reads("/phone/add")
