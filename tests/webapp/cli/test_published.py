"""`flask published-calendar …`."""

from __future__ import annotations

import uuid

import pytest
from flask.testing import FlaskClient

from tests.webapp.cli.commands import ACTOR, Operator


@pytest.fixture
def anna(operator: Operator, clinic: str) -> str:
    operator.does(
        "resource", "add", clinic, "anna", "--name", "Anna", "--kind", "person", "--zone", "Europe/London"
    )
    return clinic


def path_of(link: str) -> str:
    return "/calendar/" + link.rpartition("/")[2]


def test_a_calendar_is_published_read_renewed_and_revoked(
    operator: Operator, anna: str, client: FlaskClient
) -> None:
    assert operator.does("published-calendar", "list", anna) == "no calendar is published"
    first = operator.does("published-calendar", "add", anna, "--for", "anna")
    assert first.startswith("http://127.0.0.1:1/calendar/")
    assert client.get(path_of(first), headers={"User-Agent": "Outlook"}).status_code == 200
    [row] = operator.reads("published-calendar", "list", anna)
    assert (row["for"], row["says"], row["by"]) == ("anna", "busy", "Outlook")
    assert row["last_read"]
    second = operator.reads("published-calendar", "renew", anna, row["id"])["link"]
    assert client.get(path_of(first)).status_code == 404
    assert client.get(path_of(second)).status_code == 200
    assert operator.does("published-calendar", "revoke", anna, row["id"]) == "its link no longer works"
    assert client.get(path_of(second)).status_code == 404
    assert operator.reads("published-calendar", "list", anna) == []
    entries = [each for each in operator.audited(anna) if each[2] == "published_calendars"]
    assert [(who, what) for who, what, *_ in entries] == [
        (ACTOR, "insert"),
        (ACTOR, "update"),
        (ACTOR, "delete"),
    ]


def test_with_names_of_the_whole_clinic(operator: Operator, anna: str, client: FlaskClient) -> None:
    made = operator.reads("published-calendar", "add", anna, "--with-names")
    assert client.get(path_of(made["link"])).status_code == 200
    [row] = operator.reads("published-calendar", "list", anna)
    assert (row["id"], row["for"], row["says"]) == (made["id"], None, "names")
    assert operator.reads("published-calendar", "revoke", anna, made["id"])["revoked"] is True


def test_what_is_not_there_is_said(operator: Operator, anna: str) -> None:
    said = operator.fails("published-calendar", "add", anna, "--for", "bob")
    assert f"there is no person, room or device bob; `flask resource list {anna}`" in said
    nobody = uuid.uuid4()
    for verb in ("renew", "revoke"):
        said = operator.fails("published-calendar", verb, anna, nobody)
        assert f"there is no published calendar {nobody}" in said
        assert f"flask published-calendar list {anna}" in said
