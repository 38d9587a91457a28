"""Month by month: how often hot was right, as the staff judged it."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
from flask import Flask

from tests.conftest import Clock
from tests.factories import create_clinic
from tests.webapp.staff.browsers import Person, employ
from tests.webapp.staff.judging import NONE, judge, shown, table
from tests.webapp.staff.rows import add_call
from tests.webapp.staff.test_figures import go_to


def card(person: Person) -> str:
    page = person.get("reports").text
    return shown(page.split('id="record-title"')[1].partition("</section>")[0])


@pytest.fixture
def at_end_of_march(stranger: Person, sql: psycopg.Connection, clock: Clock) -> Person:
    """Somebody who signed in on 31 March 2031."""
    go_to(sql, clock, datetime(2031, 3, 31, 12, tzinfo=UTC))
    stranger.sign_in()
    return stranger


def test_reports_say_how_often_hot_was_right(at_end_of_march: Person, sql: psycopg.Connection) -> None:
    person = at_end_of_march
    march, january = datetime(2031, 3, 2, 9, tzinfo=UTC), datetime(2031, 1, 9, 9, tzinfo=UTC)
    for at, answers in ((march, ["yes"] * 9 + ["no"] * 2 + [""] * 3), (january, ["no"])):
        for answer in answers:
            call = add_call(sql, person.org, created_at=at)
            if answer:
                judge(person, call, answer)
    for band, answer in (("warm", "yes"), ("cold", "yes"), ("cold", "no"), ("warm", "")):
        call = add_call(sql, person.org, created_at=march, lead_score=20, lead_band=band)
        if answer:
            judge(person, call, answer)
    assert table(person) == [
        ["2031-03", "9", "11", "3", "2", "3"],
        ["2031-02", "0", "0", "0", "0", "0"],
        ["2031-01", "0", "1", "0", "0", "0"],
    ]
    said = card(person)
    assert "9 of 12 hot leads that you judged were worth the call" in said
    assert "Mar 2031 9 of 11 82 % 3 2 of 3" in said
    assert f"Feb 2031 {NONE} 0 {NONE}" in said
    assert f"Jan 2031 0 of 1 0 % 0 {NONE}" in said


def test_what_was_judged_hot_stays_hot_in_the_record(person: Person, sql: psycopg.Connection) -> None:
    hot = add_call(sql, person.org)
    cold = add_call(sql, person.org, lead_score=3, lead_band="cold")
    judge(person, hot, "no")
    judge(person, cold, "yes")
    sql.execute("UPDATE calls SET lead_score = 100 - lead_score WHERE org_id = %s", [person.org])
    sql.execute(
        "UPDATE calls SET lead_band = CASE lead_band WHEN 'hot' THEN 'cold' ELSE 'hot' END WHERE org_id = %s",
        [person.org],
    )
    assert [row[1:] for row in table(person)] == [["0", "1", "0", "1", "1"]]
    assert "0 of 1 hot lead that you judged was worth the call" in card(person)


@pytest.mark.parametrize(
    ("zone", "month"),
    [("Pacific/Kiritimati", "2031-04"), ("America/New_York", "2031-03"), ("UTC", "2031-03")],
)
def test_the_month_is_the_clinics_own(
    app: Flask, sql: psycopg.Connection, clock: Clock, zone: str, month: str
) -> None:
    go_to(sql, clock, datetime(2031, 4, 20, 12, tzinfo=UTC))
    person = employ(app, create_clinic(calendar={"time_zone": zone}))
    person.sign_in()
    judge(person, add_call(sql, person.org, created_at=datetime(2031, 3, 31, 23, tzinfo=UTC)), "yes")
    assert [row[0] for row in table(person) if row[2] == "1"] == [month]


def test_the_record_goes_back_a_year(at_end_of_march: Person, sql: psycopg.Connection) -> None:
    person = at_end_of_march
    for at in (datetime(2030, 3, 31, 23, tzinfo=UTC), datetime(2030, 4, 1, 1, tzinfo=UTC)):
        judge(person, add_call(sql, person.org, created_at=at), "yes")
    rows = table(person)
    assert [rows[0][0], rows[-1][0], len(rows)] == ["2031-03", "2030-04", 12]
    assert sum(int(row[1]) for row in rows) == 1


def test_without_a_word_of_the_staff_the_report_says_so(person: Person, sql: psycopg.Connection) -> None:
    assert "No hot lead yet" in card(person)
    assert table(person) == []
    hot = add_call(sql, person.org)
    said = card(person)
    assert "Nobody has said yet of a hot lead whether it was worth the call" in said
    assert "Hot, not judged" not in said
    assert [row[1:] for row in table(person)] == [["0", "0", "1", "0", "0"]]
    cold = add_call(sql, person.org, lead_score=3, lead_band="cold")
    judge(person, cold, "yes")
    said = card(person)
    assert "Nobody has said yet of a hot lead" in said
    assert f"{NONE} 1 1 of 1" in said
    judge(person, hot, "yes")
    assert "1 of 1 hot lead that you judged was worth the call" in card(person)


def test_a_call_under_way_is_in_no_month(person: Person, sql: psycopg.Connection) -> None:
    add_call(sql, person.org, status="in-progress", lead_score=None, lead_band=None)
    assert table(person) == []
