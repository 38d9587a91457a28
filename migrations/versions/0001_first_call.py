"""The tables, functions and constraints of one phone call.

Old code must run on the new schema: web and workers of both versions overlap at every release.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_first_call"
down_revision = None
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
SQL_FILES = (
    "app_clock_v1",
    "row_security_v1",
    "occupancies_v1",
    "claim_slot_atomic_v1",
    "confirm_held_slot_v1",
    "release_hold_v1",
    "begin_tool_call_v1",
    "sms_confirmation_logs_v1",
)
TABLES = (
    "hot_lead_alerts",
    "sms_messages",
    "appointments",
    "appointment_holds",
    "vapi_credentials",
    "tool_calls",
    "integration_settings",
    "contacts",
    "calls",
    "calendars",
    "organizations",
    "occupancies",
)
FUNCTIONS = (
    "claim_slot_atomic(uuid, text, timestamp, text, text, text, integer)",
    "claim_slot_atomic(uuid, text, timestamptz, text, text, text, integer)",
    "confirm_held_slot",
    "release_hold",
    "begin_tool_call",
    "resource_lock_key",
    "hold_occupies",
    "appointment_occupies",
    "fill_in_hold_from_calendar",
    "fill_in_appointment_from_calendar",
    "refuse_direct_occupancy",
    "refuse_truncate",
    "tell_appointment_of_its_sms",
    "enter_organization",
    "in_system_scope",
    "app_clock",
)


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.create_table(
        "occupancies",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("seat", sa.Integer(), server_default="0", autoincrement=False, nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "during",
            postgresql.TSTZRANGE(),
            sa.Computed("tstzrange(starts_at, ends_at)", persisted=True),
            nullable=False,
        ),
        sa.Column("hold_id", sa.Uuid(), nullable=True),
        sa.Column("appointment_id", sa.Uuid(), nullable=True),
        postgresql.ExcludeConstraint(
            (sa.column("org_id"), "="),
            (sa.column("during"), "&&"),
            (sa.column("resource_id"), "="),
            (sa.column("seat"), "="),
            using="gist",
            name="ex_occupancies_no_overlap",
        ),
        sa.CheckConstraint(
            "ends_at > starts_at AND ends_at <= starts_at + interval '24 hours'",
            name=op.f("ck_occupancies_length"),
        ),
        sa.CheckConstraint(
            "num_nonnulls(hold_id, appointment_id) = 1", name=op.f("ck_occupancies_one_owner")
        ),
        sa.CheckConstraint("seat = 0", name=op.f("ck_occupancies_seat")),
        sa.PrimaryKeyConstraint("org_id", "resource_id", "seat", "starts_at", name=op.f("pk_occupancies")),
    )
    op.create_table(
        "organizations",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("sandbox", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("code_length", sa.Integer(), server_default="4", nullable=False),
        sa.Column("code_tries", sa.Integer(), server_default="3", nullable=False),
        sa.Column("codes_per_hold", sa.Integer(), server_default="3", nullable=False),
        sa.Column("codes_per_call", sa.Integer(), server_default="6", nullable=False),
        sa.Column("codes_per_phone_a_day", sa.Integer(), server_default="10", nullable=False),
        sa.Column("codes_a_day", sa.Integer(), server_default="1000", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("code_length BETWEEN 4 AND 8", name=op.f("ck_organizations_code_length")),
        sa.CheckConstraint("code_tries BETWEEN 1 AND 5", name=op.f("ck_organizations_code_tries")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
    )
    op.create_table(
        "calendars",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("hours", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("closures", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("services", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("slot_minutes", sa.Integer(), server_default="30", nullable=False),
        sa.Column("step_minutes", sa.Integer(), server_default="30", nullable=False),
        sa.Column("hold_minutes", sa.Integer(), server_default="10", nullable=False),
        sa.Column("min_notice_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("horizon_days", sa.Integer(), server_default="90", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("hold_minutes BETWEEN 1 AND 60", name=op.f("ck_calendars_hold_minutes")),
        sa.CheckConstraint("horizon_days BETWEEN 1 AND 3660", name=op.f("ck_calendars_horizon_days")),
        sa.CheckConstraint("min_notice_minutes >= 0", name=op.f("ck_calendars_min_notice_minutes")),
        sa.CheckConstraint("slot_minutes BETWEEN 5 AND 480", name=op.f("ck_calendars_slot_minutes")),
        sa.CheckConstraint("step_minutes BETWEEN 5 AND 480", name=op.f("ck_calendars_step_minutes")),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_calendars_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_calendars")),
        sa.UniqueConstraint("org_id", "id", "resource_id", name=op.f("uq_calendars_org_id_id_resource_id")),
    )
    op.create_table(
        "calls",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration", sa.Integer(), nullable=True),
        sa.Column("lead_score", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_calls_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_calls")),
    )
    op.create_table(
        "contacts",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("booking_source", sa.Text(), server_default="phone_ai", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_contacts_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("org_id", "phone", name=op.f("uq_contacts_org_id_phone")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_contacts_org_id_id")),
    )
    op.create_index(
        "ix_contacts_org_id_booking_source",
        "contacts",
        ["org_id", "booking_source"],
        unique=False,
        postgresql_where=sa.text("booking_source = 'phone_ai'"),
    )
    op.create_table(
        "integration_settings",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("twilio_account_sid", sa.Text(), nullable=True),
        sa.Column("twilio_auth_token_sealed", sa.Text(), nullable=True),
        sa.Column("twilio_from_number", sa.Text(), nullable=True),
        sa.Column("twilio_messaging_service_sid", sa.Text(), nullable=True),
        sa.Column("hot_lead_alert_phone", sa.Text(), nullable=True),
        sa.Column("hot_lead_threshold", sa.Integer(), server_default="70", nullable=False),
        sa.Column("hot_lead_min_duration", sa.Integer(), server_default="300", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_integration_settings_org_id")
        ),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_integration_settings")),
    )
    op.create_table(
        "tool_calls",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("tool_call_id", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("arguments_digest", sa.Text(), nullable=False),
        sa.Column("reply", sa.JSON(), nullable=False),
        sa.Column("final", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_tool_calls_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tool_calls")),
        sa.UniqueConstraint(
            "org_id",
            "call_id",
            "tool_call_id",
            "tool",
            "arguments_digest",
            name=op.f("uq_tool_calls_org_id_call_id_tool_call_id_tool_arguments_digest"),
        ),
    )
    op.create_index("ix_tool_calls_org_id_created_at", "tool_calls", ["org_id", "created_at"], unique=False)
    op.create_table(
        "vapi_credentials",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("secret_digest", sa.Text(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('bearer', 'vapi_secret')", name=op.f("ck_vapi_credentials_kind")),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_vapi_credentials_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vapi_credentials")),
    )
    op.create_index("uq_vapi_credentials_secret_digest", "vapi_credentials", ["secret_digest"], unique=True)
    op.create_table(
        "appointment_holds",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("calendar_id", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("seat", sa.Integer(), server_default="0", nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), server_default="held", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("call_sid", sa.Text(), nullable=True),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("patient_phone", sa.Text(), nullable=False),
        sa.Column("code_digest", sa.Text(), nullable=True),
        sa.Column("code_tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('held', 'confirmed', 'released', 'expired', 'locked')",
            name=op.f("ck_appointment_holds_status"),
        ),
        sa.CheckConstraint("code_tries >= 0", name=op.f("ck_appointment_holds_code_tries")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_appointment_holds_length")),
        sa.ForeignKeyConstraint(
            ["org_id", "contact_id"],
            ["contacts.org_id", "contacts.id"],
            name=op.f("fk_appointment_holds_org_id_contact_id"),
        ),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_appointment_holds_org_id_id")),
        sa.ForeignKeyConstraint(
            ["org_id", "calendar_id", "resource_id"],
            ["calendars.org_id", "calendars.id", "calendars.resource_id"],
            name=op.f("fk_appointment_holds_org_id_calendar_id_resource_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment_holds")),
    )
    op.create_index(
        "ix_appointment_holds_expires_at",
        "appointment_holds",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'held'"),
    )
    op.create_index(
        "ix_appointment_holds_org_id_call_sid",
        "appointment_holds",
        ["org_id", "call_sid", "created_at"],
        unique=False,
    )
    op.create_table(
        "appointments",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("calendar_id", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("seat", sa.Integer(), server_default="0", nullable=False),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), server_default="confirmed", nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=True),
        sa.Column("call_sid", sa.Text(), nullable=True),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("patient_phone", sa.Text(), nullable=False),
        sa.Column("service_type", sa.Text(), nullable=True),
        sa.Column("confirmation_message_id", sa.Uuid(), nullable=False),
        sa.Column("confirmation_sms_sent", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("confirmation_sms_id", sa.Text(), nullable=True),
        sa.Column("confirmation_sms_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('confirmed', 'cancelled', 'completed', 'no_show')",
            name=op.f("ck_appointments_status"),
        ),
        sa.CheckConstraint("ends_at > scheduled_at", name=op.f("ck_appointments_length")),
        sa.ForeignKeyConstraint(
            ["org_id", "contact_id"],
            ["contacts.org_id", "contacts.id"],
            name=op.f("fk_appointments_org_id_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "hold_id"],
            ["appointment_holds.org_id", "appointment_holds.id"],
            name=op.f("fk_appointments_org_id_hold_id"),
        ),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_appointments_org_id_id")),
        sa.ForeignKeyConstraint(
            ["org_id", "calendar_id", "resource_id"],
            ["calendars.org_id", "calendars.id", "calendars.resource_id"],
            name=op.f("fk_appointments_org_id_calendar_id_resource_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointments")),
    )
    op.create_index("ix_appointments_org_id_call_sid", "appointments", ["org_id", "call_sid"], unique=False)
    op.create_index(
        "ix_appointments_org_id_scheduled_at", "appointments", ["org_id", "scheduled_at"], unique=False
    )
    op.create_index("uq_appointments_hold_id", "appointments", ["hold_id"], unique=True)
    op.create_table(
        "sms_messages",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("to_phone", sa.Text(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=True),
        sa.Column("hold_id", sa.Uuid(), nullable=True),
        sa.Column("call_sid", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("unknown_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_reason", sa.Text(), nullable=True),
        sa.Column("segments", sa.Integer(), nullable=True),
        sa.Column("price", sa.Numeric(precision=10, scale=5), nullable=True),
        sa.Column("price_unit", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(kind = 'confirmation') = (appointment_id IS NOT NULL)",
            name=op.f("ck_sms_messages_confirms_an_appointment"),
        ),
        sa.CheckConstraint(
            "kind <> 'otp' OR (hold_id IS NOT NULL AND body IS NULL)",
            name=op.f("ck_sms_messages_code_is_not_kept"),
        ),
        sa.CheckConstraint(
            "kind IN ('otp', 'confirmation', 'hot_lead_alert')", name=op.f("ck_sms_messages_kind")
        ),
        sa.CheckConstraint(
            "status IN ('queued', 'sending', 'sent', 'delivered', 'undelivered', 'failed', 'unknown',"
            " 'expired')",
            name=op.f("ck_sms_messages_status"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "appointment_id"],
            ["appointments.org_id", "appointments.id"],
            name=op.f("fk_sms_messages_org_id_appointment_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "hold_id"],
            ["appointment_holds.org_id", "appointment_holds.id"],
            name=op.f("fk_sms_messages_org_id_hold_id"),
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_sms_messages_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sms_messages")),
        sa.UniqueConstraint("id", "appointment_id", name=op.f("uq_sms_messages_id_appointment_id")),
    )
    op.create_index(
        "ix_sms_confirmation_logs_appointment_id",
        "sms_messages",
        ["appointment_id"],
        unique=False,
        postgresql_where=sa.text("kind = 'confirmation'"),
    )
    op.create_index(
        "ix_sms_confirmation_logs_org_id_created_at",
        "sms_messages",
        ["org_id", sa.text("created_at DESC")],
        unique=False,
        postgresql_where=sa.text("kind = 'confirmation'"),
    )
    op.create_index(
        "ix_sms_messages_due",
        "sms_messages",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('queued', 'sending')"),
    )
    op.create_index(
        "ix_sms_messages_hold_id",
        "sms_messages",
        ["hold_id"],
        unique=False,
        postgresql_where=sa.text("hold_id IS NOT NULL"),
    )
    op.create_index(
        "ix_sms_messages_org_id_to_phone_created_at",
        "sms_messages",
        ["org_id", "to_phone", "created_at"],
        unique=False,
    )
    op.create_table(
        "hot_lead_alerts",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("lead_name", sa.Text(), nullable=True),
        sa.Column("lead_phone", sa.Text(), nullable=True),
        sa.Column("lead_score", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("alert_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suppressed_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["sms_messages.id"], name=op.f("fk_hot_lead_alerts_message_id")
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "call_id"],
            ["calls.org_id", "calls.id"],
            name=op.f("fk_hot_lead_alerts_org_id_call_id"),
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_hot_lead_alerts_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hot_lead_alerts")),
        sa.UniqueConstraint("org_id", "call_id", name=op.f("uq_hot_lead_alerts_org_id_call_id")),
    )
    op.create_index(
        "ix_hot_lead_alerts_org_id_created_at",
        "hot_lead_alerts",
        ["org_id", sa.text("created_at DESC")],
        unique=False,
    )
    # The other half of the circle: an appointment needs its confirmation, by the end of the transaction.
    op.create_foreign_key(
        "fk_appointments_confirmation_message",
        "appointments",
        "sms_messages",
        ["confirmation_message_id", "id"],
        ["id", "appointment_id"],
        deferrable=True,
        initially="DEFERRED",
    )
    for name in SQL_FILES:
        op.execute((SQL / f"{name}.sql").read_text())


def downgrade() -> None:
    op.execute("DROP VIEW sms_confirmation_logs")
    op.drop_constraint("fk_appointments_confirmation_message", "appointments")
    for table in TABLES:
        op.drop_table(table)
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
