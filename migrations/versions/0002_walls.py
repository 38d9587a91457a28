"""Row security on every table with an organisation, the audit log, staff, signed credentials, retention.

Old code cannot run on this schema: it names no organisation, and gets an error instead of rows. Web and
workers of the version before answer "unavailable" until they are replaced, in the seconds of a release.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_walls"
down_revision = "0001_first_call"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
#: Written anew because each of them enters its organisation first.
FUNCTION_FILES = ("claim_slot_atomic_v1", "confirm_held_slot_v1", "release_hold_v1", "begin_tool_call_v1")

#: Every table with an organisation, and the column that has it.
ORGANIZATION_OF = {
    "organizations": "id",
    "integration_settings": "org_id",
    "vapi_credentials": "org_id",
    "staff_users": "org_id",
    "calendars": "org_id",
    "contacts": "org_id",
    "appointment_holds": "org_id",
    "appointments": "org_id",
    "occupancies": "org_id",
    "sms_messages": "org_id",
    "calls": "org_id",
    "tool_calls": "org_id",
    "hot_lead_alerts": "org_id",
    "audit_log": "org_id",
}

#: What is audited, and on an UPDATE of which columns; all of them where none is named.
AUDITED = {
    "organizations": "",
    "integration_settings": "",
    "vapi_credentials": "",
    "staff_users": "OF email, name, role, password_hash, disabled_at",
    "calendars": "",
    "contacts": "",
    "appointments": "OF status, scheduled_at, calendar_id, patient_name, patient_phone, service_type",
}


def upgrade() -> None:
    _columns()
    _tables()
    for name in ("row_security_v1", *FUNCTION_FILES, "audit_log_v1"):
        op.execute((SQL / f"{name}.sql").read_text())
    for table, update_of in AUDITED.items():
        op.execute(
            f"CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE {update_of} ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION write_audit('{ORGANIZATION_OF[table]}')"
        )
    for table, column in ORGANIZATION_OF.items():
        # Not an OR: this way an organisation that is not set is an error, and never just no rows.
        rule = (
            f"CASE WHEN in_system_scope() THEN true ELSE {column} = current_setting('app.org_id')::uuid END"
        )
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_organization ON {table} USING ({rule}) WITH CHECK ({rule})")
    op.execute("REVOKE UPDATE, DELETE, TRUNCATE ON audit_log FROM CURRENT_USER")


def _columns() -> None:
    for column in (
        sa.Column("wrong_codes_per_phone_a_day", sa.Integer(), server_default="15", nullable=False),
        sa.Column("holds_per_phone", sa.Integer(), server_default="3", nullable=False),
        sa.Column("allowed_countries", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("keep_words_days", sa.Integer(), server_default="90", nullable=True),
        sa.Column("keep_patients_days", sa.Integer(), nullable=True),
    ):
        op.add_column("organizations", column)
    op.create_check_constraint("keep_words_days", "organizations", "keep_words_days >= 1")
    op.create_check_constraint("keep_patients_days", "organizations", "keep_patients_days >= 1")
    for name in (
        "twilio_api_key_sid",
        "twilio_api_key_secret_sealed",
        "vapi_api_key_sealed",
        "vapi_credential_id",
        "vapi_phone_number_id",
        "vapi_assistant_id",
        "vapi_assistant_digest",
    ):
        op.add_column("integration_settings", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("appointment_holds", sa.Column("code_key", sa.Text(), nullable=True))
    op.create_index(
        "ix_appointment_holds_org_id_patient_phone",
        "appointment_holds",
        ["org_id", "patient_phone", "created_at"],
    )
    signed: tuple[sa.Column[Any], ...] = (
        sa.Column("secret_sealed", sa.Text(), nullable=True),
        sa.Column("algorithm", sa.Text(), nullable=True),
        sa.Column("encoding", sa.Text(), nullable=True),
        sa.Column("signature_prefix", sa.Text(), server_default="", nullable=False),
        sa.Column("signature_header", sa.Text(), nullable=True),
        sa.Column("timestamp_header", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
    )
    for added in signed:
        op.add_column("vapi_credentials", added)
    op.alter_column("vapi_credentials", "secret_digest", nullable=True)
    op.drop_constraint(op.f("ck_vapi_credentials_kind"), "vapi_credentials")
    op.create_check_constraint("kind", "vapi_credentials", "kind IN ('bearer', 'vapi_secret', 'hmac')")
    op.create_check_constraint("algorithm", "vapi_credentials", "algorithm IN ('sha256', 'sha512')")
    op.create_check_constraint("encoding", "vapi_credentials", "encoding IN ('hex', 'base64')")
    op.create_check_constraint(
        "secret",
        "vapi_credentials",
        "CASE WHEN kind = 'hmac' THEN secret_digest IS NULL AND"
        " num_nonnulls(secret_sealed, algorithm, encoding, signature_header, timestamp_header) = 5"
        " ELSE secret_digest IS NOT NULL AND secret_sealed IS NULL END",
    )


def _tables() -> None:
    op.create_table(
        "staff_users",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default="staff", nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("session_epoch", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('owner', 'staff')", name=op.f("ck_staff_users_role")),
        sa.CheckConstraint("email = lower(email) AND email LIKE '%@%'", name=op.f("ck_staff_users_email")),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_staff_users_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_users")),
        sa.UniqueConstraint("email", name=op.f("uq_staff_users_email")),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("row_id", sa.Text(), nullable=False),
        sa.Column("columns", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_org_id_created_at", "audit_log", ["org_id", sa.text("created_at DESC")])


def downgrade() -> None:
    """Loses the audit log, the staff and the signed credentials: the version before knows none of them."""
    for table in ORGANIZATION_OF:
        op.execute(f"DROP POLICY own_organization ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    for table in AUDITED:
        op.execute(f"DROP TRIGGER audit ON {table}")
    op.execute("DROP FUNCTION write_audit")
    op.drop_table("audit_log")
    op.drop_table("staff_users")
    op.execute("DELETE FROM vapi_credentials WHERE kind = 'hmac'")
    for name in ("secret", "encoding", "algorithm", "kind"):
        op.drop_constraint(op.f(f"ck_vapi_credentials_{name}"), "vapi_credentials")
    op.create_check_constraint("kind", "vapi_credentials", "kind IN ('bearer', 'vapi_secret')")
    op.alter_column("vapi_credentials", "secret_digest", nullable=False)
    for name in (
        "secret_sealed",
        "algorithm",
        "encoding",
        "signature_prefix",
        "signature_header",
        "timestamp_header",
        "label",
        "last_used_at",
    ):
        op.drop_column("vapi_credentials", name)
    op.drop_index("ix_appointment_holds_org_id_patient_phone", "appointment_holds")
    op.drop_column("appointment_holds", "code_key")
    for name in (
        "twilio_api_key_sid",
        "twilio_api_key_secret_sealed",
        "vapi_api_key_sealed",
        "vapi_credential_id",
        "vapi_phone_number_id",
        "vapi_assistant_id",
        "vapi_assistant_digest",
    ):
        op.drop_column("integration_settings", name)
    for name in (
        "wrong_codes_per_phone_a_day",
        "holds_per_phone",
        "allowed_countries",
        "keep_words_days",
        "keep_patients_days",
    ):
        op.drop_column("organizations", name)
