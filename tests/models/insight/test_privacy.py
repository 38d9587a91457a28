"""One patient's data: all of it is in the export, and none of it remains after the erasure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import JSON, Text

from models.base.session import transaction
from models.base.tables import Base
from models.booking import holds
from models.insight import privacy
from models.messaging.messages import SmsMessage
from models.messaging.states import Cause
from models.notices import retries
from models.notices.registry import render
from tests.conftest import Clock
from tests.factories import code_of, create_clinic, phone_number, slot
from tests.linked import Linked
from tests.webapp.cli.commands import Operator

NAME = "Wilhelmina Quarterstaff"


@dataclass
class Patient:
    """A patient who booked by telephone, was a lead, and asked for no more SMS."""

    sql: psycopg.Connection
    client: FlaskClient
    org: str
    phone: str
    call: str

    def tool(self, name: str, **arguments: object) -> str:
        body = {
            "message": {
                "type": "tool-calls",
                "call": {"id": self.call},
                "toolCallList": [
                    {"id": f"{name}-{uuid.uuid4()}", "function": {"name": name, "arguments": arguments}}
                ],
            }
        }
        arguments.setdefault("tenantId", self.org)
        response = self.client.post("/api/vapi/tools/booking/reserve-atomic", json=body)
        return str(response.get_json()["results"][0]["result"])

    def hold(self, **arguments: object) -> str:
        said = self.tool(
            "reserve_atomic",
            **{"slotId": slot(), "calendarId": "cal-1", "patientName": NAME, "patientPhone": self.phone}
            | arguments,
        )
        assert "holdId" in said, said
        return str(
            self.value(
                "SELECT id FROM appointment_holds WHERE org_id = %s ORDER BY created_at DESC LIMIT 1",
                self.org,
            )
        )

    def book(self) -> None:
        hold = self.hold()
        self.tool("send_otp_code")
        assert "Booked" in self.tool("verify_otp", providedOTP=code_of(hold))

    def value(self, query: str, *parameters: object) -> Any:
        row = self.sql.execute(query, parameters).fetchone()
        return row[0] if row else None

    def become_a_lead(self) -> None:
        """Store an alert to the clinic that names the patient."""
        message = self.value(
            "INSERT INTO sms_messages (org_id, kind, to_phone, body, call_sid) VALUES"
            " (%s, 'hot_lead_alert', '+442079460958', %s, %s) RETURNING id",
            *(self.org, f"Hot lead: {NAME} {self.phone}", self.call),
        )
        self.sql.execute(
            "INSERT INTO calls (org_id, id, status, caller_number, summary, turns, facts, lead_reasons,"
            " score_due_at) VALUES (%s, %s, 'ended', %s, %s, %s, %s, %s, now())",
            [
                self.org,
                self.call,
                self.phone,
                f"{NAME} rang",
                json.dumps([{"role": "user", "text": f"This is {NAME}"}]),
                json.dumps({"name": NAME}),
                json.dumps([{"code": "urgent", "quote": f"{NAME} is in pain"}]),
            ],
        )
        self.sql.execute(
            "INSERT INTO hot_lead_alerts (org_id, call_id, lead_name, lead_phone, lead_score, message_id)"
            " VALUES (%s, %s, %s, %s, 80, %s)",
            [self.org, self.call, NAME, self.phone, message],
        )

    def opt_out(self) -> None:
        self.sql.execute(
            "INSERT INTO opt_outs (org_id, phone, source, opted_out_at) VALUES (%s, %s, 'staff', now())",
            [self.org, self.phone],
        )

    def everything(self) -> str:
        """Every row of every table of this clinic, as one text."""
        return dump(self.sql, self.org)


def dump(sql: psycopg.Connection, org: str) -> str:
    tables = sql.execute(
        "SELECT DISTINCT c.table_name FROM information_schema.columns c"
        " JOIN information_schema.tables t USING (table_schema, table_name)"
        " WHERE c.table_schema = 'public' AND c.column_name = 'org_id' AND t.table_type = 'BASE TABLE'"
    ).fetchall()
    assert len(tables) >= 15
    lines = [
        text
        for (name,) in sorted(tables)
        for (text,) in sql.execute(
            f"SELECT '{name}' || row_to_json(t)::text FROM {name} t WHERE org_id = %s", [org]
        ).fetchall()
    ]
    return "\n".join(lines)


@pytest.fixture
def patient(client: FlaskClient, sql: psycopg.Connection) -> Patient:
    org = create_clinic(calendars=("cal-1", "cal-2"), sandbox=True)
    return Patient(sql, client, org, phone_number(), f"call-{uuid.uuid4()}")


@pytest.fixture
def booked(patient: Patient) -> Patient:
    patient.book()
    patient.become_a_lead()
    patient.opt_out()
    return patient


@pytest.fixture
def operator(app: Flask, sql: psycopg.Connection) -> Operator:
    return Operator(app, sql)


def privacy_export(patient: Patient) -> dict[str, Any]:
    with transaction(uuid.UUID(patient.org)) as session:
        return privacy.export(session, uuid.UUID(patient.org), [patient.phone])


def erase(patient: Patient, **how: bool) -> dict[str, int]:
    with transaction(uuid.UUID(patient.org), actor="operator ann") as session:
        return privacy.erase(session, uuid.UUID(patient.org), [patient.phone], **how)


# --- what is personal ---------------------------------------------------------------------------

#: Texts that do not identify a patient: ids, states, names of the clinic or the provider.
IMPERSONAL = {
    "appointment_holds": {"calendar_id", "resource_id", "call_sid", "code_key"},
    "appointments": {"calendar_id", "resource_id", "call_sid", "confirmation_sms_id"},
    "calls": {
        *("id", "status", "ended_reason", "call_type", "assistant_id", "phone_number_id", "lead_band"),
        *("called_back_by", "judged_band"),
    },
    "contacts": {"booking_source"},
    "hot_lead_alerts": {"call_id", "suppressed_reason"},
    "occupancies": {"resource_id"},
    "patient_links": {"token_digest"},
    "appointment_changes": {"actor"},
    "attack_counts": {"kind"},
    "inbound_wishes": {"provider_id"},
    "sign_in_limits": {"digest"},
    "signed_requests": {"signature", "path"},
    "sweeps": {"task"},
    "allowances": {"kind", "whose"},
    "sms_events": {"error_code", "from_status", "to_status", "cause", "actor", "provider_id"},
    "sms_messages": {"call_sid", "provider_id", "error_code", "price_unit", "account_sid"},
    "tool_calls": {"call_id", "tool_call_id", "tool", "arguments_digest"},
}
#: Tables about the clinic and not about its patients.
OF_THE_CLINIC = {
    "audit_log",
    "calendars",
    "integration_settings",
    "organizations",
    "sms_senders",
    "staff_sessions",
    "staff_users",
    "vapi_credentials",
    "vapi_syncs",
}


def texts() -> Iterator[tuple[str, str]]:
    for name, table in Base.metadata.tables.items():
        if name in OF_THE_CLINIC:
            continue
        for column in table.columns:
            if isinstance(column.type, Text | JSON):
                yield name, column.name


def test_of_every_text_it_is_known_whether_it_is_personal() -> None:
    """A new column that could hold a name must be added to privacy.PERSONAL and to erase()."""
    unknown = {
        (table, column)
        for table, column in texts()
        if column not in privacy.PERSONAL.get(table, set()) | IMPERSONAL.get(table, set())
    }
    assert not unknown


# --- export -------------------------------------------------------------------------------------


def test_the_export_has_everything(booked: Patient, operator: Operator) -> None:
    about = json.loads(operator.does("patient", "export", booked.org, booked.phone))
    assert about["phone"] == booked.phone
    assert [row["name"] for row in about["contacts"]] == [NAME]
    assert [(row["patient_name"], row["status"]) for row in about["holds"]] == [(NAME, "confirmed")]
    assert [(row["patient_phone"], row["status"]) for row in about["appointments"]] == [
        (booked.phone, "confirmed")
    ]
    assert {row["kind"] for row in about["sms"]} == {"otp", "confirmation", "hot_lead_alert"}
    assert f"Hot lead: {NAME} {booked.phone}" in [row["body"] for row in about["sms"]]
    assert [(row["id"], row["summary"]) for row in about["calls"]] == [(booked.call, f"{NAME} rang")]
    assert {row["tool"] for row in about["tool_calls"]} == {"reserve_atomic", "send_otp_code", "verify_otp"}
    assert all(row["reply"]["say"] for row in about["tool_calls"])
    assert [row["lead_score"] for row in about["lead_alerts"]] == [80]
    assert [row["source"] for row in about["opt_outs"]] == ["staff"]
    text = json.dumps(about)
    digest = booked.value("SELECT code_digest FROM appointment_holds WHERE org_id = %s", booked.org)
    assert digest
    assert digest not in text


def test_the_export_has_nothing_of_anybody_else(booked: Patient, operator: Operator) -> None:
    other = Patient(booked.sql, booked.client, booked.org, phone_number(), f"call-{uuid.uuid4()}")
    other.hold(patientName="Somebody Else", slotId=slot(hour=12))
    elsewhere = Patient(booked.sql, booked.client, create_clinic(sandbox=True), booked.phone, booked.call)
    elsewhere.hold(patientName="At Another Clinic")
    text = operator.does("patient", "export", booked.org, booked.phone)
    for alien in (other.phone, other.call, "Somebody Else", "At Another Clinic", elsewhere.org):
        assert alien not in text


def test_a_number_that_nobody_knows(booked: Patient, operator: Operator) -> None:
    stranger = phone_number()
    for words in (["export", booked.org, stranger], ["erase", booked.org, stranger, "--yes"]):
        assert f"holds nothing about {stranger}" in operator.fails("patient", *words)
    assert "is no telephone number" in operator.fails(
        "patient", "export", booked.org, "the lady with the dog"
    )


# --- erasure ------------------------------------------------------------------------------------


def test_after_the_erasure_nothing_is_found(booked: Patient, operator: Operator, clock: Clock) -> None:
    before = booked.everything()
    assert NAME in before
    assert booked.phone in before
    clock.forward(30 * 24 * 3600)  # the visit is over
    # Twilio often repeats the number in its errors.
    booked.sql.execute(
        "UPDATE sms_messages SET status = 'failed', error_reason = %s WHERE org_id = %s AND kind = 'otp'",
        [f"The 'To' number {booked.phone} is not valid", booked.org],
    )
    said = operator.does("patient", "erase", booked.org, booked.phone, "--yes")
    assert "1 contacts" in said
    after = booked.everything()
    assert NAME not in after
    assert "Quarterstaff" not in after
    assert booked.phone not in after
    assert booked.phone.removeprefix("+") not in after
    # Rows stay, for the counts.
    count = booked.value("SELECT count(*) FROM appointments WHERE org_id = %s", booked.org)
    assert count == 1
    assert after.count("\n") >= before.count("\n")
    assert 'patient_name":"erased' in after
    # The clinic's own number is not the patient's, and stays.
    assert (
        booked.value(
            "SELECT to_phone FROM sms_messages WHERE org_id = %s AND kind = 'hot_lead_alert'", booked.org
        )
        == "+442079460958"
    )
    assert operator.fails("patient", "export", booked.org, booked.phone)


def test_who_only_rang_is_found_by_the_number(patient: Patient) -> None:
    patient.sql.execute(
        "INSERT INTO calls (org_id, id, status, caller_number, summary) VALUES (%s, %s, 'ended', %s, %s)",
        [patient.org, patient.call, patient.phone, f"{NAME} asked for the way"],
    )
    assert erase(patient)["calls"] == 1
    assert patient.phone not in patient.everything()
    assert NAME not in patient.everything()


def test_of_a_call_for_a_relative_the_callers_number_stays(booked: Patient) -> None:
    relative = phone_number()
    booked.sql.execute("UPDATE calls SET caller_number = %s WHERE org_id = %s", [relative, booked.org])
    erase(booked, cancel=True)
    assert booked.value("SELECT caller_number FROM calls WHERE org_id = %s", booked.org) == relative
    empty = "num_nulls(summary, turns, facts, lead_reasons, score_due_at)"  # a JSON null would not count
    assert booked.value(f"SELECT {empty} FROM calls WHERE org_id = %s", booked.org) == 5


def test_nobody_else_is_touched(booked: Patient) -> None:
    other = Patient(booked.sql, booked.client, booked.org, phone_number(), f"call-{uuid.uuid4()}")
    other.hold(patientName="Somebody Else", slotId=slot(hour=12))
    elsewhere = Patient(booked.sql, booked.client, create_clinic(sandbox=True), booked.phone, booked.call)
    elsewhere.hold()
    untouched = dump(booked.sql, elsewhere.org)
    theirs = [line for line in booked.everything().splitlines() if other.phone in line or other.call in line]
    assert len(theirs) >= 3
    erase(booked, cancel=True)
    assert dump(booked.sql, elsewhere.org) == untouched
    after = booked.everything().splitlines()
    assert [line for line in theirs if line not in after] == []


def test_an_appointment_to_come_is_in_the_way(booked: Patient, operator: Operator) -> None:
    before = booked.everything()
    said = operator.fails("patient", "erase", booked.org, booked.phone, "--yes")
    assert "1 appointments are still to come" in said
    assert "--cancel" in said
    assert booked.everything() == before
    operator.does("patient", "erase", booked.org, booked.phone, "--yes", "--cancel")
    assert booked.value("SELECT status FROM appointments WHERE org_id = %s", booked.org) == "cancelled"
    assert booked.value("SELECT count(*) FROM occupancies WHERE org_id = %s", booked.org) == 0
    assert booked.phone not in booked.everything()


def test_a_visit_is_in_the_way_until_it_is_over(booked: Patient, clock: Clock) -> None:
    since = "SELECT extract(epoch FROM scheduled_at - app_clock())::float FROM appointments WHERE org_id = %s"
    clock.forward(booked.value(since, booked.org) + 25 * 60)
    with pytest.raises(privacy.StillExpected):
        erase(booked)
    clock.forward(6 * 60)  # the appointment lasted half an hour
    erase(booked)
    assert booked.value("SELECT status FROM appointments WHERE org_id = %s", booked.org) == "confirmed"


def test_it_asks_first(booked: Patient, operator: Operator) -> None:
    before = booked.everything()
    said = operator.fails("patient", "erase", booked.org, booked.phone, "--cancel", typed="n\n")
    assert "1 appointments" in said
    assert booked.everything() == before
    operator.does("patient", "erase", booked.org, booked.phone, "--cancel", typed="y\n")
    assert booked.phone not in booked.everything()


def test_what_was_not_sent_never_is_and_says_so(booked: Patient) -> None:
    booked.sql.execute(
        "UPDATE sms_messages SET status = 'sending' WHERE org_id = %s AND kind = 'otp'", [booked.org]
    )
    with pytest.raises(privacy.BeingSent):
        erase(booked, cancel=True)
    booked.sql.execute(
        "UPDATE sms_messages SET status = 'unknown', unknown_since = now()"
        " WHERE org_id = %s AND kind = 'otp'",
        [booked.org],
    )
    erase(booked, cancel=True)
    rows = booked.sql.execute(
        "SELECT kind, status, cause, error_reason, unknown_since, check_at, body FROM sms_messages"
        " WHERE org_id = %s ORDER BY kind",
        [booked.org],
    ).fetchall()
    because = Cause.ERASED.value
    assert rows == [
        ("confirmation", "expired", because, because, None, None, None),
        ("hot_lead_alert", "expired", because, because, None, None, None),
        ("otp", "failed", because, because, None, None, None),
    ]


def test_a_late_report_brings_nothing_back(patient: Patient) -> None:
    """Even if the call had no number, or another person's, and is known by its hold."""
    patient.hold()
    report = {"call": {"id": patient.call}, "artifact": {"transcript": f"User: {NAME} wants implants"}}
    message = {"message": {"type": "end-of-call-report", **report}}
    patient.client.post("/api/vapi/webhook", json=message)
    assert "implants" in patient.everything()
    erase(patient)
    assert "implants" not in patient.everything()
    patient.client.post("/api/vapi/webhook", json=message)
    assert "implants" not in patient.everything()


def test_a_time_that_was_held_is_free_again(patient: Patient) -> None:
    patient.hold()
    erase(patient)
    assert patient.value("SELECT status FROM appointment_holds WHERE org_id = %s", patient.org) == "released"
    other = Patient(patient.sql, patient.client, patient.org, phone_number(), f"call-{uuid.uuid4()}")
    assert other.hold()


def test_whoever_rings_again_is_somebody_new(booked: Patient) -> None:
    erase(booked, cancel=True)
    booked.call = f"call-{uuid.uuid4()}"
    booked.book()
    assert booked.value("SELECT count(*) FROM contacts WHERE org_id = %s", booked.org) == 2
    # The new contact can be erased as well, although a clinic has each number only once.
    erase(booked, cancel=True)
    assert booked.phone not in booked.everything()


def test_a_kept_answer_stays_one_that_can_be_given(booked: Patient) -> None:
    """A repeat of the tool call after the erasure gets a refusal, and books nothing."""
    body = {
        "message": {
            "type": "tool-calls",
            "call": {"id": booked.call},
            "toolCallList": [
                {"id": "again", "function": {"name": "verify_otp", "arguments": {"providedOTP": "1"}}}
            ],
        }
    }
    url = "/api/vapi/tools/booking/verify-otp"
    booked.client.post(url, json=body)
    erase(booked, cancel=True)
    answer = booked.client.post(url, json=body).get_json()["results"][0]["result"]
    assert "has been erased" in answer
    assert "code=unavailable" in answer


def test_what_sql_by_hand_stored_is_found_as_it_was_written(patient: Patient, operator: Operator) -> None:
    odd = "+1-555-1234"
    with transaction(uuid.UUID(patient.org)) as session:
        claimed = holds.claim(
            session,
            org_id=uuid.UUID(patient.org),
            calendar_id="cal-1",
            starts_at=datetime.fromisoformat(slot()),
            call_sid=None,
            patient_name=NAME,
            patient_phone=odd,
            hold_minutes=10,
        )
    assert claimed.success
    operator.does("patient", "erase", patient.org, odd, "--yes")
    assert odd not in patient.everything()
    assert NAME not in patient.everything()


def test_rows_under_an_earlier_number_are_the_contacts_too(booked: Patient) -> None:
    """The clinic corrected a contact's number after the booking."""
    booked.hold(slotId=slot(hour=12))
    newer = phone_number()
    booked.sql.execute("UPDATE contacts SET phone = %s WHERE org_id = %s", [newer, booked.org])
    earlier, booked.phone = booked.phone, newer
    about = privacy_export(booked)
    assert {row["patient_phone"] for row in [*about["holds"], *about["appointments"]]} == {earlier}
    assert len(about["calls"]) == len(about["lead_alerts"]) == 1
    erase(booked, cancel=True)
    left = [line for line in booked.everything().splitlines() if not line.startswith("opt_outs")]
    for trace in (NAME, newer, earlier):
        assert trace not in "\n".join(left)
    statuses = "SELECT status FROM appointment_holds WHERE org_id = %s ORDER BY status"
    assert booked.sql.execute(statuses, [booked.org]).fetchall() == [("confirmed",), ("released",)]


def test_who_has_an_earlier_number_now_keeps_what_is_theirs(booked: Patient) -> None:
    newer = phone_number()
    booked.sql.execute("UPDATE contacts SET phone = %s WHERE org_id = %s", [newer, booked.org])
    other = Patient(booked.sql, booked.client, booked.org, booked.phone, f"call-{uuid.uuid4()}")
    other.hold(patientName="Somebody Else", slotId=slot(hour=12))
    theirs = [line for line in booked.everything().splitlines() if "Somebody Else" in line]
    assert len(theirs) >= 2
    booked.phone = newer
    erase(booked, cancel=True)
    after = booked.everything().splitlines()
    assert [line for line in theirs if line not in after] == []


def test_the_link_in_the_sms_has_ended(client: FlaskClient, sql: psycopg.Connection) -> None:
    linked = Linked(client, sql)
    assert client.get(linked.path).status_code == 200
    patient = Patient(sql, client, linked.org, linked.phone, "")
    sql.execute("UPDATE appointments SET status = 'completed' WHERE org_id = %s", [linked.org])
    erase(patient)
    [[ended]] = sql.execute(
        "SELECT expires_at <= app_clock() FROM patient_links WHERE org_id = %s", [linked.org]
    ).fetchall()
    assert ended
    # The page is closed by the link itself, and not only by the appointment's status.
    sql.execute("UPDATE appointments SET status = 'confirmed' WHERE org_id = %s", [linked.org])
    for path in ("", "/move", "/cancel"):
        assert client.get(linked.path + path).status_code == 410
    assert client.post(f"{linked.path}/cancel").status_code == 410


def test_nothing_is_sent_again_of_what_failed_before(booked: Patient) -> None:
    booked.sql.execute(
        "UPDATE sms_messages SET status = 'failed', cause = 'refused by the provider' WHERE org_id = %s",
        [booked.org],
    )
    erase(booked, cancel=True)
    rows = booked.sql.execute("SELECT id, status FROM sms_messages WHERE org_id = %s", [booked.org])
    for message, status in rows.fetchall():
        with transaction(uuid.UUID(booked.org)) as session:
            again = retries.retry(session, uuid.UUID(booked.org), message)
        assert (again.done, again.due, status) == (False, None, "failed")
    trouble = "SELECT count(*) FROM sms_trouble WHERE org_id = %s"
    assert booked.value(trouble, booked.org) == 0
    # A late receipt gives a message another cause.
    booked.sql.execute("UPDATE sms_messages SET cause = 'a receipt' WHERE org_id = %s", [booked.org])
    assert booked.value(f"{trouble} AND kind <> 'hot_lead_alert'", booked.org) == 0
    for message, _ in booked.sql.execute(
        "SELECT id, status FROM sms_messages WHERE org_id = %s AND kind <> 'hot_lead_alert'", [booked.org]
    ).fetchall():
        with transaction(uuid.UUID(booked.org)) as session:
            assert not retries.retry(session, uuid.UUID(booked.org), message).done


def test_an_alert_that_waits_is_never_sent(booked: Patient) -> None:
    """It says why, so that no one waits for it."""
    erase(booked, cancel=True)
    row = booked.sql.execute(
        "SELECT suppressed_reason, alert_sent_at FROM hot_lead_alerts WHERE org_id = %s", [booked.org]
    ).fetchone()
    assert row == (Cause.ERASED.value, None)
    [[message]] = booked.sql.execute(
        "SELECT id FROM sms_messages WHERE org_id = %s AND kind = 'hot_lead_alert'", [booked.org]
    ).fetchall()
    booked.sql.execute("UPDATE sms_messages SET status = 'queued' WHERE id = %s", [message])
    with transaction(uuid.UUID(booked.org)) as session:
        assert render(session, session.get_one(SmsMessage, message)) is None


def test_why_an_alert_was_never_sent_stays(booked: Patient) -> None:
    why = "no number for alerts is set"
    booked.sql.execute(
        "UPDATE hot_lead_alerts SET suppressed_reason = %s WHERE org_id = %s", [why, booked.org]
    )
    erase(booked, cancel=True)
    assert booked.value("SELECT suppressed_reason FROM hot_lead_alerts WHERE org_id = %s", booked.org) == why


def test_the_log_says_that_and_not_whom(booked: Patient) -> None:
    erase(booked, cancel=True)
    rows = booked.sql.execute(
        "SELECT table_name, columns FROM audit_log WHERE org_id = %s AND actor = 'operator ann'"
        " AND action = 'update' ORDER BY id",
        [booked.org],
    ).fetchall()
    assert ("contacts", ["name", "phone"]) in rows
    assert ("appointments", ["status"]) in rows
