"""The report and the files of the dashboard, against the rows that they come from."""

from __future__ import annotations

import html
import re

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.factories import phone_number, reserve
from tests.linked import Linked
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.staff.browsers import Person
from tests.webapp.staff.reading import table
from tests.webapp.staff.rows import add_call, fail
from webapp.staff import csv_files


def test_the_report_counts_as_the_rows_say(
    client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    booked = Linked(client, sql, person.org)
    sql.execute("UPDATE sms_messages SET status = 'sending' WHERE id = %s", [booked.message])
    sql.execute(
        "UPDATE sms_messages SET status = 'sent', provider_id = 'SM1', sent_at = created_at + interval '3 s',"
        " segments = 2, price = -0.08, price_unit = 'usd' WHERE id = %s",
        [booked.message],
    )
    reserve(client, person.org, slotId=booked.start.replace("T10", "T13"))
    PhoneCall(client, person.org, phone_number()).say("check_availability", date=booked.start[:10])
    add_call(sql, person.org, cost="1.25", duration=120)
    text = " ".join(person.get("reports").text.split())
    assert "3.0 s" in text  # the median
    assert "$1.25" in text
    assert "$0.08" in text
    assert "100.00 %" in text
    for step, number, share in (("Asked for a time", 3, 100), ("Time held", 2, 67), ("Confirmed", 1, 33)):
        line = text.split(f'<th scope="row">{step}</th>')[1].split("</tr>")[0]
        assert f'{number} <span class="quiet">{share} %' in line
    rows = table(person.get("reports.csv?days=30"))
    assert rows[0] == [
        *("date", "appointments_created", "confirmations_sent", "confirmation_rate"),
        *("appointments_moved", "appointments_cancelled"),
    ]
    assert rows[1][1:] == ["1", "1", "100.00", "0", "0"]
    assert len(rows) == 31


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "\n+", "\uff1d", "\uff20"])
def test_a_cell_is_never_a_formula(start: str) -> None:
    assert csv_files.cell(f"{start}1+1") == f"'{start}1+1"
    assert csv_files.cell("Ann = Bob") == "Ann = Bob"


def test_the_file_of_leads_has_those_of_the_page(person: Person, sql: psycopg.Connection) -> None:
    for score, band in ((90, "hot"), (10, "cold")):
        add_call(sql, person.org, lead_score=score, lead_band=band)
    link = re.search(r'href="([^"]*leads\.csv[^"]*)"', person.get("leads?band=hot&waiting=1").text)
    assert link
    rows = table(person.client.get(html.unescape(link[1])))
    assert [row[5] for row in rows[1:]] == ["hot"]
    assert len(table(person.get("leads.csv"))) == 3


@pytest.mark.parametrize("status", ["deletion-failed", "not-found", "scheduled", "ended"])
def test_only_a_call_that_goes_on_is_under_way(person: Person, sql: psycopg.Connection, status: str) -> None:
    for number, state in (("+447700912301", "in-progress"), ("+447700912302", status)):
        add_call(sql, person.org, status=state, caller_number=number, lead_score=None, lead_band=None)
    page = person.get("live").text
    assert "7700 912301" in page
    assert "7700 912302" not in page


def test_files_hold_what_was_said_as_text(person: Person, sql: psycopg.Connection) -> None:
    formula = '=HYPERLINK("http://evil.example","x")'
    call = add_call(
        sql,
        person.org,
        ended_reason=formula,
        lead_reasons=[{"code": "x", "points": 3, "why": formula, "quote": ""}],
    )
    sql.execute(
        "INSERT INTO hot_lead_alerts (org_id, call_id, lead_name, lead_score) VALUES (%s, %s, %s, 90)",
        [person.org, call, formula],
    )
    for path in ("leads.csv", "calls.csv"):
        [header, row] = table(person.get(path))
        named = dict(zip(header, row, strict=True))
        assert named["call"] == call
        assert named["name"] == "'" + formula
        assert named["phone"] == "'+447700912345"
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)


def test_messages_in_trouble_as_a_file(client: FlaskClient, sql: psycopg.Connection, person: Person) -> None:
    linked = Linked(client, sql, person.org)
    fail(sql, linked.message)
    [_, row] = table(person.get("messages.csv"))
    assert row[0] == str(linked.message)
    assert row[-1] == "not registered"
