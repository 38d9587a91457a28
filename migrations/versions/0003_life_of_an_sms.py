"""Legal moves of an SMS and their record, opt-outs, senders that can stop, and links for patients.

Old code runs on this schema: it makes legal moves only, and its messages give no cause of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0003_life_of_an_sms"
down_revision = "0002_walls"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
TABLES = ("sms_events", "opt_outs", "sms_senders", "patient_links")
BEFORE = ("queued", "sending", "sent", "delivered", "undelivered")
AFTER = ("failed", "unknown", "expired")
CAUSES = (
    "created",
    "claimed by a worker",
    "accepted by the provider",
    "the provider could not take it",
    "refused by the provider",
    "its answer was lost",
    "the worker stopped while sending it",
    "a receipt",
    "the provider has it",
    "the provider does not have it",
    "it could not be sent in time",
    "the patient has opted out",
    "there is nothing to send or nobody to send it",
    "a later message says something else",
    "the patient was erased",
    "no receipt in three days",
    "an operator asked for it",
)


def one_of(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def upgrade() -> None:
    op.add_column("sms_messages", sa.Column("cause", sa.Text(), server_default="created", nullable=False))
    op.add_column("sms_messages", sa.Column("slot_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sms_messages", sa.Column("check_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_sms_messages_check_at",
        "sms_messages",
        ["check_at"],
        postgresql_where=sa.text("check_at IS NOT NULL"),
    )
    op.drop_constraint(op.f("ck_sms_messages_status"), "sms_messages")
    op.create_check_constraint(
        "status", "sms_messages", f"status IN ({one_of((*BEFORE, 'unconfirmed', *AFTER))})"
    )
    op.create_check_constraint("cause", "sms_messages", f"cause IN ({one_of(CAUSES)})")
    op.add_column(
        "integration_settings", sa.Column("sms_per_second", sa.Integer(), server_default="10", nullable=False)
    )
    op.create_check_constraint("sms_per_second", "integration_settings", "sms_per_second BETWEEN 0 AND 1000")
    op.create_table(
        "sms_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["sms_messages.id"], name=op.f("fk_sms_events_message_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sms_events")),
    )
    op.create_index("ix_sms_events_message_id_id", "sms_events", ["message_id", "id"])
    op.create_table(
        "opt_outs",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("opted_out_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "source IN ('provider', 'keyword', 'words', 'staff')", name=op.f("ck_opt_outs_source")
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_opt_outs_org_id")),
        sa.PrimaryKeyConstraint("org_id", "phone", name=op.f("pk_opt_outs")),
    )
    op.create_table(
        "sms_senders",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_code", sa.Text(), nullable=True),
        sa.Column("stopped_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_sms_senders_org_id")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_sms_senders")),
    )
    op.create_table(
        "patient_links",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("token_digest", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("outcome IN ('cancelled', 'moved')", name=op.f("ck_patient_links_outcome")),
        sa.ForeignKeyConstraint(
            ["message_id", "appointment_id"],
            ["sms_messages.id", "sms_messages.appointment_id"],
            name=op.f("fk_patient_links_message_id_appointment_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "appointment_id"],
            ["appointments.org_id", "appointments.id"],
            name=op.f("fk_patient_links_org_id_appointment_id"),
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_patient_links")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_patient_links_token_digest")),
    )
    for name in ("sms_life_v1",):
        op.execute((SQL / f"{name}.sql").read_text())
    for table in TABLES:
        rule = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_organization ON {table} USING ({rule}) WITH CHECK ({rule})")


def downgrade() -> None:
    """Loses the record of moves, opt-outs and links; a message that got no receipt is `sent` again."""
    for view in ("sms_health", "sms_trouble"):
        op.execute(f"DROP VIEW {view}")
    for trigger in ("legal_moves", "note_first", "note_move"):
        op.execute(f"DROP TRIGGER {trigger} ON sms_messages")
    for function in ("note_sms_move", "refuse_illegal_sms_move", "sms_move_is_legal"):
        op.execute(f"DROP FUNCTION {function}")
    for table in TABLES:
        op.drop_table(table)
    op.drop_constraint(op.f("ck_integration_settings_sms_per_second"), "integration_settings")
    op.drop_column("integration_settings", "sms_per_second")
    op.execute("UPDATE sms_messages SET status = 'sent' WHERE status = 'unconfirmed'")
    op.drop_constraint(op.f("ck_sms_messages_status"), "sms_messages")
    op.create_check_constraint("status", "sms_messages", f"status IN ({one_of((*BEFORE, *AFTER))})")
    op.drop_index("ix_sms_messages_check_at", "sms_messages")
    op.drop_constraint(op.f("ck_sms_messages_cause"), "sms_messages")
    for column in ("check_at", "slot_at", "cause"):
        op.drop_column("sms_messages", column)
