"""People, rooms and devices on the owners' pages: added, given hours and services, retired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient

from models.clinics.staff import StaffRole
from tests.factories import create_clinic
from tests.webapp.cli.test_diary_resources import book
from tests.webapp.staff.browsers import employ
from tests.webapp.staff.owning import Owner, employ_owner, owner, press_at_once, said, seen_in, stranger_owner

__all__ = ["owner", "stranger_owner"]

FORTY = "Wolfeschlegelsteinhausenbergerdorff Jr."
DAY = datetime.now(UTC).date() + timedelta(days=14)
WEEKDAY = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[DAY.weekday()]


def add(owner: Owner, name: str, kind: str = "person") -> str:
    return owner.does("people", kind=kind, name=name, zone="UTC")


def hours(*periods: str, day: str = WEEKDAY) -> dict[str, list[str]]:
    """The fields of one weekday: 09:00-17:00, or 09:00-17:00@room-1."""
    split = [each.partition("@") for each in periods]
    return {
        f"{day}_from": [each[0].partition("-")[0] for each in split],
        f"{day}_until": [each[0].partition("-")[2] for each in split],
        f"{day}_room": [each[2] for each in split],
    }


def test_a_new_person_is_offered_once_the_page_says_that_nothing_is_missing(owner: Owner) -> None:
    page = add(owner, "Dr Zoë Müller")
    assert "Dr Zoë Müller was added." in page
    assert "without hours Dr Zoë Müller is never offered" in page
    assert "does none yet" in page
    page = owner.does("people/dr-zoe-muller/hours", **hours("09:00-10:00", ""))
    assert "without hours" not in page
    assert "9:00 am\N{EN DASH}10:00 am" in page
    assert owner.free(DAY.isoformat(), person="Dr Zoë Müller") == []
    page = owner.does("people/dr-zoe-muller/services", service=["check-up"])
    assert "Still missing" not in page
    assert owner.free(DAY.isoformat(), person="Dr Zoë Müller", service="Check-up") == ["09:00", "09:30"]
    assert "Dr Zoë Müller" in owner.page("people")
    actor = f"staff {owner.person.email}"
    for table in ("resources", "resource_hours", "service_resources"):
        assert (actor, "insert") in owner.audited(table), (table, owner.audited(table)[-1])


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"name": "  "}, "give a name"),
        ({"name": "x" * 81}, "at most 80 characters"),
        ({"name": "Dr\u202eX"}, "all of which can be read"),
        ({"kind": "chair"}, "choose a person, a room or a device"),
        ({"zone": "Mars/Base"}, "'Mars/Base' is no time zone"),
        ({"name": "cal-1"}, "there is a cal-1 already"),
    ],
)
def test_who_cannot_be_added_is_told_why_and_the_form_keeps_what_was_typed(
    owner: Owner, form: dict[str, str], sentence: str
) -> None:
    page = owner.is_refused("people", **({"kind": "room", "name": "Ann Typed", "zone": "UTC"} | form))
    assert "Nothing was changed: " in page
    assert sentence in page
    if "name" not in form:
        assert 'value="Ann Typed"' in page
    if "kind" not in form:
        assert '<option value="room" selected' in page


def test_two_of_like_names_get_ids_of_their_own_and_names_of_forty_letters_are_taken(owner: Owner) -> None:
    add(owner, FORTY)
    add(owner, f"{FORTY}!")
    add(owner, "李")
    ids = {row[0] for row in owner.rows("SELECT id FROM resources WHERE org_id = %s", owner.org)}
    slug = "wolfeschlegelsteinhausenbergerdorff-jr"
    assert ids == {"cal-1", "cal-2", slug, f"{slug}-2", "person"}


def test_hours_end_at_midnight_or_past_it_and_name_the_room(owner: Owner) -> None:
    add(owner, "Room 1", "room")
    page = owner.does(
        "people/cal-1/hours",
        **hours("09:00-12:00@room-1", "18:00-00:00", ""),
        **hours("22:00-02:00", day="x"),
    )
    assert "in Room 1, 6:00 pm\N{EN DASH}midnight" in page
    number = DAY.weekday()
    assert owner.weekly("cal-1") == [(number, 540, 720, "room-1"), (number, 1080, 1440, None)]
    form = owner.page("people/cal-1/hours")
    assert 'value="00:00"' in form
    assert '<option value="room-1" selected>' in form
    owner.does("people/cal-1/hours", **hours("22:00-02:00"))
    assert owner.weekly("cal-1") == [(number, 1320, 1560, None)]
    # What the page shows can be sent as it is.
    owner.does("people/cal-1/hours", **hours("22:00-02:00"), seen=seen_in(owner.page("people/cal-1/hours")))


@pytest.mark.parametrize(
    ("periods", "sentence"),
    [
        (["09:00-12:00", "11:00-17:00"], "overlap; write them as one"),
        (["25:00-26:00"], "'25:00' is no time of day"),
        (["09:00-"], "give both ends, or neither"),
        (["-17:00"], "give both ends, or neither"),
        (["09:00-05:00"], "it ends before it begins"),
        (["09:00-09:00"], "it ends before it begins"),
        (["9 am-5 pm"], "is no time of day"),
        (["09:00-12:00@cal-2"], "cal-2 is a person and no room"),
        (["09:00-12:00@nowhere"], "there is no room nowhere"),
        (["09:00-12:00@old"], "the room old is retired"),
    ],
)
def test_hours_that_cannot_be_are_refused_with_what_to_change(
    owner: Owner, periods: list[str], sentence: str
) -> None:
    add(owner, "Old", "room")
    owner.does("people/old/retire")
    page = owner.is_refused("people/cal-1/hours", **hours(*periods))
    assert sentence in page
    assert f'name="{WEEKDAY}_from" value="{periods[0].partition("-")[0]}"' in page


def test_hours_that_overlap_over_a_midnight_are_refused(owner: Owner) -> None:
    page = owner.is_refused(
        "people/cal-1/hours", **hours("20:00-04:00", day="sun"), **hours("02:00-10:00", day="mon")
    )
    assert "two periods of Sunday and Monday overlap" in page


def test_only_a_persons_hours_name_a_room(owner: Owner) -> None:
    add(owner, "Room 1", "room")
    assert "_room" not in owner.page("people/room-1/hours")
    page = owner.is_refused("people/room-1/hours", **hours("09:00-12:00@room-1"))
    assert "only the hours of a person name a room" in page


def test_monday_is_copied_into_the_form_and_saved_only_then(owner: Owner) -> None:
    before = owner.weekly("cal-1")
    form = {**hours("08:00-12:00", "13:00-15:00", day="mon"), **hours("10:00-11:00", day="wed")}
    answer = owner.sends("people/cal-1/hours", **form, copy="workdays")
    assert answer.status_code == 200
    assert owner.weekly("cal-1") == before
    assert 'name="tue_from" value="08:00"' in answer.text
    assert 'name="fri_until" value="15:00"' in answer.text
    assert 'name="wed_from" value="08:00"' not in answer.text
    assert 'name="sat_from" value="08:00"' not in answer.text
    assert 'name="sun_from" value="08:00"' in owner.sends("people/cal-1/hours", **form, copy="all").text


def test_a_room_that_is_closed_while_its_person_works_is_said(owner: Owner) -> None:
    add(owner, "Room 1", "room")
    owner.does("people/room-1/hours", **hours("13:00-17:00"))
    page = owner.does("people/cal-1/hours", **hours("09:00-12:00@room-1"))
    assert "works in Room 1 (room-1) on " in page
    assert page.count("when it is closed, and is not offered then") == 2  # as a notice, and as still missing


def test_hours_taken_away_leave_the_appointments_and_say_how_many_stand(
    owner: Owner, client: FlaskClient
) -> None:
    booked = book(client, owner.org, slotId=f"{DAY}T10:00:00Z")
    page = owner.does("people/cal-1/hours", **hours("13:00-17:00"))
    assert "1 appointment stands that would no longer be offered" in page
    [(status,)] = owner.rows("SELECT status FROM appointments WHERE id = %s", booked)
    assert status == "confirmed"
    page = owner.does("people/cal-1/hours")
    assert "None: never open" in page
    assert "1 appointment stands" in page
    page = owner.does("people/cal-2/hours", **hours("13:00-17:00"))
    assert "stand" not in page.split("<h1>")[0]


def test_the_only_one_of_a_service_keeps_it(owner: Owner) -> None:
    page = owner.does("people/cal-2/services")
    assert "does none yet" in page
    page = owner.is_refused("people/cal-1/services")
    assert "cal-1 is the only person of the service check-up" in page
    assert "give the service another one" in page
    answer = owner.sends("people/cal-1/retire")
    assert answer.status_code == 303
    assert "the only person of the service check-up" in owner.page("people/cal-1")
    assert owner.rows("SELECT retired_at FROM resources WHERE id = 'cal-1' AND org_id = %s", owner.org) == [
        (None,)
    ]


def test_a_service_that_is_none_is_refused(owner: Owner) -> None:
    assert "there is no service zq" in owner.is_refused("people/cal-1/services", service=["check-up", "zq"])


def test_a_device_can_be_taken_for_a_service(owner: Owner) -> None:
    add(owner, "Laser", "device")
    owner.does("people/laser/services", service=["check-up"])
    able = owner.rows("SELECT resource_id FROM service_resources WHERE org_id = %s ORDER BY 1", owner.org)
    assert able == [("cal-1",), ("cal-2",), ("laser",)]


def test_who_is_retired_is_folded_away_and_taken_back(owner: Owner, client: FlaskClient) -> None:
    book(client, owner.org, slotId=f"{DAY}T10:00:00Z", calendarId="cal-2")
    page = owner.does("people/cal-2/retire")
    assert "1 appointment stands" in page
    assert "Offer cal-2 again" in page
    assert "Retired: 1" in owner.page("people")
    assert owner.free(DAY.isoformat(), person="cal-2") == []
    owner.does("people/cal-2/retire", undo="1")
    assert "Retired" not in owner.page("people")
    assert owner.free(DAY.isoformat(), calendarId="cal-2")


def test_a_name_and_a_zone_are_changed_and_what_is_booked_stays(owner: Owner, client: FlaskClient) -> None:
    book(client, owner.org, slotId=f"{DAY}T09:00:00Z")
    page = owner.does("people/cal-1", name=FORTY, zone="Pacific/Auckland")
    assert f"<h1>{FORTY}</h1>" in page
    assert "1 appointment stands" in page  # at night there
    for form, sentence in (
        ({"name": "", "zone": "UTC"}, "give a name"),
        ({"name": "Ann Typed", "zone": "UTC+1"}, "is no time zone"),
    ):
        page = owner.is_refused("people/cal-1", **form)
        assert sentence in page
        assert f'value="{form["name"]}"' in page


def test_a_room_in_which_somebody_works_is_not_retired(owner: Owner) -> None:
    add(owner, "Room 1", "room")
    owner.does("people/cal-1/hours", **hours("09:00-12:00@room-1"))
    owner.sends("people/room-1/retire")
    assert "the hours of cal-1 name the room room-1" in owner.page("people/room-1")


# --- others ---------------------------------------------------------------------------------------------


def test_another_clinics_person_is_nobody(owner: Owner, stranger_owner: Owner) -> None:
    [(theirs,)] = owner.rows("SELECT id FROM resources WHERE org_id = %s", stranger_owner.org)
    before = stranger_owner.everything()
    for path in ("", "/hours", "/services"):
        found = owner.person.get(f"settings/people/{theirs}{path}")
        nobody = owner.person.get(f"settings/people/nobody{path}")
        assert (found.status_code, found.text) == (nobody.status_code, nobody.text)
        assert found.status_code == 404
    for path in ("", "/hours", "/services", "/retire"):
        found = owner.sends(f"people/{theirs}{path}", name="Mine", zone="UTC")
        assert found.status_code == 404
    assert stranger_owner.everything() == before
    assert owner.person.get("settings/people/%00").status_code == 404


@pytest.mark.parametrize("role", [StaffRole.STAFF, StaffRole.READ_ONLY])
def test_only_owners_see_and_change_people(owner: Owner, role: StaffRole) -> None:
    other = employ(owner.app, owner.org, "Sam", role)
    other.sign_in()
    before = owner.everything()
    for path in ("people", "people/cal-1", "people/cal-1/hours", "people/cal-1/services"):
        assert other.get(f"settings/{path}").status_code == 403
        assert other.post(f"settings/{path}", kind="person", name="X", zone="UTC").status_code == 403
    assert other.post("settings/people/cal-1/retire").status_code == 403
    assert owner.everything() == before


def test_whoever_saves_over_a_change_of_somebody_else_is_told_first(owner: Owner) -> None:
    colleague = employ_owner(owner.app, owner.sql, owner.org)
    seen = {path: seen_in(owner.page(f"people/cal-1{path}")) for path in ("", "/hours", "/services")}
    add(owner, "Dr Shah")
    colleague.does("people/cal-1/hours", **hours("08:00-09:00"))
    colleague.does("people/cal-1", name="Dr Anna Lee", zone="UTC")
    colleague.does("people/dr-shah/services", service=["check-up"])
    colleague.does("people/cal-1/services")
    for path, form, now in (
        ("/hours", hours("10:00-11:00"), "8:00 am\N{EN DASH}9:00 am"),
        ("", {"name": "Anna", "zone": "UTC"}, "Dr Anna Lee, UTC"),
        ("/services", {"service": ["check-up"]}, ""),
    ):
        page = owner.sends(f"people/cal-1{path}", **form, seen=seen[path])
        if path == "/services":  # they want what there was: that is a change, too
            assert page.status_code == 400
        assert "somebody else has changed this since you opened the page" in said(page)[0]
        assert now in said(page)[0]
        owner.does(f"people/cal-1{path}", **form, seen=seen_in(page.text))


def test_two_owners_at_once_add_one_of_a_name(owner: Owner) -> None:
    other = employ_owner(owner.app, owner.sql, owner.org)
    form = {"kind": "person", "name": "Dr Twice", "zone": "UTC"}
    assert sorted(press_at_once("resources", [(owner, "people", form), (other, "people", form)])) == [
        303,
        400,
    ]
    assert owner.rows("SELECT id FROM resources WHERE name = 'Dr Twice' AND org_id = %s", owner.org) == [
        ("dr-twice",)
    ]


@pytest.mark.parametrize(("what", "table"), [("services", "service_resources"), ("retire", "resources")])
def test_two_owners_at_once_leave_a_service_with_somebody(owner: Owner, what: str, table: str) -> None:
    other = employ_owner(owner.app, owner.sql, owner.org)
    press_at_once(table, [(owner, f"people/cal-1/{what}", {}), (other, f"people/cal-2/{what}", {})])
    able = owner.rows(
        "SELECT count(*) FROM service_resources s JOIN resources r"
        " ON r.org_id = s.org_id AND r.id = s.resource_id AND r.retired_at IS NULL WHERE s.org_id = %s",
        owner.org,
    )
    assert able == [(1,)]


def test_a_new_clinic_is_proposed_its_countrys_clock(owner: Owner) -> None:
    new = employ_owner(owner.app, owner.sql, create_clinic((), region="GB"))
    assert "<option selected>Europe/London</option>" in new.page("people")
    page = new.does("people", kind="person", name="Anna", zone="Europe/London")
    assert "the clinic has none yet that could be booked" in page
    assert '<a href="/dashboard/settings/phone">Add a calendar for calls</a>' in page


RUBBISH = ("\x00", "9999-12-31", "0001-01-01", "24:00", "-1", "../..", "\ud800", "١٢:٣٠", "x" * 5000, "<b>")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("people", ("kind", "name", "zone")),
        ("people/cal-1", ("name", "zone", "seen")),
        ("people/cal-1/hours", ("mon_from", "mon_until", "mon_room", "copy", "seen")),
        ("people/cal-1/services", ("service", "seen")),
        ("closures/new", ("for", "from_day", "until_day", "what", "from_time", "until_time", "room", "back")),
        ("closures/take-back", ("id", "back")),
        ("closures/holidays", ("subdivision", "day")),
    ],
)
def test_rubbish_is_never_an_error_of_ours(owner: Owner, path: str, fields: tuple[str, ...]) -> None:
    right = {
        "kind": "person",
        "name": "Ann",
        "zone": "UTC",
        "mon_from": "09:00",
        "mon_until": "10:00",
        "service": "check-up",
        "from_day": DAY.isoformat(),
        "what": "open",
        "from_time": "18:00",
        "until_time": "19:00",
        "day": DAY.isoformat(),
    }
    good = {name: right[name] for name in fields if name in right}
    for field in fields:
        for value in RUBBISH:
            form = {
                name: each.encode("utf-8", "surrogatepass") for name, each in {**good, field: value}.items()
            }
            answer = owner.sends(path, **form)  # type: ignore[arg-type]
            assert answer.status_code in {200, 303, 400}, (field, value[:20], answer.status_code)
            if answer.status_code == 303:
                assert owner.person.client.get(answer.location).status_code in {200, 404}
    assert "<b>" not in owner.person.get("settings/people").text
