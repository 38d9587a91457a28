"""An owner publishes calendars, sees who reads them, and ends that."""

from __future__ import annotations

import html
import re
import uuid
from typing import Any

import psycopg
import pytest
from flask import Flask
from icalendar import Calendar

from models.clinics.staff import StaffRole
from tests.factories import create_clinic
from tests.webapp.feeds.reader import Reader
from tests.webapp.staff.browsers import Person, employ

PAGE = "settings/calendars"
LINK = re.compile(r'value="http://127\.0\.0\.1:1(/calendar/[\w-]{43}\.ics)"')


@pytest.fixture
def owner(app: Flask) -> Person:
    person = employ(app, create_clinic(("anna", "ben")), role=StaffRole.OWNER)
    assert person.sign_in().status_code == 303
    return person


def once(person: Person) -> str:
    found = re.search(r'name="once" value="([^"]+)"', person.get(PAGE).text)
    assert found
    return found[1]


def made(person: Person, who: str = "", says: str = "busy") -> str:
    """Make a link with the form; returns its path."""
    answer = person.post(f"{PAGE}/published", who=who, says=says, once=once(person))
    assert answer.status_code == 200
    found = LINK.search(answer.text)
    assert found, answer.text
    return found[1]


def id_in(person: Person, verb: str = "revoke") -> str:
    found = re.search(rf"published/([0-9a-f-]{{36}})/{verb}", person.get(PAGE).text)
    assert found
    return found[1]


def read(person: Person, path: str, agent: str = "Google-Calendar-Importer") -> Any:
    return person.client.application.test_client().get(path, headers={"User-Agent": agent})


def test_a_link_is_made_shown_once_and_read(owner: Person) -> None:
    path = made(owner, "anna")
    page = owner.get(PAGE).text
    assert path not in page
    assert "Not read with this link yet." in page
    answer = read(owner, path)
    assert Calendar.from_ical(answer.data)["NAME"] == "Test Clinic: anna"
    page = html.unescape(owner.get(PAGE).text)
    assert "busy times only" in page
    assert re.search(r"Last read \w{3} \d+ \w{3}, .* by Google-Calendar-Importer\.", page)


def test_the_page_says_how_to_add_it_and_has_a_link_for_an_iphone(owner: Person) -> None:
    answer = owner.post(f"{PAGE}/published", who="", says="names", once=once(owner))
    found = LINK.search(answer.text)
    assert found
    assert f'href="webcal://127.0.0.1:1{found[1]}"' in answer.text
    for word in ("Google Calendar", "Outlook", "iPhone", "with your patients' names", "shown only now"):
        assert word in html.unescape(answer.text)
    assert answer.headers["Cache-Control"] == "no-store"


def test_with_names_is_a_choice(owner: Person, sql: psycopg.Connection[Any]) -> None:
    Reader(owner.client, sql, owner.org).book()
    assert b"Canary" not in read(owner, made(owner)).data
    assert b"Canary" in read(owner, made(owner, says="names")).data


def test_a_form_that_is_sent_twice_makes_one_calendar(owner: Person) -> None:
    form = {"who": "", "says": "busy", "once": once(owner)}
    first = owner.post(f"{PAGE}/published", **form)
    again = owner.post(f"{PAGE}/published", **form)
    assert (first.status_code, again.status_code) == (200, 303)
    assert "cannot be shown again" in owner.get(PAGE).text
    assert owner.get(PAGE).text.count("/revoke") == 1


@pytest.mark.parametrize(
    ("who", "says", "why"),
    [
        ("nobody", "busy", "there is no nobody"),
        ("", "all", "choose what the calendar says"),
        ("ben", "busy", ""),
    ],
)
def test_what_cannot_be_published_says_why(
    owner: Person, sql: psycopg.Connection[Any], who: str, says: str, why: str
) -> None:
    sql.execute("UPDATE resources SET retired_at = now() WHERE org_id = %s AND id = 'ben'", [owner.org])
    answer = owner.post(f"{PAGE}/published", who=who, says=says, once=once(owner))
    assert answer.status_code == 303
    page = owner.get(PAGE).text
    assert f"Nothing was changed: {why or 'ben is retired'}" in page
    assert "/revoke" not in page


def test_a_new_link_takes_the_place_of_the_one_before(owner: Person) -> None:
    before = made(owner)
    answer = owner.post(f"{PAGE}/published/{id_in(owner)}/renew")
    found = LINK.search(answer.text)
    assert found
    assert read(owner, before).status_code == 404
    assert read(owner, found[1]).status_code == 200
    assert owner.get(PAGE).text.count("/revoke") == 1


def test_a_revoked_link_is_dead_at_once(owner: Person) -> None:
    path, calendar = made(owner), id_in(owner)
    assert read(owner, path).status_code == 200
    assert owner.post(f"{PAGE}/published/{calendar}/revoke").status_code == 303
    assert read(owner, path).status_code == 404
    page = owner.get(PAGE).text
    assert "The link no longer works." in page
    assert "/revoke" not in page
    assert owner.post(f"{PAGE}/published/{calendar}/revoke").status_code == 404
    assert owner.post(f"{PAGE}/published/{calendar}/renew").status_code == 404


def test_the_log_says_who_did_it(owner: Person, sql: psycopg.Connection[Any]) -> None:
    made(owner)
    owner.post(f"{PAGE}/published/{id_in(owner)}/renew")
    owner.post(f"{PAGE}/published/{id_in(owner)}/revoke")
    rows = sql.execute(
        "SELECT action, columns, actor FROM audit_log WHERE table_name = 'published_calendars'"
        " AND org_id = %s ORDER BY id",
        [owner.org],
    ).fetchall()
    assert [row[0] for row in rows] == ["insert", "update", "delete"]
    assert "token_digest" in rows[1][1]
    assert {row[2] for row in rows} == {f"staff {owner.email}"}


@pytest.mark.parametrize("verb", ["renew", "revoke"])
def test_another_clinics_calendar_is_answered_like_nobodys(app: Flask, owner: Person, verb: str) -> None:
    other = employ(app, create_clinic(), role=StaffRole.OWNER)
    other.sign_in()
    path = made(other)

    def tried(calendar: str) -> tuple[int, str]:
        answer = owner.post(f"{PAGE}/published/{calendar}/{verb}")
        return answer.status_code, answer.text

    assert tried(id_in(other)) == tried(str(uuid.uuid4()))
    assert read(other, path).status_code == 200
    assert "cal-1" not in owner.get(PAGE).text
    assert owner.post(f"{PAGE}/published", who="cal-1", says="busy", once="").status_code == 303
    assert "Nothing was changed: there is no cal-1" in owner.get(PAGE).text


@pytest.mark.parametrize("role", [StaffRole.STAFF, StaffRole.READ_ONLY])
def test_only_an_owner_publishes(app: Flask, owner: Person, role: StaffRole) -> None:
    path, calendar = made(owner), id_in(owner)
    colleague = employ(app, owner.org, "Sam", role)
    colleague.sign_in()
    assert colleague.get(PAGE).status_code == 403
    for deed in ("published", f"published/{calendar}/renew", f"published/{calendar}/revoke"):
        assert colleague.post(f"{PAGE}/{deed}", who="", says="names").status_code == 403
    assert read(owner, path).status_code == 200


def test_what_a_program_calls_itself_is_shown_as_text(owner: Person) -> None:
    read(owner, made(owner), "<script>alert(1)</script>\u00e9")
    page = owner.get(PAGE).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
