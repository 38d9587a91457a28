"""What is done on the pages: a call back is noted, and a text is sent again."""

from __future__ import annotations

import html
import re
from typing import Any

import psycopg
from flask import Flask
from flask.testing import FlaskClient

from tests.linked import Linked
from tests.webapp.staff.browsers import Person, employ
from tests.webapp.staff.reading import nudged as nudged  # the fixture  # noqa: PLC0414
from tests.webapp.staff.rows import add_call, fail


def test_a_call_back_is_noted_once_with_who_was_first(
    app: Flask, person: Person, sql: psycopg.Connection
) -> None:
    call = add_call(sql, person.org)
    colleague = employ(app, person.org, "Sam")
    colleague.sign_in()
    assert person.post(f"leads/{call}/called-back").location == f"/dashboard/leads/{call}"
    first = sql.execute("SELECT called_back_at, called_back_by FROM calls WHERE id = %s", [call]).fetchone()
    colleague.post(f"leads/{call}/called-back")
    again = sql.execute("SELECT called_back_at, called_back_by FROM calls WHERE id = %s", [call]).fetchone()
    assert again == first
    assert first is not None
    assert first[1] == "Jo"
    assert "Called back by Jo" in colleague.get(f"leads/{call}").text
    assert call not in person.get("leads?waiting=1").text
    person.post(f"leads/{call}/called-back", undo="1")
    assert call in person.get("leads?waiting=1").text


def test_a_failed_message_is_retried_once_however_often_the_button_is_pressed(
    client: FlaskClient, sql: psycopg.Connection, person: Person, nudged: list[Any]
) -> None:
    linked = Linked(client, sql, person.org, patientName="Tom")
    fail(sql, linked.message)
    page = person.get("messages").text
    assert "Confirmation for Tom" in page
    assert "not registered" in page
    for _ in range(3):
        assert person.post(f"messages/{linked.message}/retry").location == "/dashboard/messages"
    assert [due.message_id for due in nudged] == [linked.message]
    assert linked.sms() == ("queued", "an operator asked for it")
    assert "Not sent again" in person.get("messages").text


def test_what_the_provider_has_is_never_sent_again(
    client: FlaskClient, sql: psycopg.Connection, person: Person, nudged: list[Any]
) -> None:
    linked = Linked(client, sql, person.org)
    fail(sql, linked.message)
    sql.execute("UPDATE sms_messages SET provider_id = 'SM1' WHERE id = %s", [linked.message])
    assert "With the provider" in person.get("messages").text
    person.post(f"messages/{linked.message}/retry")
    assert nudged == []
    assert linked.sms(columns="status") == "failed"


def test_what_the_provider_could_not_deliver_is_sent_anew_once(
    client: FlaskClient, sql: psycopg.Connection, person: Person, nudged: list[Any]
) -> None:
    linked = Linked(client, sql, person.org, patientName="Tom")
    sql.execute(
        "UPDATE sms_messages SET status = 'undelivered', provider_id = 'SM1', error_code = '30003',"
        " error_meaning = 'switched_off'"
        " WHERE id = %s",
        [linked.message],
    )
    assert "Try again: Confirmation for Tom" in person.get("messages").text
    for _ in range(3):
        person.post(f"messages/{linked.message}/retry")
    [due] = nudged
    assert due.message_id != linked.message
    assert linked.sms(due.message_id) == ("queued", "an operator asked for it")
    assert "Try again: Confirmation for Tom" not in person.get("messages").text


def test_a_message_that_is_tried_again_leaves_one_where_one_was(
    client: FlaskClient, sql: psycopg.Connection, person: Person, nudged: list[Any]
) -> None:
    linked = Linked(client, sql, person.org)
    fail(sql, linked.message)
    place = "messages?before=2100-01-01T00:00:00%2B00:00&last=x"
    action = re.search(r'action="([^"]+/retry[^"]*)"', person.get(place).text)
    assert action
    answer = person.post(html.unescape(action[1]).removeprefix("/dashboard/"))
    assert answer.location == f"/dashboard/{place}"
    assert len(nudged) == 1
