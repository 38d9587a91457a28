"""An erased patient is nobody to ring, and no mark of the erasure is shown as a number."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.insight import privacy
from tests.factories import phone_number
from tests.linked import Linked
from tests.webapp.staff.browsers import Person
from tests.webapp.staff.rows import add_call, fail

PLACES = (
    *("live", "live/state", "leads", "leads?band=hot", "leads?waiting=1", "calls", "messages", "reports"),
    *("lead-record.csv", "leads.csv", "calls.csv", "messages.csv"),
)
NAME = "Wilhelmina Quarterstaff"


@dataclass
class Lead:
    """A caller who is hot, perhaps with a booking, and to ring back."""

    person: Person
    sql: psycopg.Connection
    phone: str
    call: str

    def erase(self) -> None:
        org = uuid.UUID(self.person.org)
        with transaction(org) as session:
            privacy.erase(session, org, [self.phone], cancel=True)

    def everywhere(self) -> dict[str, str]:
        return {path: self.person.get(path).text for path in (*PLACES, f"leads/{self.call}")}


@pytest.fixture(params=["booked", "rang", "known", "for a relative"])
def lead(
    request: pytest.FixtureRequest, client: FlaskClient, sql: psycopg.Connection, person: Person
) -> Lead:
    phone, call = phone_number(), f"call-{uuid.uuid4()}"
    caller = phone_number() if request.param == "for a relative" else phone
    add_call(sql, person.org, id=call, caller_number=caller, lead_score=100, summary=f"{NAME} rang")
    if request.param in {"booked", "for a relative"}:
        linked = Linked(client, sql, person.org, patientName=NAME, patientPhone=phone)
        sql.execute("UPDATE appointments SET call_sid = %s WHERE id = %s", [call, linked.appointment])
        fail(sql, linked.message)
    elif request.param == "known":
        sql.execute(
            "INSERT INTO contacts (org_id, phone, name) VALUES (%s, %s, %s)", [person.org, phone, NAME]
        )
    sql.execute(
        "INSERT INTO hot_lead_alerts (org_id, call_id, lead_name, lead_phone, lead_score)"
        " VALUES (%s, %s, %s, %s, 100)",
        [person.org, call, NAME, phone],
    )
    return Lead(person, sql, phone, call)


def test_an_erased_patient_is_no_lead_anywhere(lead: Lead) -> None:
    before = lead.everywhere()
    for path in ("live", "leads", "leads?band=hot", "leads?waiting=1", "leads.csv", "calls"):
        assert lead.call in before[path], path
    assert "1</strong> <span>hot lead to ring back" in before["live"]
    lead.erase()
    after = lead.everywhere()
    for path, text in after.items():
        for trace in ("erased:", "tel:erased", NAME, lead.phone, lead.phone[1:], "100</span>"):
            assert trace not in text, (path, trace)
        if path.startswith(("live", "leads?", "leads.csv")) or path == "leads":
            assert lead.call not in text, path
    assert "0</strong> <span>hot leads to ring back" in after["live"]
    assert lead.call in after["calls"]
    page = after[f"leads/{lead.call}"]
    for offered in ("Called back", "Ring ", "tel:", "Why this score"):
        assert offered not in page
    assert "has been erased" in page
    assert "on its way" not in page
    assert "Try again" not in after["messages"]


def test_nobody_can_say_that_an_erased_patient_was_rung(lead: Lead) -> None:
    lead.erase()
    lead.person.post(f"leads/{lead.call}/called-back")
    row = lead.sql.execute("SELECT called_back_at FROM calls WHERE id = %s", [lead.call]).fetchone()
    assert row == (None,)


def test_an_open_live_page_loses_who_is_erased(lead: Lead) -> None:
    before = lead.person.get("live/state")
    lead.erase()
    tag = {"If-None-Match": before.headers["ETag"]}
    after = lead.person.client.get("/dashboard/live/state", headers=tag)
    assert after.status_code == 200
    assert lead.call not in after.text


def test_a_call_that_goes_on_while_its_caller_is_erased(person: Person, sql: psycopg.Connection) -> None:
    phone = phone_number()
    add_call(sql, person.org, caller_number=phone, status="in-progress", lead_score=None, lead_band=None)
    Lead(person, sql, phone, "").erase()
    page = person.get("live").text
    assert "Erased patient" in page
    assert "erased:" not in page


def test_what_the_lead_was_counted_for_stays(lead: Lead) -> None:
    lead.erase()
    row = lead.sql.execute(
        "SELECT lead_score, lead_band, duration FROM calls WHERE id = %s", [lead.call]
    ).fetchone()
    assert row == (100, "hot", 400)


def test_an_erased_booking_stays_in_every_step_of_the_report(
    client: FlaskClient, person: Person, sql: psycopg.Connection
) -> None:
    """Of its code nothing is left, and it was sent all the same."""
    phone = phone_number()
    Linked(client, sql, person.org, patientPhone=phone)
    before = steps(person)
    assert before == {"Asked for a time": 1, "Time held": 1, "Code sent": 1, "Confirmed": 1}
    Lead(person, sql, phone, "").erase()
    assert steps(person) == before


def steps(person: Person) -> dict[str, int]:
    page = " ".join(person.get("reports").text.split())
    lines = page.split('id="funnel-title"')[1].split("</table>")[0].split('<th scope="row">')[1:]
    return {
        line.partition("</th>")[0]: int(line.split('<td class="figure">')[1].split()[0]) for line in lines
    }
