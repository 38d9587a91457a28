"""Figures are counts of what there is, lists say where they end, and days are the clinic's own."""

from __future__ import annotations

import csv
import html
import io
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import Clock
from tests.factories import bare, create_clinic, phone_number, reserve, slot
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.staff.browsers import Person, employ
from tests.webapp.staff.rows import add_booking, add_call, now
from webapp.staff import pages

#: Westerly and easterly, on half an hour, and beyond the date line.
ZONES = ("America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "Pacific/Pago_Pago")


@pytest.fixture(autouse=True)
def _noon(sql: psycopg.Connection, clock: Clock) -> None:
    """So that no midnight falls into a test."""
    go_to(sql, clock, (now(sql) + timedelta(days=1)).astimezone(UTC).replace(hour=12))


def go_to(sql: psycopg.Connection, clock: Clock, moment: datetime) -> None:
    """Stop the clock there."""
    clock.stop()
    clock.forward((moment - now(sql)).total_seconds())


def far(number: int = 0) -> datetime:
    """Times that are years away and do not overlap."""
    return datetime(2030, 5, 1, 9, tzinfo=UTC) + timedelta(minutes=30 * number)


def tiles(page: str) -> dict[str, int]:
    found = re.findall(
        r'<li class="tile[^"]*">(?:<a href="#\w+">)?<strong>(\d+)</strong> <span>([^<]+)</span>', page
    )
    return {says: int(number) for number, says in found}


def part(page: str, name: str) -> str:
    return page.split(f'data-part="{name}"')[1].partition("</section>")[0]


def rows(page: str) -> int:
    return page.count('<li class="row')


def follow(person: Person, page: str, says: str) -> str:
    """The page behind the link that says this."""
    found = re.search(rf'href="([^"]+)"[^>]*>{says}</a>', page)
    assert found, f"no link says {says}"
    return person.client.get(html.unescape(found[1])).text


def table(response: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff"))))


def at_work(app: Flask, zone: str) -> Person:
    person = employ(app, create_clinic(calendar={"time_zone": zone}))
    person.sign_in()
    return person


# --- the live page ------------------------------------------------------------------------------


def test_the_live_page_counts_what_it_does_not_show(person: Person, sql: psycopg.Connection) -> None:
    for number in range(54):
        add_booking(sql, person.org, far(number), status="confirmed" if number % 9 else "cancelled")
    for number in range(70):
        back = {"called_back_at": "2026-01-01T00:00:00Z", "called_back_by": "Jo"} if number < 5 else {}
        add_call(sql, person.org, **back)
    page = person.get("live").text
    assert tiles(page)["bookings made today"] == 48  # 54 but for 6 that were cancelled
    assert "6 of 54 cancelled" in part(page, "bookings")
    assert tiles(page)["hot leads to ring back"] == 65
    for name, total in (("bookings", 54), ("leads", 70)):
        assert rows(part(page, name)) == 50
        assert f"50 of {total} are shown." in part(page, name)
    everything = follow(person, part(page, "leads"), "Show more")
    for name, total in (("bookings", 54), ("leads", 70)):
        assert rows(part(everything, name)) == total
        assert "are shown" not in part(everything, name)
    assert tiles(everything) == tiles(page)


def test_changes_are_counted_and_shown_likewise(person: Person, sql: psycopg.Connection) -> None:
    for number in range(53):
        add_booking(sql, person.org, far(number))
    sql.execute("UPDATE appointments SET status = 'cancelled' WHERE org_id = %s", [person.org])
    changes = part(person.get("live").text, "changes")
    assert "0 moved, 53 cancelled" in changes
    assert rows(changes) == 50
    assert "50 of 53 are shown." in changes
    everything = part(follow(person, changes, "Show more"), "changes")
    assert rows(everything) == 53
    assert "are shown" not in everything


def test_calls_and_holds_are_counted_likewise(person: Person, sql: psycopg.Connection) -> None:
    for number in range(53):
        add_call(sql, person.org, id=f"c{number}", status="in-progress", lead_score=None, lead_band=None)
        contact = uuid.uuid4()
        sql.execute(
            "INSERT INTO contacts (id, org_id, phone, name) VALUES (%s, %s, %s, 'Pat')",
            [contact, person.org, f"+4477009{number:05d}"],
        )
        sql.execute(
            "INSERT INTO appointment_holds (org_id, calendar_id, resource_id, starts_at, ends_at, contact_id,"
            " patient_name, patient_phone, status, expires_at)"
            " VALUES (%s, 'cal-1', 'cal-1', %s, %s, %s, 'Pat', '+447700900999', 'held', %s)",
            [person.org, far(number), far(number + 1), contact, now(sql) + timedelta(hours=1)],
        )
    page = person.get("live").text
    assert (tiles(page)["calls under way"], tiles(page)["times held"]) == (53, 53)
    for name in ("calls", "holds"):
        assert rows(part(page, name)) == 50
        assert "50 of 53 are shown." in part(page, name)
    stream = person.client.get("/dashboard/live/state?most=200").text
    assert rows(part(stream, "calls")) == 53


def test_a_call_of_which_nothing_more_is_heard_is_under_way_for_two_hours(
    person: Person, sql: psycopg.Connection
) -> None:
    for number, minutes in (("+447700912301", 115), ("+447700912302", 125)):
        began = now(sql) - timedelta(minutes=minutes)
        call = {"status": "in-progress", "lead_score": None, "lead_band": None, "created_at": began}
        add_call(sql, person.org, caller_number=number, **call)
    page = person.get("live").text
    assert tiles(page)["call under way"] == 1
    assert "7700 912301" in part(page, "calls")


def test_a_call_that_only_asks_for_tools_is_under_way_for_three_minutes(
    client: FlaskClient, person: Person, clock: Clock
) -> None:
    """Nobody tells us of its end."""
    PhoneCall(client, person.org, phone_number()).say("check_availability", date=slot(days=15)[:10])
    clock.forward(170)
    assert tiles(person.get("live").text)["call under way"] == 1
    clock.forward(20)
    assert tiles(person.get("live").text)["calls under way"] == 0


def test_a_hot_lead_is_on_the_live_page_for_a_day(person: Person, sql: psycopg.Connection) -> None:
    for number, hours in (("+447700912301", 23), ("+447700912302", 25)):
        add_call(sql, person.org, caller_number=number, created_at=now(sql) - timedelta(hours=hours))
    page = person.get("live").text
    assert tiles(page)["hot lead to ring back"] == 1
    assert "7700 912301" in part(page, "leads")


@pytest.mark.parametrize("most", ["0", "-1", "x", "1e9", "9" * 400, "²", "%00"])
def test_however_many_rows_are_asked_for_there_is_a_page(person: Person, most: str) -> None:
    assert person.get(f"live?most={most}").status_code == 200


def test_the_stream_has_as_many_rows_as_the_page(person: Person, sql: psycopg.Connection) -> None:
    page = person.get("live?most=200").text
    found = re.search(r'hx-sse:connect="([^"]+)"', page)
    assert found
    assert "most=200" in found[1]


# --- lists and files ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["calls", "leads", "leads?band=hot", "leads?waiting=1"])
def test_a_list_loses_no_row_between_two_pages(person: Person, sql: psycopg.Connection, path: str) -> None:
    """Also where many came at one moment."""
    made = now(sql) - timedelta(hours=1)
    ids = {add_call(sql, person.org, created_at=made) for _ in range(120)}
    page, seen = person.get(path).text, list[str]()
    for _ in range(2):
        assert "Older" in page
        seen += re.findall(r"/dashboard/leads/([0-9a-f-]{36})\?", page)
        page = follow(person, page, "Older")
    seen += re.findall(r"/dashboard/leads/([0-9a-f-]{36})\?", page)
    assert sorted(seen) == sorted(ids)
    assert "Older" not in page
    assert "Newest" in page


def test_a_list_of_just_one_page_offers_no_other(person: Person, sql: psycopg.Connection) -> None:
    for _ in range(50):
        add_call(sql, person.org)
    page = person.get("calls").text
    assert "Older" not in page
    assert "Newest" not in page


def test_messages_in_trouble_are_counted_and_go_on(person: Person, sql: psycopg.Connection) -> None:
    made = now(sql)
    for number in range(54):
        add_booking(sql, person.org, far(number), booked_at=made)
    sql.execute(
        "UPDATE sms_messages SET status = 'failed', cause = 'refused by the provider' WHERE org_id = %s",
        [person.org],
    )
    late = add_booking(sql, person.org, far(60), booked_at=made - timedelta(hours=1))
    assert late
    page = person.get("messages").text
    assert tiles(page)["failed or in doubt"] == 54
    assert tiles(page)["late"] == 1
    assert rows(page) == 50
    assert rows(follow(person, page, "Older")) == 5
    assert len(table(person.get("messages.csv"))) == 56


def test_a_file_has_every_row(
    person: Person, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "BATCH", 7)
    made = now(sql)
    ids = [add_call(sql, person.org, created_at=made) for _ in range(7 * 3 + 1)]
    for name in ("calls", "leads"):
        assert sorted(row[0] for row in table(person.get(f"{name}.csv"))[1:]) == sorted(ids)


@pytest.mark.parametrize("name", ["calls", "leads"])
def test_a_file_ends_where_its_reader_is_disabled(
    person: Person, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What was read by then is sent, and nothing that is read later."""
    monkeypatch.setattr(pages, "BATCH", 7)
    made = now(sql)
    for _ in range(7 * 3):
        add_call(sql, person.org, created_at=made)
    file = person.client.get(f"/dashboard/{name}.csv", buffered=False)
    lines = iter(file.response)
    head = [next(lines) for _ in range(3)]
    sql.execute("UPDATE staff_users SET disabled_at = app_clock() WHERE org_id = %s", [person.org])
    assert len(head + list(lines)) == 1 + 7
    file.close()


# --- days ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ZONES)
def test_today_begins_at_the_clinics_midnight(app: Flask, sql: psycopg.Connection, zone: str) -> None:
    person = at_work(app, zone)
    local = now(sql).astimezone(ZoneInfo(zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    for number, (name, moment) in enumerate(
        {"Early Today": midnight, "Late Yesterday": midnight - timedelta(microseconds=1)}.items()
    ):
        add_booking(sql, person.org, far(number), booked_at=moment, patient_name=name)
    page = person.get("live").text
    assert "Early Today" in page
    assert "Late Yesterday" not in page
    assert tiles(page)["booking made today"] == 1
    [_, today, yesterday, *_] = table(person.get("reports.csv?days=30"))
    assert today[:2] == [local.date().isoformat(), "1"]
    assert yesterday[:2] == [(local.date() - timedelta(days=1)).isoformat(), "1"]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/New_York", date(2027, 3, 14)),  # 23 hours
        ("America/New_York", date(2027, 11, 7)),  # 25 hours
        ("America/Havana", date(2027, 11, 7)),  # with two midnights
        ("America/Havana", date(2027, 3, 14)),  # with none
        ("Europe/London", date(2027, 7, 1)),
    ],
)
@pytest.mark.parametrize("hours", [0.5, 1.5, 22.5])
def test_a_day_on_which_the_clocks_change_is_one_day(
    app: Flask, sql: psycopg.Connection, clock: Clock, zone: str, day: date, hours: float
) -> None:
    place = ZoneInfo(zone)
    person = at_work(app, zone)
    # In UTC, for arithmetic with local times takes no notice of the change.
    first = datetime(day.year, day.month, day.day, tzinfo=place).astimezone(UTC)
    last = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=place).astimezone(UTC)
    for number, made in enumerate((first, last, first - timedelta(seconds=1))):
        add_booking(sql, person.org, far(number), booked_at=made)
    go_to(sql, clock, first + timedelta(hours=hours))
    person.sign_in()  # a session ends after a working day
    assert tiles(person.get("live").text)["bookings made today"] == 2
    [_, today, yesterday, *_] = table(person.get("reports.csv?days=7"))
    assert today[:2] == [day.isoformat(), "2"]
    assert yesterday[:2] == [(day - timedelta(days=1)).isoformat(), "1"]


def test_a_clinic_of_several_zones_has_the_day_of_its_first_calendar(
    app: Flask, sql: psycopg.Connection
) -> None:
    """At noon in UTC it is tomorrow already in Kiritimati, and not in Pago Pago."""
    org = create_clinic(("cal-1", "cal-2", "cal-3"))
    for calendar, zone in (("cal-1", "Pacific/Pago_Pago"), ("cal-2", "UTC"), ("cal-3", "Pacific/Kiritimati")):
        sql.execute(
            "UPDATE calendars SET time_zone = %s WHERE org_id = %s AND id = %s", [zone, org, calendar]
        )
    person = employ(app, org)
    person.sign_in()
    [_, today, *_] = table(person.get("reports.csv?days=7"))
    assert today[0] == now(sql).astimezone(ZoneInfo("Pacific/Pago_Pago")).date().isoformat()


# --- the figures of a report --------------------------------------------------------------------


def test_each_figure_of_the_report_is_its_own(person: Person, sql: psycopg.Connection) -> None:
    """Ten messages that took one second to ten, and one that was never sent."""
    made = now(sql) - timedelta(minutes=1)
    for number in range(10):
        add_booking(sql, person.org, far(number), booked_at=made, sent_after=number + 1)
    add_booking(sql, person.org, far(10), booked_at=made)
    add_booking(sql, person.org, far(11), booked_at=made, status="cancelled")
    page = " ".join(person.get("reports").text.split())
    waits = page.split('id="waits-title"')[1].split("</table>")[0]
    assert re.findall(r'<td class="figure">([^<]+)</td>', waits) == ["10", "5.5 s", "9.1 s"]
    [_, today, *_] = table(person.get("reports.csv"))
    assert today[1:] == ["12", "10", "83.33", "0", "0"]
    chart = page.split('id="chart-says"')[1].split("</svg>")[0]
    bars = re.findall(r'class="(made|sent)"[^>]* height="([\d.]+)"', chart)[-2:]
    assert [(name, round(float(height))) for name, height in bars] == [("made", 100), ("sent", 83)]
    delivery = page.split('id="delivery-title"')[1].split("</table>")[0]
    assert re.findall(r'<td>(\w+)</td><td class="figure">(\d+)</td>', delivery) == [
        ("sent", "10"),
        ("queued", "2"),
    ]


def test_what_lies_before_the_first_day_is_in_no_figure(app: Flask, sql: psycopg.Connection) -> None:
    person = at_work(app, "America/New_York")
    local = now(sql).astimezone(ZoneInfo("America/New_York"))
    first = (local - timedelta(days=6)).replace(hour=0, minute=0, second=0, microsecond=0)
    for number, moment in enumerate((first, first - timedelta(seconds=1))):
        add_booking(sql, person.org, far(number), booked_at=moment, sent_after=2 + number)
        add_call(sql, person.org, created_at=moment, cost="1.25", duration=100)
    page = " ".join(person.get("reports").text.split())
    assert "$1.25" in page
    assert "2 min" in page
    waits = page.split('id="waits-title"')[1].split("</table>")[0]
    assert re.findall(r'<td class="figure">([^<]+)</td>', waits) == ["1", "2.0 s", "2.0 s"]
    assert sum(int(row[1]) for row in table(person.get("reports.csv"))[1:]) == 1


def test_a_call_counts_once_at_each_step_however_often_it_asks(
    client: FlaskClient, person: Person, clock: Clock
) -> None:
    """What comes without a call id counts for itself."""
    talking, asking = (PhoneCall(client, person.org, phone_number()) for _ in range(2))
    for call in (talking, talking, asking):
        call.say("check_availability", date=slot(days=15)[:10])
        call.say("check_availability", date=slot(days=16)[:10])
    for hour in (9, 11):
        said = talking.say("reserve_atomic", slotId=slot(hour=hour), patientName="Ada")
        assert "holdId=" in said, said
        clock.forward(1)  # the code is for the hold that was made last
    said = talking.say("send_otp_code")
    assert said.startswith("A code is on its way"), said
    for hour in (13, 14):
        reserve(client, person.org, slotId=slot(hour=hour))
    text = " ".join(person.get("reports").text.split())
    steps = {"Asked for a time": 4, "Time held": 3, "Code sent": 1, "Confirmed": 0}
    for step, number in steps.items():
        line = text.split(f'<th scope="row">{step}</th>')[1].split("</tr>")[0]
        assert f'{number} <span class="quiet">' in line, step


def test_a_code_that_came_too_late_is_nobodys_trouble(
    client: FlaskClient, person: Person, sql: psycopg.Connection
) -> None:
    """The caller was offered another one; a confirmation that was not sent in time is."""
    bare(client, "booking/send-otp", holdId=reserve(client, person.org)["holdId"])
    add_booking(sql, person.org, far())
    sql.execute(
        "UPDATE sms_messages SET status = 'expired', cause = 'it could not be sent in time'"
        " WHERE org_id = %s",
        [person.org],
    )
    assert [row[2] for row in table(person.get("messages.csv"))[1:]] == ["confirmation"]
