"""The erasure: nothing of one patient's data is found anywhere after it, and nobody else's is touched."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.booking import holds
from models.insight import privacy
from models.messaging.messages import SmsMessage
from models.messaging.states import Cause
from models.notices import retries
from models.notices.registry import render
from tests.concurrency.racing import connections, meanwhile
from tests.conftest import Clock
from tests.factories import create_clinic, phone_number, slot
from tests.linked import Linked
from tests.models.insight.patients import NAME, Patient, dump
from tests.models.insight.patients import booked as booked  # the fixture  # noqa: PLC0414
from tests.models.insight.patients import operator as operator  # the fixture  # noqa: PLC0414
from tests.models.insight.patients import patient as patient  # the fixture  # noqa: PLC0414
from tests.stack import eventually
from tests.webapp.cli.commands import Operator


def privacy_export(patient: Patient) -> dict[str, Any]:
    with transaction(uuid.UUID(patient.org)) as session:
        return privacy.export(session, uuid.UUID(patient.org), [patient.phone])


def erase(patient: Patient, **how: bool) -> dict[str, int]:
    with transaction(uuid.UUID(patient.org), actor="operator ann") as session:
        return privacy.erase(session, uuid.UUID(patient.org), [patient.phone], **how)


def test_after_the_erasure_nothing_is_found(booked: Patient, operator: Operator, clock: Clock) -> None:
    before = booked.everything()
    assert NAME in before
    assert booked.phone in before
    clock.forward(30 * 24 * 3600)  # the visit is over
    # Twilio likes to repeat the number in its errors.
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
    # The clinic's own number is nobody's to erase.
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
    empty = "num_nulls(summary, turns, facts, lead_reasons, score_due_at)"  # a JSON null is none of them
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
    clock.forward(6 * 60)  # it lasted half an hour
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
    """Nor where the call had no number, or somebody else's, and is known by what was held in it."""
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
    # And may be erased again, beside the first: a clinic has each number once.
    erase(booked, cancel=True)
    assert booked.phone not in booked.everything()


def test_a_kept_answer_stays_one_that_can_be_given(booked: Patient) -> None:
    """The same tool call once more after the erasure gets a refusal, and books nothing."""
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


def test_it_takes_the_locks_of_all_that_comes_free_in_the_order_of_a_claim(
    client: FlaskClient, sql: psycopg.Connection, database_url: str
) -> None:
    """An erasure that had the person and waited for the room would wait for a claim that waits for it."""
    org = create_clinic(calendar={"room": "a room"}, sandbox=True)
    patient = Patient(sql, client, org, phone_number(), f"call-{uuid.uuid4()}")
    patient.hold()
    lock = "SELECT {}(resource_lock_key(%s, %s))"
    with connections(database_url, 1) as (claim,):
        with claim.transaction():
            claim.execute(lock.format("pg_advisory_xact_lock"), [org, "a room"])
            erasure = meanwhile(lambda: erase(patient))
            eventually(
                lambda: (
                    sql.execute(
                        "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                    ).rowcount
                )
            )
            has_person = claim.execute(lock.format("pg_try_advisory_xact_lock"), [org, "cal-1"]).fetchone()
            assert has_person == (True,)
        assert erasure.result(60)["holds"] == 1


def test_rows_under_an_earlier_number_are_the_contacts_too(booked: Patient) -> None:
    """The clinic corrected the number of a contact after the booking."""
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
    # Nor is it only for its appointment's state that the page is closed.
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
    # A receipt that comes late gives a message another cause.
    booked.sql.execute("UPDATE sms_messages SET cause = 'a receipt' WHERE org_id = %s", [booked.org])
    assert booked.value(f"{trouble} AND kind <> 'hot_lead_alert'", booked.org) == 0
    for message, _ in booked.sql.execute(
        "SELECT id, status FROM sms_messages WHERE org_id = %s AND kind <> 'hot_lead_alert'", [booked.org]
    ).fetchall():
        with transaction(uuid.UUID(booked.org)) as session:
            assert not retries.retry(session, uuid.UUID(booked.org), message).done


def test_an_alert_that_waits_is_never_sent(booked: Patient) -> None:
    """And says why, for nobody should wait for it."""
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
