"""Clinics with rows in every table that belongs to a clinic, made by the tools as far as possible."""

from __future__ import annotations

import uuid

import psycopg
from flask.testing import FlaskClient

from tests.factories import code_of, create_clinic, phone_number, slot
from tests.webapp.agents.calls import PhoneCall

NO_TOOL_WRITES = {
    "vapi_credentials": "INSERT INTO vapi_credentials (org_id, kind, secret_digest)"
    " VALUES (%(org)s, 'bearer', %(any)s)",
    "staff_users": "INSERT INTO staff_users (org_id, email, name)"
    " VALUES (%(org)s, %(any)s || '@example.test', 'Jo')",
    "staff_sessions": "INSERT INTO staff_sessions (org_id, staff_id, token_digest, epoch, device, address,"
    " began_at, last_seen_at) SELECT org_id, id, %(any)s, 0, '', '', now(), now() FROM staff_users"
    " WHERE org_id = %(org)s",
    "calls": "INSERT INTO calls (org_id, id, status) VALUES (%(org)s, %(call)s, 'ended')"
    " ON CONFLICT DO NOTHING",
    "hours_exceptions": "INSERT INTO hours_exceptions (org_id, day, is_open)"
    " VALUES (%(org)s, '2026-01-01', false)",
    "blocks": "INSERT INTO blocks (org_id, resource_id, starts_at, ends_at, reason)"
    " SELECT org_id, min(id), now() - interval '1 day', now(), %(any)s FROM resources"
    " WHERE org_id = %(org)s GROUP BY org_id",
    "published_calendars": "INSERT INTO published_calendars (org_id, with_names, token_digest)"
    " VALUES (%(org)s, true, %(any)s)",
    "import_files": "INSERT INTO import_files (org_id, id, kind, file_name, body, choices, created_at)"
    " VALUES (%(org)s, gen_random_uuid(), 'csv', '', '', '{}', now())",
    "calendar_feeds": "INSERT INTO calendar_feeds (org_id, resource_id, label, address_sealed, is_on)"
    " SELECT org_id, min(id), 'Google', %(any)s, false FROM resources WHERE org_id = %(org)s GROUP BY org_id",
    "vapi_syncs": "INSERT INTO vapi_syncs (org_id, synced_until) VALUES (%(org)s, now())",
    "hot_lead_alerts": "INSERT INTO hot_lead_alerts (org_id, call_id, lead_score)"
    " VALUES (%(org)s, %(call)s, 90)",
    "opt_outs": "INSERT INTO opt_outs (org_id, phone, source, opted_out_at)"
    " VALUES (%(org)s, %(any)s, 'staff', now())",
    "inbound_wishes": "INSERT INTO inbound_wishes (org_id, provider_id) VALUES (%(org)s, %(any)s)",
    "allowances": "INSERT INTO allowances (org_id, kind, whose, full_again_at)"
    " VALUES (%(org)s, 'codes', gen_random_uuid()::text, now())",
    "signed_requests": "INSERT INTO signed_requests (org_id, signature, path, seen_at)"
    " VALUES (%(org)s, %(any)s, '/', now())",
    "sms_senders": "INSERT INTO sms_senders (org_id) VALUES (%(org)s) ON CONFLICT DO NOTHING",
    "appointment_changes": "INSERT INTO appointment_changes (org_id, appointment_id, change, was_at, actor)"
    " SELECT org_id, id, 'cancelled', scheduled_at, %(any)s FROM appointments WHERE org_id = %(org)s",
    "patient_notes": "INSERT INTO patient_notes (org_id, contact_id, body, writer)"
    " SELECT org_id, id, %(any)s, 'staff jo@example.test' FROM contacts WHERE org_id = %(org)s LIMIT 1",
    "patient_links": "INSERT INTO patient_links (message_id, org_id, appointment_id, token_digest,"
    " expires_at) SELECT id, org_id, appointment_id, %(any)s, now() FROM sms_messages"
    " WHERE org_id = %(org)s AND kind = 'confirmation' ON CONFLICT DO NOTHING",
}


def create_furnished_clinic(client: FlaskClient, sql: psycopg.Connection) -> str:
    """A clinic with an appointment of one call, and a hold of another whose code waits. Returns its id."""
    org = create_clinic()
    done = PhoneCall(client, org, phone_number())
    for call, hour in ((done, 10), (PhoneCall(client, org, phone_number()), 12)):
        call.say("reserve_atomic", slotId=slot(hour=hour), patientName="John")
        call.say("send_otp_code")
    [hold] = sql.execute("SELECT id::text FROM appointment_holds WHERE call_sid = %s", [done.id]).fetchall()
    assert "appointmentId=" in done.say("verify_otp", providedOTP=code_of(hold[0]))
    for table, statement in NO_TOOL_WRITES.items():
        if sql.execute("SELECT to_regclass(%s)", [table]).fetchone() != (None,):
            sql.execute(statement.encode(), {"org": org, "any": uuid.uuid4().hex, "call": done.id})
    return org
