"""A session is a row of its own: it ends at the server, wherever its cookie is."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from flask import Flask

from models.base.session import Door, system_transaction
from models.clinics import staff_sessions
from tests.conftest import Clock
from tests.webapp.staff.browsers import Person, employ

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/150.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 20_0 like Mac OS X) AppleWebKit/605.1 Safari/604.1"


def sessions_of(person: Person, sql: psycopg.Connection) -> list[uuid.UUID]:
    rows = sql.execute(
        "SELECT s.id FROM staff_sessions s JOIN staff_users u ON u.id = s.staff_id WHERE u.email = %s"
        " ORDER BY s.began_at",
        [person.email],
    ).fetchall()
    return [row[0] for row in rows]


def test_a_cookie_is_dead_once_its_session_was_signed_out(person: Person) -> None:
    thief = person.copied()
    assert thief.is_in()
    assert person.post("sign-out").location == "/dashboard/sign-in"
    assert not person.is_in()
    assert not thief.is_in()


def test_signing_out_leaves_the_other_browser_in(person: Person) -> None:
    second = person.elsewhere()
    second.sign_in()
    person.post("sign-out")
    assert second.is_in()


def test_signing_out_everywhere_ends_the_session_in_the_other_browser(person: Person) -> None:
    second = person.elsewhere()
    second.sign_in()
    person.post("sign-out", everywhere="1")
    assert not second.is_in()
    assert not person.is_in()


def test_signing_in_again_ends_the_session_before(person: Person, sql: psycopg.Connection) -> None:
    before = person.copied()
    person.sign_in()
    assert not before.is_in()
    assert len(sessions_of(person, sql)) == 1


def test_one_sees_where_one_is_signed_in_and_ends_one(person: Person, sql: psycopg.Connection) -> None:
    phone = person.elsewhere()
    phone.client.environ_base["HTTP_USER_AGENT"] = IPHONE
    phone.sign_in(address="2001:db8::7")
    page = person.get("account")
    assert "Safari on iPhone" in page.text
    assert "2001:db8::7" in page.text
    assert page.text.count("this browser") == 1
    [_, second] = sessions_of(person, sql)
    assert person.post(f"account/sessions/{second}/end").location == "/dashboard/account"
    assert not phone.is_in()
    assert person.is_in()
    assert "Safari on iPhone" not in person.get("account").text
    assert person.post(f"account/sessions/{second}/end").status_code == 404


def test_a_session_of_somebody_else_is_not_there(
    app: Flask, person: Person, other: Person, sql: psycopg.Connection
) -> None:
    colleague = employ(app, person.org, "Sam")
    colleague.sign_in()
    for theirs in (other, colleague):
        [session] = sessions_of(theirs, sql)
        assert person.post(f"account/sessions/{session}/end").status_code == 404
        assert theirs.is_in()
        assert str(session) not in person.get("account").text


def test_nothing_in_the_database_opens_a_session(person: Person, sql: psycopg.Connection) -> None:
    with person.client.session_transaction(base_url="http://localhost") as session:
        token, org = session["token"], session["org"]
    [row] = sql.execute(
        "SELECT s::text, s.token_digest FROM staff_sessions s WHERE org_id = %s", [org]
    ).fetchall()
    assert token not in row[0]
    with person.client.session_transaction(base_url="http://localhost") as session:
        session["token"] = row[1]
    assert not person.is_in()


def test_old_rows_go(person: Person, clock: Clock, sql: psycopg.Connection) -> None:
    clock.forward(13 * 3600)
    with system_transaction(Door.SWEEP) as session:
        assert staff_sessions.forget_the_old(session, 10_000) >= 1
    assert sessions_of(person, sql) == []


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (CHROME, "Chrome on Windows"),
        (CHROME + " Edg/150.0", "Edge on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Linux; Android 16; K) Chrome/150.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8", "A browser"),
        ("<script>alert(1)</script>" * 100, "A browser"),
        ("", "A browser"),
    ],
)
def test_a_browser_in_words(person: Person, agent: str, words: str) -> None:
    person.client.environ_base["HTTP_USER_AGENT"] = agent
    person.sign_in()
    page = person.get("account").text
    assert f'class="person">{words}<' in page
    assert "<script>alert" not in page
