"""Closed days on the owners' pages, and the public holidays that an owner accepts."""

from __future__ import annotations

import html
import re
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.booking import resources, services, set_up
from models.booking.resources import ResourceKind
from models.clinics.staff import StaffRole
from tests.factories import EVERY_DAY, create_clinic
from tests.places import ROOT
from tests.webapp.cli.test_diary_resources import book
from tests.webapp.staff.browsers import employ
from tests.webapp.staff.owning import Owner, employ_owner, owner, press_at_once, stranger_owner
from webapp.staff.settings import owners

__all__ = ["owner", "stranger_owner"]

TODAY = datetime.now(UTC).date()
DAY = TODAY + timedelta(days=14)
NEXT = DAY + timedelta(days=1)
EVERY = [f"{hour:02}:{minute:02}" for hour in range(9, 17) for minute in (0, 30)]


def closing(**form: object) -> dict[str, str]:
    """What the form sends: the whole clinic closed on one day, unless said otherwise."""
    whole = {
        "for": "",
        "from_day": DAY,
        "until_day": "",
        "what": "closed",
        "from_time": "",
        "until_time": "",
        "room": "",
        "reason": "",
    }
    return {name: str(value) for name, value in (whole | form).items()}


def kept(owner: Owner) -> list[tuple[object, ...]]:
    return owner.rows(
        "SELECT day, resource_id, is_open, from_minute, until_minute, room_id, reason"
        " FROM hours_exceptions WHERE org_id = %s ORDER BY day, resource_id, from_minute",
        owner.org,
    )


def test_a_range_is_closed_shown_as_one_and_taken_back_as_one(owner: Owner) -> None:
    page = owner.does("closures/new", **closing(until_day=NEXT, reason="Works outing"))
    assert "Works outing" in page
    assert page.count("Remove<") == 1
    assert owner.free(DAY.isoformat()) == owner.free(NEXT.isoformat()) == []
    ids = re.findall(r'name="id" value="([^"]+)"', page)
    assert len(ids) == 2
    page = owner.does("closures/take-back", id=ids)
    assert "Every day is as usual." in page
    assert owner.free(DAY.isoformat()) == EVERY
    actor = f"staff {owner.person.email}"
    audited = owner.audited("hours_exceptions")
    assert audited == [(actor, "insert")] * 2 + [(actor, "delete")] * 2
    owner.does("closures/take-back", id=ids)  # pressed again
    assert kept(owner) == []


def test_a_part_of_a_day_closes_and_hours_are_opened_besides_in_a_room(owner: Owner) -> None:
    owner.does("people", kind="room", name="Room 1", zone="UTC")
    owner.does(
        "closures/new",
        **closing(**{"for": "cal-1"}, what="part", from_time="10:00", until_time="16:00", room="room-1"),
    )
    page = owner.does(
        "closures/new",
        **closing(
            **{"for": "cal-1"},
            what="open",
            from_time="22:00",
            until_time="00:00",
            room="room-1",
            reason="Emergencies",
            back="cal-1",
        ),
    )
    assert "<h1>cal-1</h1>" in page
    assert "also open 10:00 pm" in page
    assert "midnight in Room 1" in page
    assert kept(owner) == [
        (DAY, "cal-1", False, 600, 960, None, None),
        (DAY, "cal-1", True, 1320, 1440, "room-1", "Emergencies"),
    ]
    assert owner.free(DAY.isoformat(), person="cal-1") == [
        *("09:00", "09:30", "16:00", "16:30"),
        *("22:00", "22:30", "23:00", "23:30"),
    ]
    assert "Every day is as usual" in owner.page("people/cal-2")


def last_sunday_of_march() -> date:
    last = date(TODAY.year + 1, 3, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"from_day": TODAY - timedelta(days=2)}, "is over; give a day from today on"),
        ({"from_day": TODAY + timedelta(days=4000)}, "more than ten years ahead"),
        ({"from_day": "0001-01-01"}, "is over"),
        ({"from_day": "Christmas"}, "Christmas is no date"),
        ({"from_day": ""}, "nothing is no date"),
        ({"until_day": DAY - timedelta(days=1)}, "does not run forward"),
        ({"until_day": DAY + timedelta(days=400)}, "runs for more than a year"),
        ({"what": "part"}, "give both ends of the hours"),
        ({"what": "open", "from_time": "09:00"}, "give both ends of the hours"),
        ({"what": "part", "from_time": "17:00", "until_time": "09:00"}, "it ends before it begins"),
        ({"what": "part", "from_time": "nine", "until_time": "10:00"}, "is no time of day"),
        ({"for": "zq-nobody"}, "there is no zq-nobody"),
        (
            {"for": "cal-1", "what": "open", "from_time": "18:00", "until_time": "19:00", "room": "old"},
            "retired",
        ),
        (
            {"what": "open", "from_time": "18:00", "until_time": "19:00", "room": "room-1"},
            "leave the room out",
        ),
        ({"reason": "x" * 81}, "at most 80 characters"),
        (
            {
                "for": "london",
                "from_day": last_sunday_of_march(),
                "what": "part",
                "from_time": "01:30",
                "until_time": "09:00",
            },
            "01:30 does not exist on",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_change_and_what_was_typed(
    owner: Owner, form: dict[str, object], sentence: str
) -> None:
    for kind, name, zone in (
        ("room", "Room 1", "UTC"),
        ("room", "Old", "UTC"),
        ("person", "London", "Europe/London"),
    ):
        owner.does("people", kind=kind, name=name, zone=zone)
    owner.does("people/old/retire")
    page = owner.is_refused("closures/new", **closing(**({"reason": "Typed"} | form)))
    assert sentence in page
    if "reason" not in form:
        assert 'value="Typed"' in page
    for name in ("from_day", "until_day", "from_time", "until_time"):
        if form.get(name):
            assert f'value="{form[name]}"' in page


def test_a_closure_leaves_the_appointments_and_says_how_many_stand(owner: Owner, client: FlaskClient) -> None:
    booked = [
        book(client, owner.org, slotId=f"{DAY}T10:00:00Z", calendarId=calendar)
        for calendar in ("cal-1", "cal-2")
    ]
    assert "1 appointment stands" in owner.does("closures/new", **closing(**{"for": "cal-2"}))
    assert "2 appointments stand" in owner.does("closures/new", **closing())
    statuses = owner.rows("SELECT status FROM appointments WHERE id = ANY(%s::uuid[])", booked)
    assert statuses == [("confirmed",)] * 2
    # An opening that is taken back leaves what was booked in it.
    owner.does(
        "closures/new", **closing(**{"for": "cal-1"}, what="open", from_time="18:00", until_time="19:00")
    )
    book(client, owner.org, slotId=f"{DAY}T18:00:00Z", calendarId="cal-1")
    [(opening,)] = owner.rows("SELECT id FROM hours_exceptions WHERE is_open AND org_id = %s", owner.org)
    assert "stand that" in owner.does("closures/take-back", id=str(opening))


def test_a_date_beyond_what_patients_may_book_is_said(owner: Owner) -> None:
    page = owner.does("closures/new", **closing(from_day=TODAY + timedelta(days=500)))
    assert "Patients may book at most 400 days ahead" in page


def test_another_clinics_dates_are_nobodys(owner: Owner, stranger_owner: Owner) -> None:
    stranger_owner.does("closures/new", **closing(reason="Theirs"))
    [(theirs,)] = owner.rows("SELECT id FROM hours_exceptions WHERE org_id = %s", stranger_owner.org)
    [(person,)] = owner.rows("SELECT id FROM resources WHERE org_id = %s", stranger_owner.org)
    before = stranger_owner.everything()
    assert "Theirs" not in owner.page("closures")
    for each in (str(theirs), "00000000-0000-4000-8000-000000000000", "nonsense", "\x00"):
        assert "that was already removed" in owner.does("closures/take-back", id=each)
    assert f"there is no {person}" in owner.is_refused("closures/new", **closing(**{"for": person}))
    assert stranger_owner.everything() == before


@pytest.mark.parametrize("role", [StaffRole.STAFF, StaffRole.READ_ONLY])
def test_only_owners_close(owner: Owner, role: StaffRole) -> None:
    other = employ(owner.app, owner.org, "Sam", role)
    other.sign_in()
    for path in ("closures", "closures/new", "closures/holidays"):
        assert other.get(f"settings/{path}").status_code == 403
    for path in ("closures/new", "closures/take-back", "closures/holidays"):
        assert other.post(f"settings/{path}", **closing()).status_code == 403
    assert kept(owner) == []


@pytest.mark.parametrize("whose", ["", "cal-1"])
def test_two_owners_at_once_close_a_day_once(owner: Owner, whose: str) -> None:
    other = employ_owner(owner.app, owner.sql, owner.org)
    form = closing(**{"for": whose})
    statuses = press_at_once("hours_exceptions", [(each, "closures/new", form) for each in (owner, other)])
    assert statuses == [303, 303]
    assert len(kept(owner)) == 1


# --- public holidays ------------------------------------------------------------------------------------


def ticked(page: str) -> list[str]:
    return re.findall(r'name="day" value="([\d-]+)" checked>', page)


def shown(page: str) -> dict[str, str]:
    return {
        day: name.strip()
        for day, name in re.findall(r'name="day" value="([\d-]+)"[^>]*> <span>[^:]*: ([^<]*)', page)
    }


def test_holidays_are_proposed_and_closed_only_once_an_owner_says_so(owner: Owner) -> None:
    page = owner.page("closures/holidays?subdivision=SCT")
    found = shown(page)
    assert kept(owner) == []
    assert {"Christmas Day", "Saint Andrew's Day"} <= set(found.values())
    assert "Saint Andrew's Day" not in shown(owner.page("closures/holidays")).values()
    assert ticked(page) == list(found)
    days = [date.fromisoformat(each) for each in found]
    assert min(days) >= TODAY
    assert max(days) <= TODAY + timedelta(days=548)
    chosen = sorted(found)[1:3]
    page = owner.does("closures/holidays", subdivision="SCT", day=chosen)
    assert all(found[day] in page for day in chosen)
    assert [(str(row[0]), row[1], row[6]) for row in kept(owner)] == [
        (day, None, found[day]) for day in chosen
    ]
    assert owner.audited("hours_exceptions") == [(f"staff {owner.person.email}", "insert")] * 2
    page = owner.page("closures/holidays?subdivision=GB-SCT")
    assert page.count("(closed already)") == 2
    assert ticked(page) == []  # the others were left out on purpose
    owner.does("closures/holidays", subdivision="SCT", day=chosen)  # pressed again
    assert len(kept(owner)) == 2


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"day": []}, "choose at least one day"),
        ({"day": ["2026-02-30"]}, "that is no date"),
        ({"day": [DAY.isoformat(), "1999-12-25"]}, "is no public holiday to come there"),
        ({"day": ["1999-12-25"], "subdivision": "TX"}, "GB has no part TX"),
    ],
)
def test_what_is_no_holiday_is_not_closed(
    owner: Owner, form: dict[str, str | list[str]], sentence: str
) -> None:
    assert sentence in owner.is_refused("closures/holidays", **form)


def test_a_country_or_part_whose_holidays_are_not_known_is_said(owner: Owner) -> None:
    assert "GB has no part TX" in owner.page("closures/holidays?subdivision=TX")
    elsewhere = employ_owner(owner.app, owner.sql, create_clinic(region="ZZ"))
    page = elsewhere.page("closures/holidays")
    assert "The public holidays of the country ZZ are not known here" in page
    assert 'name="day"' not in page
    french = employ_owner(owner.app, owner.sql, create_clinic(region="FR"))
    assert "Toussaint" in french.page("closures/holidays?subdivision=zone%20a")


def test_no_process_loads_the_library_before_somebody_asks_for_holidays() -> None:
    code = "import sys, wsgi, tasks.app; print([each for each in sys.modules if each.startswith('holidays')])"
    code = code if (ROOT / "tasks/app.py").exists() else code.replace(", tasks.app", "")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip().splitlines() or [done.stderr])[-1] == "[]"


def test_a_change_that_leaves_much_without_an_offer_says_the_first_of_it_and_how_much_more(
    owner: Owner,
) -> None:
    """What is said travels in the session's cookie, and browsers drop one of more than 4 KB."""
    with transaction(uuid.UUID(owner.org)) as session:
        for number in range(30):
            set_up.add_resource(
                session,
                org_id=uuid.UUID(owner.org),
                resource_id=f"dentist-{number}",
                kind=ResourceKind.PERSON,
                name=f"Dentist {number} {'of a long name' * 3}",
                time_zone="UTC",
                opening=EVERY_DAY,
            )
        (service,) = services.list_of_clinic(session, uuid.UUID(owner.org))
        able = [each.id for each in resources.list_of_clinic(session, uuid.UUID(owner.org))]
        set_up.set_resources(session, uuid.UUID(owner.org), service.id, able)
    answer = owner.sends("closures/new", **closing(from_day=TODAY, until_day=TODAY + timedelta(days=60)))
    assert answer.status_code == 303
    assert len(answer.headers["Set-Cookie"]) < 4000
    page = html.unescape(owner.person.client.get(answer.location).text)
    assert page.count("has no hours in the next four weeks") == owners.MOST_NOTES
    assert "First steps has 28 more" in page
