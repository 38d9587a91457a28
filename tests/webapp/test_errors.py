"""What is not there and what goes wrong: a page for a person, JSON for a program."""

from __future__ import annotations

import re

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.insight import reports
from tests.factories import create_clinic
from tests.linked import Linked
from tests.webapp.staff.browsers import Person, employ, token_in
from webapp.patient import pages as patient
from webapp.staff import people
from webapp.unit_of_work import DatabaseAway

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
TOKEN = "0" * 12

#: What no page says, whoever reads it.
INTERNALS = re.compile(
    r"Traceback|werkzeug|sqlalchemy|psycopg|requested URL|manually|endpoint|capacity limit|None|&lt;|SELECT ",
    re.IGNORECASE,
)


def is_a_page(response: TestResponse, *, back: str) -> None:
    """Of ours, for a person, with a way on and nothing of how it is made."""
    assert response.mimetype == "text/html"
    text = response.text
    assert 'name="viewport"' in text
    assert '.css"' in text
    assert re.search(r"<h1[^>]*>[^<]+</h1>", text)
    assert not INTERNALS.search(text), INTERNALS.search(text)
    assert f'href="{back}' in text
    for header in ("Content-Security-Policy", "X-Content-Type-Options"):
        assert header in response.headers
    assert "noindex" in response.headers["X-Robots-Tag"]
    assert response.headers["Cache-Control"] == "no-store"


@pytest.fixture
def person(app: Flask) -> Person:
    somebody = employ(app, create_clinic())
    somebody.sign_in()
    return somebody


@pytest.fixture(params=["*/*", "application/json", BROWSER, ""])
def accept(request: pytest.FixtureRequest) -> dict[str, str]:
    """Below these addresses only people ask, whatever their browser says."""
    return {"Accept": request.param}


NOWHERE = (
    "nothing",
    "live/nothing",
    "messages/not-an-id/retry",
    "leads/",
    "reports/x",
    "%F0%9F%98%80",
    "a%00b",
)


@pytest.mark.parametrize("path", NOWHERE)
def test_below_the_dashboard_what_is_not_there_is_a_page(
    client: FlaskClient, person: Person, accept: dict[str, str], path: str
) -> None:
    for browser in (client, person.client):
        response = browser.get(f"/dashboard/{path}", headers=accept)
        assert response.status_code == 404
        is_a_page(response, back="/dashboard")
    assert "Test Clinic" in response.text  # who is signed in still is, with all the pages to go to
    assert 'aria-label="Pages"' in response.text


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "live"), ("GET", "sign-out"), ("DELETE", "reports"), ("PUT", "nothing")]
)
def test_a_method_that_is_none_is_a_page_too(
    person: Person, accept: dict[str, str], method: str, path: str
) -> None:
    response = person.client.open(f"/dashboard/{path}", method=method, headers=accept)
    assert response.status_code == (404 if path == "nothing" else 405)
    assert ("Allow" in response.headers) == (path != "nothing")
    is_a_page(response, back="/dashboard")


def test_forms_that_are_too_old_or_too_long(person: Person) -> None:
    old = person.client.post("/dashboard/sign-out", data={"csrf": "another"})
    assert old.status_code == 400
    assert "form is too old" in old.text
    long = person.client.post("/dashboard/sign-out", data={"csrf": "x" * 20_000})
    assert long.status_code == 413
    for response in (old, long):
        is_a_page(response, back="/dashboard")


def test_what_breaks_says_nothing_of_how(app: Flask, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", 0)

    def broken(*_: object) -> None:
        raise RuntimeError("SELECT secret FROM psycopg")

    def away(*_: object) -> None:
        raise DatabaseAway

    monkeypatch.setattr(reports, "sms_health", broken)
    response = person.get("messages")
    assert response.status_code == 500
    is_a_page(response, back="/dashboard")
    monkeypatch.setattr(reports, "sms_health", away)
    response = person.get("messages")
    assert response.status_code == 503
    is_a_page(response, back="/dashboard")
    # Also where it is not even known who asks.
    monkeypatch.setattr(people, "current", away)
    response = person.get("nothing")
    assert response.status_code == 404
    is_a_page(response, back="/dashboard")


def test_signing_in_works_on_from_there(client: FlaskClient) -> None:
    response = client.get("/dashboard/nothing")
    back = re.search(r'class="button quiet" href="([^"]+)"', response.text)
    assert back
    assert token_in(client.get(back[1], follow_redirects=True))


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/"])
def test_the_address_that_people_type_leads_on(person: Person, path: str) -> None:
    assert person.client.get(path).location == "/dashboard/live"


# --- patients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", f"/{TOKEN}/nothing", "/x/y/z", "/" + "x" * 3000])
def test_below_a_patients_link_what_is_not_there_is_a_page(
    client: FlaskClient, accept: dict[str, str], path: str
) -> None:
    response = client.get(f"/a{path}", headers=accept)
    assert response.status_code == 404
    assert "patient.css" in response.text
    is_a_page(response, back=f"/a/{TOKEN}" if TOKEN in path else "/static/")
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "script-src" not in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("DELETE", ""), ("PUT", "/move")])
def test_a_method_that_a_patients_page_has_not(
    client: FlaskClient, accept: dict[str, str], method: str, path: str
) -> None:
    response = client.open(f"/a/{TOKEN}{path}", method=method, headers=accept)
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    is_a_page(response, back=f"/a/{TOKEN}")


def test_a_slash_too_many_is_the_same_link(client: FlaskClient, sql: psycopg.Connection) -> None:
    assert client.get(f"{Linked(client, sql).path}/").status_code == 200
    unknown = client.get(f"/a/{TOKEN}/")
    assert unknown.status_code == 404
    assert TOKEN not in unknown.text  # it was looked for, and leads nowhere


def test_a_patients_form_that_is_too_long_leads_back(client: FlaskClient, sql: psycopg.Connection) -> None:
    linked = Linked(client, sql)
    response = client.post(f"{linked.path}/move", data={"slot": "x" * patient.MOST_BYTES * 2})
    assert response.status_code == 413
    is_a_page(response, back=linked.path)


# --- programs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["*/*", "application/json", "", BROWSER])
def test_below_the_api_it_is_json_whoever_asks(client: FlaskClient, accept: str) -> None:
    for path, code in (
        ("/api/nothing", "not_found"),
        ("/api/vapi/tools/calendar/check", "method_not_allowed"),
    ):
        response = client.get(path, headers={"Accept": accept})
        assert response.get_json()["code"] == code
        assert ("POST" in response.headers.get("Allow", "")) == (code == "method_not_allowed")


def test_elsewhere_it_is_what_is_asked_for(client: FlaskClient) -> None:
    for path in ("/nowhere", "/static/nothing.css", "/dashboards", "/admin"):
        for accept in ("*/*", "application/json", "application/json, text/html;q=0.5", ""):
            response = client.get(path, headers={"Accept": accept})
            assert (response.status_code, response.get_json()["code"]) == (404, "not_found"), accept
        response = client.get(path, headers={"Accept": BROWSER})
        assert response.status_code == 404
        is_a_page(response, back="/dashboard")


def test_who_opens_the_bare_address_in_a_browser_comes_to_sign_in(client: FlaskClient) -> None:
    assert client.get("/", headers={"Accept": "*/*"}).get_json()["name"] == "Holdline"
    assert token_in(client.get("/", headers={"Accept": BROWSER}, follow_redirects=True))


def test_a_redirection_stays_one(client: FlaskClient) -> None:
    response = client.get("/dashboard//live")
    assert (response.status_code, response.location) == (308, "http://localhost/dashboard/live")
