"""Every SQL statement of the quick reference, as it is printed there: only the placeholders are filled in."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from models.base.session import Door, system_transaction
from models.booking import appointments, codes, holds
from models.clinics import organizations
from models.messaging import outbox, outcomes, receipts
from models.messaging.meanings import Failure
from models.messaging.states import SmsStatus
from tests.factories import ACCOUNT_SID, AUTH_TOKEN, create_clinic, phone_number, slot

Sql = psycopg.Connection[tuple[Any, ...]]

SMS_SENT = """\
SELECT 
  id, status, confirmation_sms_sent, 
  confirmation_sms_id, confirmation_sms_sent_at
FROM appointments
WHERE id = 'APPOINTMENT_ID'
LIMIT 1;
"""  # noqa: W291 (as printed)

DELIVERY_STATUS = """\
SELECT message_id, status, delivery_timestamp
FROM sms_confirmation_logs
WHERE appointment_id = 'APPOINTMENT_ID'
LIMIT 1;
"""

CLAIM = """\
-- Try to reserve same slot twice
SELECT claim_slot_atomic(
  'ORG_ID'::uuid, 'cal-1', '2026-01-25T10:00:00Z'::timestamp, 
  'call-1', 'John', '+1-555-1234', 10
);
"""  # noqa: W291

DAILY_REPORT = """\
SELECT 
  DATE(created_at) as date,
  COUNT(*) as appointments_created,
  COUNT(*) FILTER (WHERE confirmation_sms_sent = true) as confirmations_sent,
  ROUND(100.0 * COUNT(*) FILTER (WHERE confirmation_sms_sent = true) / COUNT(*), 2) as confirmation_rate
FROM appointments
WHERE org_id = 'YOUR_ORG_ID'
  AND created_at > NOW() - INTERVAL '7 days'
GROUP BY DATE(created_at)
ORDER BY date DESC;
"""  # noqa: W291

SMS_BY_STATUS = """\
SELECT 
  status,
  COUNT(*) as count
FROM sms_confirmation_logs
WHERE created_at > NOW() - INTERVAL '24 hours'
GROUP BY status;
"""  # noqa: W291

HOT_LEADS = """\
SELECT 
  lead_name,
  lead_phone,
  lead_score,
  alert_sent_at
FROM hot_lead_alerts
WHERE org_id = 'YOUR_ORG_ID'
  AND created_at > NOW() - INTERVAL '24 hours'
ORDER BY created_at DESC;
"""  # noqa: W291
TWILIO_CREDENTIALS = "SELECT * FROM integration_settings WHERE org_id = 'ORG_ID'"
LAST_SMS = "SELECT * FROM sms_confirmation_logs ORDER BY created_at DESC LIMIT 5"

CONCURRENT_FIRST = """\
SELECT claim_slot_atomic('ORG'::uuid, 'cal-1', '2026-01-25T10:00:00Z'::timestamp, 'call-1', 'John', '+1-555-1', 10);
"""  # noqa: E501 (as printed)
CONCURRENT_SECOND = """\
SELECT claim_slot_atomic('ORG'::uuid, 'cal-1', '2026-01-25T10:00:00Z'::timestamp, 'call-2', 'Jane', '+1-555-2', 10);
"""  # noqa: E501
ALERT_PHONE = "SELECT hot_lead_alert_phone FROM integration_settings"
DURATION = "SELECT duration FROM calls WHERE id = 'CALL_ID'"
LEAD_SCORE = "SELECT lead_score FROM hot_lead_alerts WHERE call_id = 'CALL_ID'"


def run(sql: Sql, statement: str, **placeholders: object) -> list[dict[str, Any]]:
    """Run a statement with its placeholders filled in; each must occur in it."""
    placeholders = (
        {"2026-01-25T10:00:00Z": slot()} | placeholders if "2026-01-25" in statement else placeholders
    )
    for name, value in placeholders.items():
        assert f"'{name}'" in statement
        statement = statement.replace(f"'{name}'", f"'{value}'")
    with sql.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode()).fetchall()


def book(org: str, *, hour: int = 10, call: str = "call-1") -> appointments.Confirmation:
    """Make a booking by the verbs that the tools use."""
    org_id = uuid.UUID(org)
    with system_transaction(Door.OPERATOR) as session:
        claimed = holds.claim(
            session,
            org_id=org_id,
            calendar_id="cal-1",
            starts_at=datetime.fromisoformat(slot(hour=hour)),
            call_sid=call,
            patient_name="John",
            patient_phone=phone_number(),
            hold_minutes=10,
        )
        assert claimed.hold_id is not None
        clinic = organizations.get_or_none(session, org_id)
        assert clinic is not None
        assert codes.request(session, clinic, claimed.hold_id).message_id
        hold = holds.get_or_none(session, org_id, claimed.hold_id)
        assert hold is not None
        code = codes.derive(hold.id, hold.patient_phone, length=clinic.code_length)
        return appointments.confirm(
            session,
            org_id=org_id,
            hold_id=hold.id,
            contact_id=hold.contact_id,
            code_digest=codes.digest(hold.id, code),
            service_type=None,
            max_tries=3,
        )


def send(org: str, message: uuid.UUID | None) -> str:
    """Record a message as a worker does if the provider accepts it. Returns the provider's id."""
    assert message is not None
    provider_id = "SM" + uuid.uuid4().hex
    with system_transaction(Door.OPERATOR) as session:
        row = outbox.claim_for_sending(session, uuid.UUID(org), message)
        assert row is not None
        outcomes.record_body(session, row, "Confirmed: …")
        outcomes.record_sent(session, row, provider_id=provider_id, segments=1)
    return provider_id


def deliver(org: str, message: uuid.UUID | None, provider_id: str) -> None:
    assert message is not None
    with system_transaction(Door.OPERATOR) as session:
        assert receipts.apply_receipt(
            session,
            org_id=uuid.UUID(org),
            message_id=message,
            provider_id=provider_id,
            status=SmsStatus.DELIVERED,
        )


def test_the_same_slot_twice(sql: Sql) -> None:
    org = create_clinic(sandbox=True)
    columns = (
        "success",
        "hold_id",
        "error",
        "code",
        "expires_at",
        "held_by_call",
        "contact_id",
        "resource_id",
    )
    answers: list[dict[str, Any]] = []
    for _ in range(3):
        (row,) = run(sql, CLAIM, ORG_ID=org)
        assert list(row) == ["claim_slot_atomic"]
        answers.append(dict(zip(columns, row["claim_slot_atomic"], strict=True)))
    assert [answer["success"] for answer in answers] == ["t", "f", "f"]
    assert answers[0]["error"] is None
    assert {answer["error"] for answer in answers[1:]} == {"Slot already held"}
    (hold,) = sql.execute("SELECT id, starts_at FROM appointment_holds WHERE org_id = %s", [org]).fetchall()
    assert str(hold[0]) == answers[0]["hold_id"]
    assert hold[1].astimezone(UTC) == datetime.fromisoformat(slot())


def test_two_callers_by_hand(sql: Sql) -> None:
    org = create_clinic()
    (first,), (second,) = run(sql, CONCURRENT_FIRST, ORG=org), run(sql, CONCURRENT_SECOND, ORG=org)
    assert first["claim_slot_atomic"][0] == "t"
    assert second["claim_slot_atomic"][0] == "f"
    assert second["claim_slot_atomic"][2] == "Slot already held"


def test_the_function_answers_in_named_columns_too(sql: Sql) -> None:
    org = create_clinic()
    statement = CLAIM.replace("SELECT claim", "SELECT * FROM claim")
    (first,), (second,) = run(sql, statement, ORG_ID=org), run(sql, statement, ORG_ID=org)
    assert (first["success"], first["error"]) == (True, None)
    assert (second["success"], second["error"]) == (False, "Slot already held")


def test_whether_the_sms_was_sent_and_delivered(sql: Sql) -> None:
    org = create_clinic()
    booked = book(org)
    assert run(sql, SMS_SENT, APPOINTMENT_ID=booked.appointment_id) == [
        {
            "id": booked.appointment_id,
            "status": "confirmed",
            "confirmation_sms_sent": False,
            "confirmation_sms_id": None,
            "confirmation_sms_sent_at": None,
        }
    ]
    (waiting,) = run(sql, DELIVERY_STATUS, APPOINTMENT_ID=booked.appointment_id)
    assert waiting == {"message_id": None, "status": "queued", "delivery_timestamp": None}

    before = datetime.now(UTC)
    provider_id = send(org, booked.message_id)
    (row,) = run(sql, SMS_SENT, APPOINTMENT_ID=booked.appointment_id)
    assert (row["confirmation_sms_sent"], row["confirmation_sms_id"]) == (True, provider_id)
    assert before <= row["confirmation_sms_sent_at"] <= datetime.now(UTC)
    (sent,) = run(sql, DELIVERY_STATUS, APPOINTMENT_ID=booked.appointment_id)
    assert sent == {"message_id": provider_id, "status": "sent", "delivery_timestamp": None}

    deliver(org, booked.message_id, provider_id)
    (delivered,) = run(sql, DELIVERY_STATUS, APPOINTMENT_ID=booked.appointment_id)
    assert (delivered["message_id"], delivered["status"]) == (provider_id, "delivered")
    assert before <= delivered["delivery_timestamp"] <= datetime.now(UTC)
    (row,) = run(sql, SMS_SENT, APPOINTMENT_ID=booked.appointment_id)
    assert (row["confirmation_sms_sent"], row["confirmation_sms_id"]) == (True, provider_id)


def test_a_refused_sms_was_not_sent_and_says_so(sql: Sql) -> None:
    org = create_clinic()
    booked = book(org)
    assert booked.message_id is not None
    with system_transaction(Door.OPERATOR) as session:
        row = outbox.claim_for_sending(session, uuid.UUID(org), booked.message_id)
        assert row is not None
        outcomes.record_refused(session, row, Failure("the patient opted out", "21610"))
    (appointment,) = run(sql, SMS_SENT, APPOINTMENT_ID=booked.appointment_id)
    assert (appointment["status"], appointment["confirmation_sms_sent"]) == ("confirmed", False)
    (log,) = run(sql, DELIVERY_STATUS, APPOINTMENT_ID=booked.appointment_id)
    assert log == {"message_id": None, "status": "failed", "delivery_timestamp": None}


def test_the_daily_report(sql: Sql) -> None:
    org = create_clinic()
    booked = [book(org, hour=hour, call=f"call-{hour}") for hour in range(9, 14)]
    for one in booked[:3]:
        send(org, one.message_id)
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    ages = (0, 0, 1, 0, 8)  # two sent and one waiting on one day, one sent the day before, one long ago
    for one, age in zip(booked, ages, strict=True):
        sql.execute(
            "UPDATE appointments SET created_at = %s WHERE id = %s",
            [noon - timedelta(days=age), one.appointment_id],
        )
    sql.execute("SET timezone = 'UTC'")
    report = run(sql, DAILY_REPORT, YOUR_ORG_ID=org)
    assert [tuple(row) for row in report] == [
        ("date", "appointments_created", "confirmations_sent", "confirmation_rate")
    ] * 2
    assert [(*map(str, row.values()),) for row in report] == [
        (str(noon.date()), "3", "2", "66.67"),
        (str(noon.date() - timedelta(days=1)), "1", "1", "100.00"),
    ]


def test_sms_by_status(sql: Sql) -> None:
    def counts() -> dict[str, int]:
        rows = run(sql, SMS_BY_STATUS)
        assert all(list(row) == ["status", "count"] for row in rows)
        return {row["status"]: row["count"] for row in rows}

    org = create_clinic()
    before = counts()  # over all clinics
    booked = [book(org, hour=hour, call=f"call-{hour}") for hour in range(9, 13)]
    provider_ids = [send(org, one.message_id) for one in booked[:3]]
    deliver(org, booked[0].message_id, provider_ids[0])
    deliver(org, booked[1].message_id, provider_ids[1])
    old = book(org, hour=14, call="call-14")
    sql.execute(
        "UPDATE sms_messages SET created_at = now() - interval '25 hours' WHERE id = %s", [old.message_id]
    )
    after = counts()
    grown = {status: after[status] - before.get(status, 0) for status in after}
    # Each booking also sent a code, which does not count as a confirmation.
    assert {status: more for status, more in grown.items() if more} == {
        "delivered": 2,
        "sent": 1,
        "queued": 1,
    }


def test_the_last_five_sms(sql: Sql) -> None:
    org = create_clinic()
    booked = [book(org, hour=hour, call=f"call-{hour}") for hour in range(9, 15)]
    for age, one in enumerate(booked):  # newer than all rows of other tests
        sql.execute(
            "UPDATE sms_messages SET created_at = now() + interval '10 years' - make_interval(mins => %s)"
            " WHERE id = %s",
            [age, one.message_id],
        )
    rows = run(sql, LAST_SMS)
    sql.execute("UPDATE sms_messages SET created_at = now() WHERE org_id = %s", [org])
    assert [row["appointment_id"] for row in rows] == [one.appointment_id for one in booked[:5]]
    assert {"id", "org_id", "appointment_id", "message_id", "status", "delivery_timestamp", "cost"} <= set(
        rows[0]
    )
    assert {"error_code", "error_reason", "sent_at", "created_at"} <= set(rows[0])


def test_hot_leads_with_the_questions_about_a_missing_alert(sql: Sql) -> None:
    org, call = create_clinic(), f"call-{uuid.uuid4()}"
    alerted = datetime.now(UTC) - timedelta(minutes=1)
    sql.execute(
        "INSERT INTO calls (org_id, id, status, duration, lead_score) VALUES"
        " (%(org)s, %(call)s, 'ended', 412, 85), (%(org)s, 'cold', 'ended', 20, 10),"
        " (%(org)s, 'old', 'ended', 500, 99)",
        {"org": org, "call": call},
    )
    sql.execute(
        "INSERT INTO hot_lead_alerts (org_id, call_id, lead_name, lead_phone, lead_score, alert_sent_at,"
        " created_at) VALUES (%(org)s, %(call)s, 'Ann', '+447700900123', 85, %(alerted)s, now()),"
        " (%(org)s, 'cold', 'Bob', NULL, 71, NULL, now() - interval '1 hour'),"
        " (%(org)s, 'old', 'Eve', NULL, 99, NULL, now() - interval '25 hours')",
        {"org": org, "call": call, "alerted": alerted},
    )
    assert run(sql, HOT_LEADS, YOUR_ORG_ID=org) == [
        {"lead_name": "Ann", "lead_phone": "+447700900123", "lead_score": 85, "alert_sent_at": alerted},
        {"lead_name": "Bob", "lead_phone": None, "lead_score": 71, "alert_sent_at": None},
    ]
    assert run(sql, DURATION, CALL_ID=call) == [{"duration": 412}]
    assert run(sql, LEAD_SCORE, CALL_ID=call) == [{"lead_score": 85}]


def test_the_settings_of_a_clinic_show_no_secret(sql: Sql) -> None:
    org, alert_phone = create_clinic(), phone_number()
    sql.execute(
        "UPDATE integration_settings SET hot_lead_alert_phone = %s WHERE org_id = %s", [alert_phone, org]
    )
    (row,) = run(sql, TWILIO_CREDENTIALS, ORG_ID=org)
    assert (str(row["org_id"]), row["twilio_account_sid"], row["twilio_from_number"]) == (
        org,
        ACCOUNT_SID,
        "+447700900001",
    )
    assert (row["hot_lead_alert_phone"], row["hot_lead_threshold"], row["hot_lead_min_duration"]) == (
        alert_phone,
        70,
        300,
    )
    assert AUTH_TOKEN not in str(row)
    assert {"hot_lead_alert_phone": alert_phone} in run(sql, ALERT_PHONE)


@pytest.mark.parametrize(
    ("table", "columns", "condition"),
    [
        ("appointments", "(org_id, scheduled_at)", None),
        ("sms_messages", "(appointment_id)", "kind = 'confirmation'"),
        ("sms_messages", "(org_id, created_at DESC)", "kind = 'confirmation'"),
        ("contacts", "(org_id, booking_source)", "booking_source = 'phone_ai'"),
    ],
)
def test_the_promised_indexes_exist(sql: Sql, table: str, columns: str, condition: str | None) -> None:
    """The logs are a view of the confirmations, so its indexes are partial indexes of sms_messages."""
    found = [
        re.sub(r"::text|[()]{2}", lambda part: "" if part[0] == "::text" else part[0][0], definition)
        for (definition,) in sql.execute(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass AND indisvalid",
            [table],
        )
    ]
    wanted = f"USING btree {columns}" + (f" WHERE ({condition})" if condition else "")
    assert [definition for definition in found if definition.endswith(wanted)], found


BY_APPOINTMENT = "ix_sms_confirmation_logs_appointment_id"
BY_CLINIC = "ix_sms_confirmation_logs_org_id_created_at"


@pytest.mark.parametrize(
    ("where", "index", "other"),
    [
        (f"appointment_id = '{uuid.UUID(int=1)}'", BY_APPOINTMENT, BY_CLINIC),
        (f"org_id = '{uuid.UUID(int=1)}' ORDER BY created_at DESC LIMIT 5", BY_CLINIC, BY_APPOINTMENT),
    ],
)
def test_a_query_of_the_view_can_use_its_index(sql: Sql, where: str, index: str, other: str) -> None:
    with sql.transaction(force_rollback=True):
        # On a table this small the planner may choose any index, so only the promised one stays.
        sql.execute(f"DROP INDEX {other}".encode())
        sql.execute("SET LOCAL enable_seqscan = off")
        sql.execute("SET LOCAL enable_sort = off")
        plan = sql.execute(f"EXPLAIN SELECT * FROM sms_confirmation_logs WHERE {where}".encode()).fetchall()
    assert index in str(plan), plan
