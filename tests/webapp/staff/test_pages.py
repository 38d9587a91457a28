"""What the pages show, on rows as the phone path writes them."""

from __future__ import annotations

import html
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.booking import appointments, links
from models.leads.leads import HotLeadAlert
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsKind
from models.notices import registry
from tests.factories import phone_number, reserve, slot
from tests.linked import Linked
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.staff.browsers import Person
from tests.webapp.staff.reading import nudged as nudged  # the fixture  # noqa: PLC0414
from tests.webapp.staff.reading import shown, table
from tests.webapp.staff.rows import add_call, fail, now

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
PAGES = ("live", "live/state", "leads", "messages", "calls", "reports")


# --- what is shown ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "leads?band=hot", "leads?waiting=1", "reports?days=90"])
def test_a_clinic_of_no_calls_has_all_its_pages(person: Person, path: str) -> None:
    assert person.get(path).status_code == 200


def test_the_live_page_shows_a_call_its_hold_and_its_booking(
    client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    call = PhoneCall(client, person.org, phone_number())
    assert "holdId=" in call.say(
        "reserve_atomic", slotId=Linked(client, sql).start, patientName="Ann Under Way"
    )
    held = person.get("live").text
    assert held.count("Ann Under Way") == 2  # on the line, and holding
    assert "No code sent yet" in held
    call.end()
    assert "Ann Under Way" not in person.get("live").text
    Linked(client, sql, person.org, patientName="Bea Booked", service="cleaning")
    booked = person.get("live").text
    assert "Bea Booked" in booked
    assert "text waiting" in booked


def test_a_call_says_what_became_of_its_booking(
    client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    linked = Linked(client, sql, person.org, patientName="Fay")
    call = add_call(sql, person.org)
    sql.execute("UPDATE appointments SET call_sid = %s WHERE id = %s", [call, linked.appointment])
    assert "Booked, then" not in shown(person.get("calls"))
    client.post(f"{linked.path}/move", data={"slot": linked.start.replace("T10", "T15")})
    details = shown(person.get(f"leads/{call}"))
    assert re.search(
        r"Changed Moved from \w+ \d+ \w+, 10:00 am to \w+ \d+ \w+, 3:00 pm, by the patient, by",
        details,
    )
    for path in ("calls", "leads", f"leads/{call}", "calls.csv"):
        assert "Booked, then moved" in shown(person.get(path)), path
    assert "moved from" in shown(person.get("live"))  # among the bookings made today
    client.post(f"/a/{links.derive(linked.newest())}/cancel")
    details = shown(person.get(f"leads/{call}"))
    assert re.search(r"Changed Cancelled: it was for \w+ \d+ \w+, 3:00 pm, by the patient, by", details)
    for path in ("calls", "leads", f"leads/{call}", "calls.csv"):
        assert "Booked, then cancelled" in shown(person.get(path)), path


def test_a_cancelled_booking_shows_what_became_of_the_text_that_says_so(
    client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    linked = Linked(client, sql, person.org)
    client.post(f"{linked.path}/cancel")
    assert linked.sms(columns="status") == "expired"  # the confirmation, which is of no interest any more
    live = shown(person.get("live"))
    assert "text waiting" in live
    assert "not sent in time" not in live


def test_who_changed_it_is_said_whoever_it_was(
    client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    linked = Linked(client, sql, person.org)
    with transaction(uuid.UUID(person.org), actor="operator ann") as session:
        appointments.cancel(
            session, org_id=uuid.UUID(person.org), appointment_id=uuid.UUID(linked.appointment)
        )
    assert "by an operator, " in shown(person.get("live"))


def test_moves_and_cancellations_are_counted_on_the_clinics_day_of_the_change(
    client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    """In New York: what was changed at three in the night by UTC was changed on the evening before."""
    for kind in ("calendars", "resources"):
        change = psycopg.sql.SQL("UPDATE {} SET time_zone = 'America/New_York' WHERE org_id = %s")
        sql.execute(change.format(psycopg.sql.Identifier(kind)), [person.org])
    first = Linked(client, sql, person.org, start=slot(hour=17))
    second = Linked(client, sql, person.org, start=slot(hour=18))
    client.post(f"{first.path}/move", data={"slot": slot(hour=19)})
    client.post(f"/a/{links.derive(first.newest())}/move", data={"slot": slot(hour=20)})
    client.post(f"/a/{links.derive(first.newest())}/cancel")
    client.post(f"{second.path}/cancel")
    today = datetime.now(ZoneInfo("America/New_York")).date()
    night = datetime.combine(today - timedelta(days=2), datetime.min.time(), UTC) + timedelta(hours=3)
    sql.execute(
        "UPDATE appointment_changes SET created_at = %s WHERE appointment_id = %s", [night, first.appointment]
    )
    rows = {row[0]: row[1:] for row in table(person.get("reports.csv?days=7"))[1:]}
    assert rows[str(today)] == ["2", "0", "0.00", "0", "1"]
    assert rows[str(today - timedelta(days=3))] == ["0", "0", "", "2", "1"]
    assert rows[str(today - timedelta(days=2))] == ["0", "0", "", "0", "0"]
    line = re.search(r"<td[^>]*>2</td>\s*<td[^>]*>0</td>\s*<td[^>]*>1</td>", person.get("reports").text)
    assert line  # booked, moved, cancelled
    assert "Cancellation" in shown(person.get("reports"))  # among the messages by status


def test_a_lead_shows_its_score_its_reasons_and_what_was_said(
    person: Person, sql: psycopg.Connection
) -> None:
    reasons = [
        {"code": "want", "points": 35, "why": "Wants to come", "quote": "can I come in"},
        {"code": "later", "points": -12, "why": "In no hurry", "quote": "some time next year"},
    ]
    call = add_call(sql, person.org, lead_reasons=reasons)
    text = person.get(f"leads/{call}").text
    for said in ("+35", "-12", "Wants to come", "can I come in", "some time next year", "whitening", "6:40"):
        assert said in text
    assert call in person.get("leads").text
    assert call in person.get("leads?band=hot").text
    assert call not in person.get("leads?band=cold").text
    assert call in person.get("calls").text


def test_what_weighs_most_is_said_first_wherever_a_lead_is_told_of(
    person: Person, sql: psycopg.Connection
) -> None:
    """As the reasons are stored, and never what every call has, which older rows have first."""
    weights = {"base": 99, "many": 40, "some": 22, "against": -7, "few": 5}
    call = add_call(
        sql,
        person.org,
        lead_reasons=[
            {"code": code, "points": points, "why": f"Because {code}", "quote": ""}
            for code, points in weights.items()
        ],
    )
    for path in ("live", "leads"):
        assert re.findall(r"Because (\w+)", person.get(path).text) == ["many"], path
    org = uuid.UUID(person.org)
    message = SmsMessage(id=uuid.uuid4(), org_id=org, kind=SmsKind.HOT_LEAD_ALERT, to_phone=phone_number())
    with transaction(org) as session:
        session.add(message)
        session.flush()
        session.add(HotLeadAlert(org_id=org, call_id=call, lead_score=90, message_id=message.id))
        session.flush()
        text = registry.render(session, message)
    assert text
    assert re.findall(r"Because (\w+)", text) == ["many", "some", "few"]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("queued", "waits; next try at 10:40 am"),
        ("sending", "on its way"),
        ("sent", "sent at 10:30 am"),
        ("failed", "failed"),
        ("unknown", "outcome not known"),
        ("suppressed", "not sent: no number for alerts is set"),
        ("no alert", "not sent"),
    ],
)
def test_a_hot_lead_says_what_became_of_the_owners_text(
    person: Person, sql: psycopg.Connection, state: str, says: str
) -> None:
    org, call = uuid.UUID(person.org), add_call(sql, person.org)
    today = now(sql).date().isoformat()
    message = uuid.uuid4() if state not in ("suppressed", "no alert") else None
    if message:
        sql.execute(
            "INSERT INTO sms_messages (id, org_id, kind, to_phone, next_attempt_at)"
            " VALUES (%s, %s, 'hot_lead_alert', '+447700900010', %s)",
            [message, org, f"{today} 10:40 Europe/London"],
        )
    if state != "no alert":
        reason = "no number for alerts is set" if state == "suppressed" else None
        sql.execute(
            "INSERT INTO hot_lead_alerts (id, org_id, call_id, lead_score, message_id, suppressed_reason)"
            " VALUES (%s, %s, %s, 90, %s, %s)",
            [uuid.uuid4(), org, call, message, reason],
        )
    before = person.get("live/state").headers["ETag"]
    if state not in ("queued", "suppressed", "no alert"):
        sql.execute("UPDATE sms_messages SET status = 'sending' WHERE id = %s", [message])
        if state != "sending":
            values = {"state": state, "at": f"{today} 10:30 Europe/London", "id": message}
            sql.execute(
                "UPDATE sms_messages SET status = %(state)s, sent_at = CASE WHEN %(state)s = 'sent'"
                " THEN CAST(%(at)s AS timestamptz) END WHERE id = %(id)s",
                values,
            )
        assert person.get("live/state").headers["ETag"] != before
    assert f"owner's text {says}</p>" in html.unescape(person.get("live").text)
    if state != "no alert":
        assert f"<dd>{says}</dd>" in person.get(f"leads/{call}").text


@pytest.mark.parametrize(
    ("kind", "says"), [("webCall", "a web page"), ("inboundPhoneCall", None), (None, None)]
)
def test_a_call_that_came_by_no_telephone_says_so(
    person: Person, sql: psycopg.Connection, kind: str | None, says: str | None
) -> None:
    page = person.get(f"leads/{add_call(sql, person.org, call_type=kind, caller_number=None)}").text
    assert ("Came by" in page) == bool(says)
    assert (says or "") in page


def test_lists_go_on_where_the_page_before_ended(
    person: Person, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(51):
        add_call(sql, person.org, id=f"call-{number:03d}")
        sql.execute(
            "UPDATE calls SET created_at = now() - make_interval(mins => %s) WHERE id = %s AND org_id = %s",
            [number, f"call-{number:03d}", person.org],
        )
    first = person.get("calls").text
    assert "call-049" in first
    assert "call-050" not in first
    older = first.split('class="older"')[1].split('href="/dashboard/')[1].split('"')[0]
    second = person.get(html.unescape(older)).text
    assert "leads/call-050?" in second
    assert "leads/call-049?" not in second
    for nonsense in ("calls?before=x", "calls?before=0001-01-01T00:00:00%2B14:00", "calls?before=2026-01-01"):
        assert person.get(nonsense).status_code == 200


def test_words_from_the_telephone_are_never_markup(
    client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    linked = Linked(client, sql, person.org, patientName=EVIL[:100], service=EVIL)
    fail(sql, linked.message)
    reserve(client, person.org, patientName=EVIL[:100], slotId=linked.start.replace("T10", "T13"))
    sql.execute("UPDATE sms_messages SET error_reason = %s WHERE id = %s", [EVIL, linked.message])
    call = add_call(
        sql,
        person.org,
        summary=EVIL,
        caller_number=EVIL,
        ended_reason=EVIL,
        turns=[{"who": EVIL, "text": EVIL, "at": None}, {"who": "caller", "text": EVIL, "at": 1}],
        lead_reasons=[{"code": EVIL, "points": 5, "why": EVIL, "quote": EVIL}],
    )
    sql.execute(
        "INSERT INTO hot_lead_alerts (org_id, call_id, lead_name, lead_phone, lead_score, suppressed_reason)"
        " VALUES (%s, %s, %s, %s, 90, %s)",
        [person.org, call, EVIL, EVIL, EVIL],
    )
    odd = add_call(sql, person.org, id=EVIL, called_back_by=EVIL, called_back_at="2026-01-01T00:00:00Z")
    for path in (*PAGES, f"leads/{call}"):
        text = person.get(path).text
        assert "<script>alert" not in text, path
        assert "<img" not in text, path
        assert path == "reports" or "&lt;script&gt;" in text, path
    assert odd == EVIL


# --- what is done -------------------------------------------------------------------------------


def test_what_is_another_clinics_is_nowhere(
    client: FlaskClient, sql: psycopg.Connection, person: Person, other: Person, nudged: list[Any]
) -> None:
    call = add_call(sql, other.org)
    linked = Linked(client, sql, other.org, patientName="Zebedee")
    fail(sql, linked.message)
    before = linked.sms()
    missing = str(uuid.uuid4())
    for mine, nobodys in (
        (person.get(f"leads/{call}"), person.get(f"leads/{missing}")),
        (person.post(f"leads/{call}/called-back"), person.post(f"leads/{missing}/called-back")),
        (person.post(f"leads/{call}/called-back", undo="1"), person.post(f"leads/{missing}/called-back")),
        (person.post(f"messages/{linked.message}/retry"), person.post(f"messages/{missing}/retry")),
    ):
        assert mine.status_code == nobodys.status_code == 404
        assert mine.text == nobodys.text
    for path in (*PAGES, "leads.csv", "calls.csv", "messages.csv"):
        text = person.get(path).text
        assert call not in text
        assert "Zebedee" not in text
    assert person.get("leads/a%00b").status_code == 404
    assert (linked.sms(), nudged) == (before, [])


# --- from a list to a call, and back ------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "score", "said"),
    [
        ((15, 50, 22, 12, 2, 1, 2), 100, "Together 104, shown as 100: no score is higher."),
        ((15, -45, -20), 0, "Together -50, shown as 0: no score is lower."),
        ((15, 50, 5), 70, "Together 70."),
        ((50, 50), 100, "Together 100."),
        ((15, -15), 0, "Together 0."),
    ],
)
def test_the_points_of_a_score_are_summed_up(
    person: Person, sql: psycopg.Connection, points: tuple[int, ...], score: int, said: str
) -> None:
    reasons = [{"code": f"r{n}", "points": each, "why": "So", "quote": ""} for n, each in enumerate(points)]
    call = add_call(sql, person.org, lead_reasons=reasons, lead_score=score)
    assert said in person.get(f"leads/{call}").text


def test_what_was_booked_today_is_not_taken_for_todays_appointments(
    client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    Linked(client, sql, person.org, patientName="Bea Booked")
    page = person.get("live").text
    assert "booked today" not in page.lower()
    assert "booking made today" in page
    assert "whichever day they are for" in page
