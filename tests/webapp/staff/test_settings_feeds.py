"""An owner adds, changes and removes the calendars of people that are kept elsewhere."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from models.clinics.staff import StaffRole
from tests.conftest import Clock
from tests.webapp.staff.desk import DAY, Desk, at
from tests.webapp.staff.desk import desk as desk  # the fixture  # noqa: PLC0414
from tests.webapp.staff.desk import elsewhere as elsewhere  # the fixture  # noqa: PLC0414

ADDRESS = "https://calendar.test/private-s3cr3tt0ken/basic.ics"
FEEDS = "settings/calendars"


@pytest.fixture
def owner(desk: Desk) -> Desk:
    return desk.colleague(StaffRole.OWNER, "Olive")


def add(owner: Desk, **form: str) -> Any:
    values = {"who": "cal-1", "address": ADDRESS, "label": "Google", "every_minutes": "10"}
    return owner.person.post(f"{FEEDS}/feeds", **(values | form))


def feed_of(owner: Desk) -> str:
    [(found,)] = owner.sql.execute(
        "SELECT id::text FROM calendar_feeds WHERE org_id = %s", [owner.org]
    ).fetchall()
    return str(found)


def make_busy(owner: Desk, begin: str, end: str) -> None:
    owner.sql.execute(
        "INSERT INTO blocks (org_id, resource_id, starts_at, ends_at, reason, source, feed_id)"
        " VALUES (%s, 'cal-1', %s, %s, 'Google', 'feed', %s)",
        [owner.org, at(begin), at(end), feed_of(owner)],
    )
    owner.sql.execute("UPDATE calendar_feeds SET read_at = app_clock() WHERE org_id = %s", [owner.org])


def test_an_address_is_added_and_never_shown_again(owner: Desk) -> None:
    assert add(owner).status_code == 303
    page = owner.page(FEEDS)
    assert "https://calendar.test/…" in page
    assert "Not read yet" in page
    assert "s3cr3t" not in page
    sealed = owner.sql.execute(
        "SELECT address_sealed, every_minutes FROM calendar_feeds WHERE org_id = %s", [owner.org]
    ).fetchone()
    assert sealed is not None
    assert "s3cr3t" not in sealed[0]
    [(_, action)] = owner.audit("calendar_feeds", feed_of(owner))
    assert action == "insert"


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"address": "http://calendar.test/a.ics"}, "must be https://"),
        ({"address": "calendar.test"}, "begins with https://"),
        ({"address": "https://me:pw@calendar.test/"}, "needs none"),
        ({"label": " "}, "name for the diary"),
        ({"every_minutes": "4"}, "every 5 to 1440 minutes"),
        ({"every_minutes": "often"}, "every 5 to 1440 minutes"),
        ({"who": "nobody"}, "choose whose calendar"),
    ],
)
def test_what_cannot_be_is_said_and_the_form_keeps_what_was_typed(
    owner: Desk, form: dict[str, str], says: str
) -> None:
    answer = add(owner, **({"label": "My own"} | form))
    assert answer.status_code == 400
    assert says in answer.text
    if "label" not in form:
        assert 'value="My own"' in answer.text
    assert owner.count("calendar_feeds") == 0


def test_the_page_says_how_it_stands(owner: Desk, clock: Clock) -> None:
    clock.stop()
    add(owner)
    make_busy(owner, "10:00", "11:00")
    clock.forward(120)
    page = owner.page(FEEDS)
    assert re.search(r"Read 2 min ago, 1 busy time\s+until", page)
    owner.sql.execute("UPDATE calendar_feeds SET problem = 'not_found' WHERE org_id = %s", [owner.org])
    page = owner.page(FEEDS)
    assert "No calendar is there any more" in page
    assert "not_found" in page
    assert "<strong>Callers are not offered" not in page


def test_past_the_limit_the_diary_says_who_is_not_offered(owner: Desk, desk: Desk) -> None:
    add(owner)
    assert "has not been read since" not in desk.page("diary")
    owner.sql.execute(
        "UPDATE calendar_feeds SET created_at = created_at - interval '25 hours' WHERE org_id = %s",
        [owner.org],
    )
    assert "Callers are not offered cal-1 until" in desk.page("diary")
    assert "Callers are not offered cal-1</strong>" in owner.page(FEEDS)
    assert owner.person.post(f"{FEEDS}/feed-limit", hours="48").status_code == 303
    assert "has not been read since" not in desk.page("diary")


@pytest.mark.parametrize("hours", ["0", "337", "", "soon"])
def test_the_limit_is_from_an_hour_to_fourteen_days(owner: Desk, hours: str) -> None:
    answer = owner.person.post(f"{FEEDS}/feed-limit", hours=hours)
    assert answer.status_code == 400
    assert "from 1 to 336" in answer.text


def test_what_is_booked_in_busy_times_is_shown_with_a_link(owner: Desk) -> None:
    add(owner)
    appointment = owner.booked("10:00")
    make_busy(owner, "09:30", "10:30")
    page = owner.page(FEEDS)
    assert f"/dashboard/diary/appointments/{appointment}" in page
    assert "Ann Desk" in page


def test_the_desk_sees_its_label_and_cannot_remove_it(owner: Desk, desk: Desk) -> None:
    add(owner)
    make_busy(owner, "10:00", "11:00")
    entries = desk.person.get(f"diary/entries?day={DAY}").get_json()["entries"]
    [busy] = [each for each in entries if each["kind"] == "block"]
    assert busy["title"] == "Google"
    page = desk.page(busy["url"].removeprefix("/dashboard/"))
    assert "Change it there" in page
    assert "Remove the block" not in page
    answer = desk.person.post(f"{busy['url'].removeprefix('/dashboard/')}/remove")
    assert answer.location == busy["url"]
    assert "comes from the calendar Google" in desk.page(busy["url"].removeprefix("/dashboard/"))
    assert owner.count("blocks") == 1
    assert desk.claim("10:00")["success"] is False


def test_it_is_read_turned_off_and_on_changed_and_removed(owner: Desk) -> None:
    add(owner)
    feed = f"{FEEDS}/feeds/{feed_of(owner)}"
    make_busy(owner, "10:00", "11:00")
    owner.sql.execute("UPDATE calendar_feeds SET due_at = now() + interval '1 hour'")
    assert owner.person.post(f"{feed}/read").status_code == 303
    assert owner.sql.execute(
        "SELECT due_at <= app_clock() FROM calendar_feeds WHERE org_id = %s", [owner.org]
    ).fetchone() == (True,)
    assert owner.person.post(f"{feed}/change", label="Outlook", every_minutes="60").status_code == 303
    assert owner.sql.execute(
        "SELECT b.reason, f.every_minutes FROM blocks b JOIN calendar_feeds f ON f.id = b.feed_id"
        " WHERE b.org_id = %s",
        [owner.org],
    ).fetchall() == [("Outlook", 60)]
    assert owner.person.post(f"{feed}/turn", on="0").status_code == 303
    assert owner.count("blocks") == 0
    assert "Turned off" in owner.page(FEEDS)
    assert owner.person.post(f"{feed}/read").status_code == 404
    assert owner.person.post(f"{feed}/turn", on="1").status_code == 303
    assert owner.person.post(f"{feed}/remove").status_code == 303
    assert owner.count("calendar_feeds") == 0


def test_another_clinics_calendar_is_nobodys(owner: Desk, elsewhere: Desk) -> None:
    add(owner)
    theirs = elsewhere.colleague(StaffRole.OWNER, "Eve")
    for feed in (feed_of(owner), str(uuid.uuid4())):
        for deed, form in (
            ("read", {}),
            ("change", {"label": "x", "every_minutes": "10"}),
            ("turn", {"on": "0"}),
            ("remove", {}),
        ):
            assert theirs.person.post(f"{FEEDS}/feeds/{feed}/{deed}", **form).status_code == 404, deed
    assert "calendar.test" not in theirs.page(FEEDS)
    assert owner.count("calendar_feeds") == 1


def test_only_owners_may(desk: Desk) -> None:
    assert desk.person.get(FEEDS).status_code == 403
    assert add(desk).status_code == 403
