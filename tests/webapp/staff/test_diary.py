"""The diary: the day and the week of the clinic's people, one appointment, and blocks."""

from __future__ import annotations

import re
import uuid
from datetime import date, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.booking import set_up
from models.booking.resources import ResourceKind
from tests.conftest import Clock
from tests.linked import Linked
from tests.webapp.staff.browsers import Person
from tests.webapp.staff.desk import DAY, Desk, at, id_in, later, open_desk, slot_id
from tests.webapp.staff.desk import desk as desk  # the fixture  # noqa: PLC0414
from tests.webapp.staff.desk import elsewhere as elsewhere  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import nudged as nudged  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import shown

MONDAY = (date.fromisoformat(DAY) - timedelta(days=date.fromisoformat(DAY).weekday())).isoformat()


def entries(desk: Desk, query: str = f"day={DAY}") -> dict[str, Any]:
    answer = desk.person.get(f"diary/entries?{query}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


def titles(desk: Desk, query: str = f"day={DAY}") -> list[str]:
    return [entry["title"] for entry in entries(desk, query)["entries"]]


# --- a day and a week ---------------------------------------------------------------------------


def test_the_day_shows_what_takes_up_time_in_order_and_nothing_of_another_clinic(
    desk: Desk, elsewhere: Desk, client: FlaskClient
) -> None:
    Linked(client, desk.sql, desk.org, start=slot_id("15:00"), patientName="Tom Phone")
    desk.booked("09:00", name="Ann Desk")
    gone = desk.booked("12:00", name="Gone Again")
    desk.person.post(f"diary/appointments/{gone}/cancel")
    assert desk.claim("10:00", "cal-2", patientName="Cal Caller")["success"]
    desk.block("13:00", "14:00")
    desk.booked("09:00", name="Next Day", day=later(1))
    elsewhere.booked("09:30", name="Their Patient")
    assert elsewhere.claim("11:00", patientName="Their Caller")["success"]
    elsewhere.block("14:00", "15:00", reason="Their meeting")

    assert titles(desk) == ["Ann Desk", "Cal Caller", "Staff meeting", "Tom Phone"]
    page = shown(desk.person.get(f"diary?day={DAY}"))
    places = [page.index(name) for name in ("Ann Desk", "Cal Caller", "Blocked: Staff meeting", "Tom Phone")]
    assert places == sorted(places)
    for name in ("Gone Again", "Next Day", "Their"):
        assert name not in page
    assert "9:00 am to 9:30 am" in page
    assert "held, " in page


def test_the_entries_say_all_that_the_columns_draw(desk: Desk, client: FlaskClient) -> None:
    linked = Linked(client, desk.sql, desk.org, start=slot_id("15:00"), patientName="Tom Phone")
    hold = desk.claim("10:00", "cal-2", patientName="Cal Caller")["holdId"]
    block = id_in(desk.block("13:00", "14:00"))
    found = entries(desk)
    assert [(each["id"], each["kind"], each["open"]) for each in found["resources"]] == [
        (name, "person", [[f"{day}T09:00:00", f"{day}T17:00:00"] for day in (later(-1), DAY, later(1))])
        for name in ("cal-1", "cal-2")
    ]
    held, blocked, booked = found["entries"]
    assert booked == {
        "id": f"appointment-{linked.appointment}",
        "kind": "appointment",
        "resources": ["cal-1"],
        "start": f"{DAY}T15:00:00",
        "end": f"{DAY}T15:30:00",
        "at": "3:00 pm",
        "before": 0,
        "after": 0,
        "title": "Tom Phone",
        "service": "Check-up",
        "status": "confirmed",
        "sms": "queued",
        "left": None,
        "overruled": None,
        "url": f"/dashboard/diary/appointments/{linked.appointment}",
    }
    assert (held["id"], held["kind"], held["url"]) == (f"hold-{hold}", "hold", None)
    assert 0 < held["left"] <= 600
    assert (blocked["id"], blocked["url"]) == (f"block-{block}", f"/dashboard/diary/blocks/{block}")


def test_times_are_those_of_the_clinics_clock(app: Any, sql: Any) -> None:
    desk = open_desk(app, sql, calendar={"time_zone": "Pacific/Auckland"})
    appointment = desk.booked("10:00")
    [entry] = entries(desk)["entries"]
    assert entry["start"] == f"{DAY}T10:00:00"
    assert desk.row(appointment, "scheduled_at") != at("10:00")
    assert "10:00 am to 10:30 am" in shown(desk.person.get(f"diary?day={DAY}"))


def test_an_expired_hold_is_not_shown(desk: Desk, clock: Clock) -> None:
    assert desk.claim("10:00")["success"]
    clock.forward(3600)
    assert titles(desk) == []


def test_the_week_begins_on_its_monday_and_ends_on_its_sunday(desk: Desk) -> None:
    monday = date.fromisoformat(MONDAY)
    for days in (-1, 0, 6, 7):
        desk.booked("09:00", day=(monday + timedelta(days=days)).isoformat(), name=f"Day {days}")
    assert titles(desk, f"day={DAY}&days=7") == ["Day 0", "Day 6"]
    page = shown(desk.person.get(f"diary?day={DAY}&days=7"))
    assert "Day 0" in page
    assert "Day 6" in page
    assert "Day 7" not in page
    assert page.count("Nothing is booked.") == 5


def test_a_block_of_some_days_is_on_each_of_them(desk: Desk) -> None:
    desk.block(
        "12:00",
        "12:00",
        from_day=MONDAY,
        until_day=(date.fromisoformat(MONDAY) + timedelta(days=2)).isoformat(),
    )
    page = shown(desk.person.get(f"diary?day={DAY}&days=7"))
    assert page.count("Blocked: Staff meeting") == 3
    for days in range(3):
        day = (date.fromisoformat(MONDAY) + timedelta(days=days)).isoformat()
        assert "Blocked: Staff meeting" in shown(desk.person.get(f"diary?day={day}"))


def test_the_diary_of_one_person_has_that_persons_time_alone(desk: Desk) -> None:
    desk.booked("09:00", name="Ann One", person="cal-1")
    desk.booked("09:00", name="Ben Two", person="cal-2")
    assert titles(desk, f"day={DAY}&who=cal-2") == ["Ben Two"]
    assert [each["id"] for each in entries(desk, f"day={DAY}&who=cal-2")["resources"]] == ["cal-2"]
    assert titles(desk, f"day={DAY}&who=") == ["Ann One", "Ben Two"]
    assert titles(desk, f"day={DAY}&who=nobody") == []


def test_a_room_has_a_column_and_what_is_in_it(app: Any, sql: Any) -> None:
    desk = open_desk(app, sql, calendar={"room": "surgery"})
    desk.booked("09:00", name="Ann One")
    found = entries(desk, f"day={DAY}&who=surgery")
    assert [each["kind"] for each in found["resources"]] == ["room"]
    assert [each["resources"] for each in found["entries"]] == [["cal-1", "surgery"]]


def test_what_is_booked_with_somebody_who_has_left_is_still_shown(desk: Desk) -> None:
    desk.booked("09:00", name="Ann One")
    desk.sql.execute("UPDATE resources SET retired_at = now() WHERE org_id = %s AND id = 'cal-1'", [desk.org])
    assert titles(desk) == ["Ann One"]
    assert "Ann One" in shown(desk.person.get(f"diary?day={DAY}"))
    assert [each["id"] for each in entries(desk)["resources"]] == ["cal-1", "cal-2"]
    # On a day on which nothing is booked with them there is no column.
    assert [each["id"] for each in entries(desk, f"day={later(1)}")["resources"]] == ["cal-2"]


def test_a_buffer_that_reaches_into_a_day_brings_no_day_of_its_own(app: Any, sql: Any) -> None:
    desk = open_desk(app, sql)
    desk.sql.execute("UPDATE services SET minutes_before = 30 WHERE org_id = %s", [desk.org])
    desk.booked("00:00", day=later(1), outside="1", name="Early Bird")
    page = desk.person.get(f"diary?day={DAY}").text
    assert f'id="day-{later(1)}"' not in page


@pytest.mark.parametrize(
    "query",
    [
        *("day=", "day=tomorrow", "day=2026-02-30", "day=%00", "day=0001-01-01", "day=9999-12-31"),
        *("day=-1", f"day={'9' * 5000}", "days=7000000", "days=x", "days=-1", "who=%00", f"who={'x' * 5000}"),
        *("day=2000-01-01&days=7", "day=2100-01-01&days=7", "day=1999-12-31", "&".join(["who=x"] * 500)),
    ],
)
def test_an_address_that_means_nothing_shows_a_day_all_the_same(desk: Desk, query: str) -> None:
    for path in ("diary", "diary/entries", "diary/block"):
        answer = desk.person.client.get(f"/dashboard/{path}?{query}")
        assert answer.status_code == 200, path


def test_the_script_of_one_who_is_signed_out_gets_no_page(client: FlaskClient) -> None:
    assert client.get("/dashboard/diary/entries").status_code == 401


def test_an_empty_clinic_and_a_long_name(desk: Desk) -> None:
    assert "Nothing is booked." in desk.page(f"diary?day={DAY}")
    desk.booked("09:00", name="W" * 500)
    assert "W" * 120 in desk.page(f"diary?day={DAY}")


# --- one appointment ----------------------------------------------------------------------------


def test_an_appointment_by_telephone_shows_what_is_known_of_it(desk: Desk, client: FlaskClient) -> None:
    linked = Linked(
        client, desk.sql, desk.org, start=slot_id("15:00"), patientName="Tom Phone", service="my sore tooth"
    )
    page = shown(desk.person.get(f"diary/appointments/{linked.appointment}"))
    assert "Tom Phone" in page
    assert "3:00 pm to 3:30 pm" in page
    assert "With cal-1" in page
    assert "my sore tooth" in page
    assert "by phone" in page
    assert "text waiting" in page


# --- blocks -------------------------------------------------------------------------------------


def test_a_blocked_time_is_nobodys_until_the_block_is_removed(desk: Desk) -> None:
    block = id_in(desk.block("10:00", "11:00"))
    assert "Blocked. Nobody can book that time any more." in desk.page(f"diary/blocks/{block}")
    assert desk.audit("blocks", block)[0] == (f"staff {desk.person.email}", "insert")
    assert desk.claim("10:30")["code"] == "slot_taken"
    assert desk.book("10:30").status_code == 409
    assert desk.claim("10:30", "cal-2")["success"]
    assert desk.person.post(f"diary/blocks/{block}/remove", day=DAY).location == f"/dashboard/diary?day={DAY}"
    assert "Removed. The time can be booked again." in desk.page(f"diary?day={DAY}")
    assert desk.audit("blocks", block)[-1] == (f"staff {desk.person.email}", "delete")
    assert desk.claim("10:30")["success"]
    assert desk.person.get(f"diary/blocks/{block}").status_code == 404
    desk.person.post(f"diary/blocks/{block}/remove")
    assert "It was removed before." in desk.page("diary")


def test_a_form_that_is_sent_twice_blocks_once_and_names_no_row_of_another_clinic(
    desk: Desk, elsewhere: Desk
) -> None:
    theirs = id_in(elsewhere.block("10:00", "11:00", reason="Theirs"))
    mine = id_in(desk.block("10:00", "11:00", once=theirs))
    assert mine != theirs
    assert id_in(desk.block("10:00", "11:00", once=theirs)) == mine
    assert id_in(desk.block("14:00", "15:00", once=theirs)) != mine  # a page that one went back to
    assert titles(desk) == ["Staff meeting", "Staff meeting"]
    assert "no names of patients here" in desk.page("diary/block")


def test_a_block_names_the_appointments_that_stand_in_it(desk: Desk) -> None:
    appointment = desk.booked("10:00", name="Tom Early")
    desk.booked("14:00", name="Not In It")
    block = id_in(desk.block("09:00", "12:00"))
    page = desk.page(f"diary/blocks/{block}")
    assert "Booked in that time" in page
    assert "Tom Early" in page
    assert "Not In It" not in page
    assert desk.row(appointment, "status") == "confirmed"
    desk.person.post(f"diary/appointments/{appointment}/cancel")
    assert "Tom Early" not in desk.page(f"diary/blocks/{block}")
    assert desk.claim("10:00")["code"] == "slot_taken"  # the block has that time now


def test_a_block_names_what_callers_hold_in_it(desk: Desk) -> None:
    desk.claim("10:00", patientName="Cal Caller")
    desk.claim("10:00", "cal-2", patientName="Not In It")
    block = id_in(desk.block("09:00", "12:00"))
    page = shown(desk.person.get(f"diary/blocks/{block}"))
    assert re.search("Held by callers in that time .* Cal Caller .* 10:00 am, held until", page)
    assert "Not In It" not in page
    desk.sql.execute("UPDATE appointment_holds SET status = 'expired' WHERE org_id = %s", [desk.org])
    assert "Cal Caller" not in desk.page(f"diary/blocks/{block}")


def test_a_block_may_last_weeks_and_lies_on_the_clocks_of_the_clinic(app: Any, sql: Any) -> None:
    desk = open_desk(app, sql, calendar={"time_zone": "Europe/London"})
    block = id_in(desk.block("09:00", "17:00", until_day=later(60)))
    assert desk.count("occupancies") > 60
    assert titles(desk, f"day={later(30)}") == ["Staff meeting"]
    desk.person.post(f"diary/blocks/{block}/remove")
    assert desk.count("occupancies") == 0


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"who": ""}, "Choose whose time it is."),
        ({"who": "nobody"}, "Choose whose time it is."),
        ({"who": "\x00"}, "Choose whose time it is."),
        ({"from_day": ""}, "Give a day and a time"),
        ({"from_day": "2026-02-30"}, "Give a day and a time"),
        ({"from_day": "0001-01-01"}, "Give a day and a time"),
        ({"until_day": "9999-12-31"}, "Give a day and a time"),
        ({"from_time": "25:00"}, "Give a day and a time"),
        ({"until_time": "\x00"}, "Give a day and a time"),
        (
            {"until_time": "09:00"},
            "Not blocked: the block ends before it begins; give an end after the beginning.",
        ),
        (
            {"until_time": "10:00"},
            "Not blocked: the block ends before it begins; give an end after the beginning.",
        ),
        (
            {"until_day": "2099-12-31"},
            "Not blocked: a block lasts at most ten years; look at the year of its end.",
        ),
        ({"reason": " "}, "Not blocked: a block needs a reason."),
        ({"reason": "\x00"}, "Not blocked: a block needs a reason."),
    ],
)
def test_a_block_that_cannot_be_gets_a_sentence_and_blocks_nothing(
    desk: Desk, form: dict[str, str], said: str
) -> None:
    answer = desk.block("10:00", "11:00", **form)
    assert (answer.status_code, said in shown(answer)) == (400, True), shown(answer)
    assert desk.count("blocks") == desk.count("occupancies") == 0
    if "reason" not in form:
        assert 'value="Staff meeting"' in answer.text  # what was written is still there


def test_a_block_with_rubbish_in_it_is_never_an_error_of_ours(desk: Desk) -> None:
    for field in ("who", "from_day", "from_time", "until_day", "until_time", "reason"):
        for value in ("x" * 5000, "é\u202e🦷", "10:00+05:00", "T10", "20261207", "9" * 400, "-1"):
            answer = desk.block("10:00", "11:00", **{field: value})
            assert answer.status_code in {303, 400}, (field, value)
    assert desk.block("10:00", "11:00", reason="x" * 1_000_000).status_code == 413


def test_a_block_of_another_clinic_is_not_there(desk: Desk, elsewhere: Desk) -> None:
    theirs = id_in(elsewhere.block("10:00", "11:00"))
    assert desk.person.get(f"diary/blocks/{theirs}").status_code == 404
    said = []
    for nobodys in (theirs, str(uuid.uuid4())):
        answer = desk.person.post(f"diary/blocks/{nobodys}/remove", day=DAY)
        said.append((answer.status_code, answer.location, shown(desk.person.get(f"diary?day={DAY}"))))
    assert said[0] == said[1]
    assert "It was removed before." in said[0][2]
    assert elsewhere.count("blocks") == 1
    assert elsewhere.claim("10:00")["code"] == "slot_taken"


def test_nobodys_time_of_another_clinic_is_blocked(desk: Desk, elsewhere: Desk) -> None:
    with transaction(uuid.UUID(elsewhere.org)) as session:
        set_up.add_resource(
            session,
            org_id=uuid.UUID(elsewhere.org),
            resource_id="theirs",
            kind=ResourceKind.ROOM,
            name="Theirs",
            time_zone="UTC",
        )
    assert desk.block("10:00", "11:00", who="theirs").status_code == 400
    assert elsewhere.count("blocks") == 0


def test_nothing_of_the_diary_is_for_one_who_is_signed_out(desk: Desk, stranger: Person) -> None:
    appointment = desk.booked("10:00")
    answer = stranger.client.get(f"/dashboard/diary/appointments/{appointment}")
    assert (answer.status_code, answer.location) == (303, "/dashboard/sign-in")
