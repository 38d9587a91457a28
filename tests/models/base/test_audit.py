"""The audit log: who changed which columns of which row, never their values; no role can change it."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from psycopg import errors
from sqlalchemy import delete, select, text

from models.base.session import transaction
from models.booking import blocks, hours
from models.booking.resources import Resource
from models.booking.services import Service
from models.calls import call_backs
from models.calls.calls import Call
from models.clinics.calendars import Calendar
from models.clinics.contacts import Contact
from models.clinics.organizations import IntegrationSettings, Organization, VapiCredential
from models.messaging import opt_outs, senders
from models.messaging.meanings import Failure
from tests.factories import bare, code_of, create_clinic, phone_number, slot

SECRET = "a-value-that-nobody-should-read"


def entries(sql: psycopg.Connection, org_id: str, table: str) -> list[tuple[Any, ...]]:
    return sql.execute(
        "SELECT actor, action, row_id, columns FROM audit_log WHERE org_id = %s AND table_name = %s"
        " ORDER BY id",
        [org_id, table],
    ).fetchall()


def test_made_changed_and_deleted(sql: psycopg.Connection) -> None:
    org = create_clinic()
    org_id = uuid.UUID(org)
    with transaction(org_id, actor="operator ann") as session:
        session.add(Contact(org_id=org_id, phone="+447700900001", name=SECRET))
    with transaction(org_id, actor="call 42") as session:
        contact = session.query(Contact).filter_by(org_id=org_id).one()
        contact.name = "Other"
        contact.booking_source = "desk"
    with transaction(org_id) as session:
        session.execute(delete(Contact).where(Contact.org_id == org_id))
    row_id = str(contact.id)
    assert entries(sql, org, "contacts") == [
        ("operator ann", "insert", row_id, []),
        ("call 42", "update", row_id, ["booking_source", "name"]),
        ("holdline", "delete", row_id, []),
    ]


def test_an_update_that_changes_nothing_is_none(sql: psycopg.Connection) -> None:
    org = create_clinic()
    sql.execute("UPDATE organizations SET name = name WHERE id = %s", [org])
    assert [entry[1] for entry in entries(sql, org, "organizations")] == ["insert"]


def test_who_comes_by_hand_is_named_by_role(sql: psycopg.Connection) -> None:
    org = create_clinic()
    sql.execute("UPDATE organizations SET name = 'By hand' WHERE id = %s", [org])
    role = sql.execute("SELECT session_user").fetchone()
    assert role
    assert entries(sql, org, "organizations")[-1] == (f"sql {role[0]}", "update", org, ["name"])


def test_using_a_credential_is_no_change(sql: psycopg.Connection) -> None:
    org = create_clinic()
    with transaction(uuid.UUID(org)) as session:
        session.add(VapiCredential(org_id=uuid.UUID(org), kind="bearer", secret_digest=uuid.uuid4().hex))
    before = entries(sql, org, "vapi_credentials")
    sql.execute("UPDATE vapi_credentials SET last_used_at = now() WHERE org_id = %s", [org])
    assert entries(sql, org, "vapi_credentials") == before


def test_a_call_is_the_actor_of_what_it_books(client: FlaskClient, sql: psycopg.Connection) -> None:
    org = create_clinic(sandbox=True)
    call = f"call-{uuid.uuid4()}"
    number = phone_number()

    def tool(name: str, **arguments: object) -> str:
        function = {"name": name, "arguments": {"tenantId": org, **arguments}}
        body = {
            "message": {
                "type": "tool-calls",
                "call": {"id": call},
                "toolCallList": [{"id": name, "type": "function", "function": function}],
            }
        }
        response = client.post("/api/vapi/tools/booking/reserve-atomic", json=body)
        (result,) = response.get_json()["results"]
        return str(result["result"])

    tool("reserve_atomic", slotId=slot(), calendarId="cal-1", patientName="Jo", patientPhone=number)
    tool("send_otp_code")
    hold = sql.execute("SELECT id::text FROM appointment_holds WHERE org_id = %s", [org]).fetchone()
    assert hold
    assert "Booked" in tool("verify_otp", providedOTP=code_of(hold[0]))
    for table in ("contacts", "appointments"):
        ((actor, action, _, columns),) = entries(sql, org, table)
        assert (actor, action, columns) == (f"call {call}", "insert", [])


def test_what_moves_at_every_call_is_not_audited(client: FlaskClient, sql: psycopg.Connection) -> None:
    org = create_clinic(sandbox=True)
    arguments = {"tenantId": org, "slotId": slot(), "calendarId": "cal-1"}
    bare(client, "booking/reserve-atomic", **arguments, patientName="Jo", patientPhone=phone_number())
    tables = sql.execute("SELECT DISTINCT table_name FROM audit_log WHERE org_id = %s", [org]).fetchall()
    assert {name for (name,) in tables} == {
        "calendars",
        "contacts",
        "integration_settings",
        "organizations",
        "resource_hours",
        "resources",
        "service_resources",
        "services",
    }


def test_who_opted_out_was_rung_back_or_stops_a_sender_is_audited(sql: psycopg.Connection) -> None:
    org = create_clinic()
    org_id = uuid.UUID(org)
    with transaction(org_id, actor="staff jo") as session:
        opt_outs.record(session, org_id, "+447700900001", opt_outs.OptOutSource.STAFF)
        senders.record_stop(session, org_id, Failure("Authenticate", "20003"))
        session.add(Call(org_id=org_id, id="call-1", status="ended"))
        session.flush()
        call_backs.record(session, org_id, "call-1", by="Jo")
    assert entries(sql, org, "opt_outs") == [("staff jo", "insert", org, [])]
    ((actor, action, _, columns),) = entries(sql, org, "calls")
    assert (actor, action, columns) == ("staff jo", "update", ["called_back_at", "called_back_by"])
    sql.execute("UPDATE sms_senders SET stopped_at = NULL WHERE org_id = %s", [org])
    actors = [(actor, action) for actor, action, *_ in entries(sql, org, "sms_senders")]
    assert actors == [("staff jo", "update"), ("sql holdline", "update")]


def test_who_moved_an_sms_is_kept_with_the_move(client: FlaskClient, sql: psycopg.Connection) -> None:
    org = create_clinic(sandbox=True)
    arguments = {"tenantId": org, "slotId": slot(), "calendarId": "cal-1"}
    answer = bare(
        client, "booking/reserve-atomic", **arguments, patientName="Jo", patientPhone=phone_number()
    )
    bare(client, "booking/send-otp", holdId=answer["holdId"])
    ((message,),) = sql.execute("SELECT id FROM sms_messages WHERE org_id = %s", [org]).fetchall()
    with transaction(uuid.UUID(org), actor="operator ann") as session:
        session.execute(text("UPDATE sms_messages SET status = 'expired' WHERE id = :id"), {"id": message})
    moves = sql.execute("SELECT to_status, actor FROM sms_events WHERE org_id = %s ORDER BY id", [org])
    (_, first), last = moves.fetchall()
    assert last == ("expired", "operator ann")
    assert first


def test_no_value_is_ever_in_it(sql: psycopg.Connection) -> None:
    org = create_clinic()
    org_id = uuid.UUID(org)
    with transaction(org_id, actor="operator ann") as session:
        clinic = session.get_one(Organization, org_id)
        clinic.name = SECRET
        session.get_one(IntegrationSettings, org_id).twilio_from_number = SECRET
        session.get_one(Calendar, (org_id, "cal-1")).name = SECRET
        session.add(Contact(org_id=org_id, phone=SECRET, name=SECRET))
        session.get_one(Resource, (org_id, "cal-1")).name = SECRET
        session.scalars(select(Service).where(Service.org_id == org_id)).one().words = [SECRET]
        hours.close(session, org_id, [date(2026, 12, 25)], resource_id=None, reason=SECRET)
        begins = datetime(2026, 12, 7, 9, tzinfo=UTC)
        blocks.make(
            session,
            org_id=org_id,
            resource_id="cal-1",
            starts_at=begins,
            ends_at=begins + timedelta(hours=1),
            reason=SECRET,
        )
    rows = sql.execute(
        "SELECT table_name, audit_log::text FROM audit_log WHERE org_id = %s AND actor = 'operator ann'",
        [org],
    ).fetchall()
    assert sorted(table for table, _ in rows) == [
        "blocks",
        "calendars",
        "contacts",
        "hours_exceptions",
        "integration_settings",
        "organizations",
        "resources",
        "services",
    ]
    every = sql.execute("SELECT audit_log::text FROM audit_log WHERE org_id = %s", [org]).fetchall()
    assert not any(SECRET in row for (row,) in every)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    ],
)
def test_nobody_has_the_right_to_change_it(sql: psycopg.Connection, statement: str) -> None:
    create_clinic()
    with pytest.raises(errors.InsufficientPrivilege):
        sql.execute(statement)


def test_one_clinic_does_not_see_the_log_of_another(database_url: str) -> None:
    mine, theirs = create_clinic(), create_clinic()
    with psycopg.connect(database_url, options=f"-c app.org_id={mine}") as connection:
        seen = connection.execute("SELECT DISTINCT org_id::text FROM audit_log").fetchall()
        assert seen == [(mine,)]
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(
                "INSERT INTO audit_log (org_id, actor, action, table_name, row_id, columns)"
                " VALUES (%s, 'me', 'update', 'x', 'x', '{}')",
                [theirs],
            )
