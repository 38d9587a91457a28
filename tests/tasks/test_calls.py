"""A call that is over is scored, and a hot one reaches the owner's phone, once."""

from __future__ import annotations

import json
import urllib.request
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.calls import calls
from models.calls.facts import NAME
from models.leads import leads
from models.notices import retries
from tasks.booking import expire_holds
from tasks.calls import score_call
from tasks.messaging import deliver_sms
from tests.conftest import Clock
from tests.factories import code_of, create_clinic, phone_number, slot
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.staff.rows import add_booking, add_call, now

HOT = [
    ("bot", "Hello, how can I help?"),
    ("user", "I've been quoted for two implants and I want to go ahead. What's the soonest you can see me?"),
    ("bot", "Tuesday at ten."),
    ("user", "Tuesday at ten is perfect, put me down please."),
]
#: The facts that Vapi's model finds in HOT; in any other call their quotes would be false.
FACTS = {
    "purpose": {"value": "appointment", "quote": "I've been quoted for two implants"},
    "decision": {"value": "goes_ahead", "quote": "put me down please"},
    "urgency": {"value": "soon", "quote": "What's the soonest you can see me?"},
    "treatment_kind": {"value": "major", "quote": "two implants"},
}
COLD = [
    ("bot", "Hello?"),
    ("user", "Oh sorry, I've got the wrong number, I was after the bakery. Never been to you before. Sorry."),
]


class Ended:
    """A call of its own clinic, whose report has arrived."""

    def __init__(
        self, client: FlaskClient, sql: psycopg.Connection, said: list[tuple[str, str]], **more: Any
    ) -> None:
        self.client, self.sql = client, sql
        self.org = create_clinic(calendar={"service_names": ["implants"]}, sandbox=True)
        self.owner, self.caller = phone_number(), phone_number()
        sql.execute(
            "UPDATE integration_settings SET hot_lead_alert_phone = %s WHERE org_id = %s",
            [self.owner, self.org],
        )
        self.call = PhoneCall(client, self.org, self.caller)
        self.call.say("check_availability", date=slot()[:10])
        self.report(said, **more)

    def report(self, said: list[tuple[str, str]], **more: Any) -> None:
        message = {
            "type": "end-of-call-report",
            "call": {"id": self.call.id, "customer": {"number": self.caller}},
            "artifact": {
                "messages": [{"role": role, "message": text} for role, text in said],
                "structuredOutputs": {"1": {"name": NAME, "result": FACTS}},
            },
            "analysis": {},
            **more,
        }
        assert self.client.post("/api/vapi/webhook", json={"message": message}).status_code == 200

    def score(self) -> None:
        score_call.run(org_id=self.org, call_id=self.call.id)

    def one(self, query: str) -> Any:
        row = self.sql.execute(query.encode(), [self.org]).fetchone()
        return row and (row if len(row) > 1 else row[0])

    @property
    def texts(self) -> int:
        count: int = self.one(
            "SELECT count(*) FROM sms_messages WHERE org_id = %s AND kind = 'hot_lead_alert'"
        )
        return count


def test_a_hot_lead_reaches_the_owner_once(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, twilio: str
) -> None:
    ended = Ended(client, sql, HOT, durationSeconds=301)
    clock.forward(3)
    ended.score()
    score, band, reasons = ended.one(
        "SELECT lead_score, lead_band, lead_reasons FROM calls WHERE org_id = %s"
    )
    assert score >= 70
    assert band == "hot"
    assert sum(reason["points"] for reason in reasons) >= 70
    assert ended.one("SELECT lead_score, suppressed_reason FROM hot_lead_alerts WHERE org_id = %s") == (
        score,
        None,
    )
    ended.score()
    ended.report(HOT, durationSeconds=301)
    clock.forward(3)
    ended.score()
    assert ended.texts == 1
    message = ended.one("SELECT message_id::text FROM hot_lead_alerts WHERE org_id = %s")
    deliver_sms.run(org_id=ended.org, message_id=message)
    with urllib.request.urlopen(f"{twilio}/inbox.json") as response:
        (body,) = [sms["body"] for sms in json.load(response) if sms["to"] == ended.owner]
    assert body.startswith(f"Hot lead {score}/100: Somebody, {ended.caller}, for implants. 5 min call. ")
    assert len(body) <= 306
    assert ended.one("SELECT alert_sent_at IS NOT NULL FROM hot_lead_alerts WHERE org_id = %s")


def test_an_alert_that_was_not_delivered_may_be_sent_anew(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, twilio: str
) -> None:
    ended = Ended(client, sql, HOT, durationSeconds=301)
    clock.forward(3)
    ended.score()
    told = "SELECT message_id::text, alert_sent_at IS NOT NULL FROM hot_lead_alerts WHERE org_id = %s"
    first, _ = ended.one(told)
    deliver_sms.run(org_id=ended.org, message_id=first)
    sql.execute(
        "UPDATE sms_messages SET status = 'undelivered', error_code = '30003',"
        " error_meaning = 'switched_off' WHERE id = %s",
        [first],
    )
    org = uuid.UUID(ended.org)
    for done in (True, False):
        with transaction(org) as session:
            assert retries.retry(session, org, uuid.UUID(first)).done is done
    anew, sent = ended.one(told)
    assert (anew == first, sent) == (False, False)
    deliver_sms.run(org_id=ended.org, message_id=anew)
    assert ended.one(told) == (anew, True)
    with urllib.request.urlopen(f"{twilio}/inbox.json") as response:
        one, other = [sms["body"] for sms in json.load(response) if sms["to"] == ended.owner]
    assert one == other


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"durationSeconds": 300}, "the call lasted 300 seconds, not over 300"),
        ({}, "nobody said how long the call was"),
    ],
)
def test_an_alert_that_is_held_back_says_why(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, more: dict[str, Any], why: str
) -> None:
    ended = Ended(client, sql, HOT, **more)
    clock.forward(3)
    ended.score()
    assert ended.one("SELECT suppressed_reason FROM hot_lead_alerts WHERE org_id = %s") == why
    assert ended.texts == 0
    # A later report may say that the call was long enough; then the alert is sent after all, once.
    ended.report(HOT, durationSeconds=200)
    clock.forward(3)
    ended.score()
    assert (
        ended.one("SELECT suppressed_reason FROM hot_lead_alerts WHERE org_id = %s")
        == "the call lasted 200 seconds, not over 300"
    )
    for _ in range(2):
        ended.report(HOT, durationSeconds=400)
        clock.forward(3)
        ended.score()
    assert ended.one("SELECT suppressed_reason FROM hot_lead_alerts WHERE org_id = %s") is None
    assert ended.texts == 1


def test_nothing_that_a_caller_says_is_a_link_on_the_owners_lock_screen(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, twilio: str
) -> None:
    evil = "evil.example/win 0900 123456"
    ended = Ended(client, sql, [("user", "Yes please, book me in today, it is urgent.")] * 3)
    ended.call.id = str(uuid.uuid4())
    ended.call.say("reserve_atomic", slotId=slot(), calendarId="cal-1", patientName=f"Ann {evil}")
    ended.call.say("send_otp_code")
    hold = ended.one("SELECT id::text FROM appointment_holds WHERE org_id = %s")
    assert "Booked" in ended.call.say("verify_otp", providedOTP=code_of(hold), serviceType=f"Visit {evil}")
    messages = [{"role": "user", "message": "Put me down please. And ring me about a payment plan."}]
    asked = {"call_back": {"value": "asked", "quote": "ring me about a payment plan"}}
    outputs = {"1": {"name": NAME, "result": asked}}
    artifact = {"messages": messages, "structuredOutputs": outputs}
    ended.report([], durationSeconds=400, artifact=artifact)
    clock.forward(3)
    ended.score()
    message = ended.one("SELECT message_id::text FROM hot_lead_alerts WHERE org_id = %s")
    deliver_sms.run(org_id=ended.org, message_id=message)
    with urllib.request.urlopen(f"{twilio}/inbox.json") as response:
        (body,) = [sms["body"] for sms in json.load(response) if sms["to"] == ended.owner]
    assert ": Ann evil example win, +44" in body
    assert "evil.example" not in body
    assert "123456" not in body
    assert ", for " not in body


def test_what_a_later_report_says_is_scored_anew(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    """Even a poor report: a longer one, another duration, or a transcript where there was only a verdict."""
    ended = Ended(client, sql, HOT[:1], analysis={"summary": "A call.", "successEvaluation": "false"})
    clock.forward(3)
    ended.score()
    assert ended.one("SELECT lead_band FROM calls WHERE org_id = %s") == "cold"
    ended.report(HOT)
    clock.forward(3)
    ended.score()
    assert ended.one("SELECT lead_band FROM calls WHERE org_id = %s") == "hot"
    ended.report([], durationSeconds=412)
    clock.forward(3)
    ended.score()
    assert ended.texts == 1
    # A report that changes nothing is not scored again.
    ended.report(HOT, durationSeconds=412)
    assert ended.one("SELECT score_due_at FROM calls WHERE org_id = %s") is None


def test_what_is_held_after_the_end_of_a_call_is_given_back(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    """A tool call that was sent before the end may come after it."""
    ended = Ended(client, sql, COLD)
    ended.call.say("reserve_atomic", slotId=slot(), patientName="John")
    expire_holds.run()
    assert ended.one("SELECT status FROM appointment_holds WHERE org_id = %s") == "held"
    clock.forward(61)
    expire_holds.run()
    assert ended.one("SELECT status FROM appointment_holds WHERE org_id = %s") == "released"
    taken = "SELECT count(*) FROM occupancies WHERE org_id = %s"
    assert ended.one(taken) == 0


def test_a_clinic_without_a_number_for_alerts(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    ended = Ended(client, sql, HOT, durationSeconds=500)
    sql.execute("UPDATE integration_settings SET hot_lead_alert_phone = NULL WHERE org_id = %s", [ended.org])
    clock.forward(3)
    ended.score()
    assert (
        ended.one("SELECT suppressed_reason FROM hot_lead_alerts WHERE org_id = %s")
        == "no number for alerts is set"
    )


def test_a_cold_call_is_scored_and_alerts_nobody(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    ended = Ended(client, sql, COLD, durationSeconds=900)
    clock.forward(3)
    ended.score()
    assert ended.one("SELECT lead_score FROM calls WHERE org_id = %s") < 35
    assert ended.one("SELECT count(*) FROM hot_lead_alerts WHERE org_id = %s") == 0


@pytest.mark.parametrize(("above", "band"), [(0, "hot"), (1, "warm")])
def test_a_score_of_exactly_the_threshold_is_hot_and_alerts(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, above: int, band: str
) -> None:
    ended = Ended(client, sql, HOT, durationSeconds=301)
    clock.forward(3)
    ended.score()
    score = ended.one("SELECT lead_score FROM calls WHERE org_id = %s")
    again = Ended(client, sql, HOT, durationSeconds=301)
    sql.execute(
        "UPDATE integration_settings SET hot_lead_threshold = %s WHERE org_id = %s",
        [score + above, again.org],
    )
    clock.forward(3)
    again.score()
    assert again.one("SELECT lead_score, lead_band FROM calls WHERE org_id = %s") == (score, band)
    assert again.one("SELECT count(*) FROM hot_lead_alerts WHERE org_id = %s") == (1 - above)
    assert again.texts == 1 - above


@pytest.mark.parametrize(
    ("other", "minutes", "returning"),
    [
        ({}, -1, False),  # a caller who only rang before is not a patient
        ({"booked": True}, -1, True),
        ({"booked": True}, 1, False),
        ({"booked": True, "in_this_call": True}, -1, False),  # even if a clock was ahead
        ({"booked": True, "org_id": "another clinic"}, -1, False),
        ({"withheld": True}, -1, None),
    ],
)
def test_a_caller_who_returns_had_booked_before_this_call(
    sql: psycopg.Connection,
    other: dict[str, Any],
    minutes: int,
    returning: bool | None,  # noqa: FBT001 (a parameter)
) -> None:
    """Bookings after the call do not count, however late it is scored."""
    org, caller = create_clinic(), phone_number()
    began = now(sql) - timedelta(days=1)
    number = None if other.get("withheld") else caller
    call = add_call(sql, org, caller_number=number, created_at=began)
    where = create_clinic() if "org_id" in other else org
    moment = began + timedelta(minutes=minutes)
    if other.get("booked"):
        also: dict[str, Any] = {"call_sid": call} if other.get("in_this_call") else {}
        start = now(sql) + timedelta(days=30)
        add_booking(sql, where, start, booked_at=moment, patient_phone=caller, **also)
    else:
        add_call(sql, where, caller_number=caller, created_at=moment)
    with transaction(uuid.UUID(org)) as session:
        scored = session.get_one(calls.Call, (uuid.UUID(org), call))
        assert leads.evidence(session, scored).returning is returning


def test_the_owner_hears_of_a_booked_caller_only_if_a_call_is_wanted(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    ended = Ended(client, sql, HOT)
    ended.call.id = str(uuid.uuid4())
    ended.call.say("reserve_atomic", slotId=slot(), calendarId="cal-1", patientName="Ann")
    ended.call.say("send_otp_code")
    hold = ended.one("SELECT id::text FROM appointment_holds WHERE org_id = %s")
    assert "Booked" in ended.call.say("verify_otp", providedOTP=code_of(hold))
    told = (
        "SELECT c.lead_band, c.lead_call_back, a.suppressed_reason FROM calls c"
        " JOIN hot_lead_alerts a ON a.org_id = c.org_id AND a.call_id = c.id WHERE c.org_id = %s"
    )
    ended.report(HOT, durationSeconds=400)
    clock.forward(3)
    ended.score()
    assert ended.one(told) == ("hot", False, "no call back is needed: the appointment is booked")
    assert ended.texts == 0
    # A better report says that the caller also asked for a call back.
    asked = {"call_back": {"value": "asked", "quote": "Please ring me about paying by the month."}}
    artifact = {
        "messages": [
            *({"role": role, "message": text} for role, text in HOT),
            {"role": "user", "message": "Please ring me about paying by the month."},
        ],
        "structuredOutputs": {"1": {"name": NAME, "result": {**FACTS, **asked}}},
    }
    ended.report([], durationSeconds=410, artifact=artifact)
    clock.forward(3)
    ended.score()
    assert ended.one(told) == ("hot", True, None)
    assert ended.texts == 1


def test_an_alert_is_held_back_for_the_callers_own_reason_whatever_its_points(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    ended = Ended(client, sql, HOT)
    rules = '{"weights": {"refuses_calls": 0}}'
    sql.execute("UPDATE organizations SET lead_rules = %s WHERE id = %s", [rules, ended.org])
    refused = {"call_back": {"value": "refused", "quote": "Don't ring me about it, please."}}
    artifact = {
        "messages": [
            *({"role": role, "message": text} for role, text in HOT),
            {"role": "user", "message": "Don't ring me about it, please."},
        ],
        "structuredOutputs": {"1": {"name": NAME, "result": {**FACTS, **refused}}},
    }
    ended.report([], durationSeconds=400, artifact=artifact)
    clock.forward(3)
    ended.score()
    why = "SELECT suppressed_reason FROM hot_lead_alerts WHERE org_id = %s"
    assert ended.one(why) == "the caller wants no calls"
    assert ended.texts == 0
