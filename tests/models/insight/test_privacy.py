"""One patient's data: it is known of every text whether it is personal, and everything is in the export."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

from sqlalchemy import ARRAY, JSON, Text

from models.base.tables import Base
from models.insight import privacy
from tests.factories import create_clinic, phone_number, slot
from tests.models.insight.patients import NAME, Patient
from tests.models.insight.patients import booked as booked  # the fixture  # noqa: PLC0414
from tests.models.insight.patients import operator as operator  # the fixture  # noqa: PLC0414
from tests.models.insight.patients import patient as patient  # the fixture  # noqa: PLC0414
from tests.webapp.cli.commands import Operator

# --- what is personal ---------------------------------------------------------------------------

#: Texts that tell nobody who a patient is: ids, states, what the clinic or the provider is called.
IMPERSONAL = {
    "appointment_holds": {
        *("calendar_id", "service_id", "resource_id", "other_resources", "call_sid", "code_key"),
    },
    "appointments": {
        *("calendar_id", "service_id", "resource_id", "other_resources", "call_sid", "confirmation_sms_id"),
        *("booker", "imported_id"),
    },
    "calls": {
        *("id", "status", "ended_reason", "call_type", "assistant_id", "phone_number_id", "lead_band"),
        *("called_back_by", "judged_band"),
    },
    "contacts": {"booking_source"},
    "hot_lead_alerts": {"call_id", "suppressed_reason"},
    "occupancies": {"resource_id"},
    "patient_links": {"token_digest"},
    "patient_notes": {"writer"},
    "appointment_changes": {"actor", "was_resource_id", "is_resource_id"},
    "attack_counts": {"kind"},
    "import_files": {"kind"},
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
    "blocks",
    "calendar_feeds",
    "calendars",
    "hours_exceptions",
    "integration_settings",
    "organizations",
    "published_calendars",
    "resource_hours",
    "resources",
    "service_resources",
    "services",
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
            if isinstance(column.type, Text | JSON | ARRAY):
                yield name, column.name


def test_of_every_text_it_is_known_whether_it_is_personal() -> None:
    """A new column that could hold a name belongs into privacy.PERSONAL, and into erase()."""
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
