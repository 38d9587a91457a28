"""When each task that beat starts last ran; and indexes, for what a call asks of a table of millions.

Old code runs on this schema: it neither reads nor writes the new table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_plans"
down_revision = "0013_erased_is_no_trouble"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("task", name="pk_sweeps"),
    )
    op.create_index(
        "ix_sms_messages_codes",
        "sms_messages",
        ["org_id", "created_at"],
        postgresql_where=sa.text("kind = 'otp'"),
    )
    op.create_index(
        "ix_sms_messages_org_id_hold_id_created_at",
        "sms_messages",
        ["org_id", "hold_id", "created_at"],
        postgresql_where=sa.text("hold_id IS NOT NULL"),
    )
    op.drop_index("ix_sms_messages_hold_id", "sms_messages")
    op.create_index(
        "ix_sms_messages_org_id_queued",
        "sms_messages",
        ["org_id", "cause"],
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index("ix_appointments_org_id_patient_phone", "appointments", ["org_id", "patient_phone"])
    op.create_index("ix_calls_org_id_caller_number", "calls", ["org_id", "caller_number"])


def downgrade() -> None:
    op.drop_index("ix_calls_org_id_caller_number", "calls")
    op.drop_index("ix_appointments_org_id_patient_phone", "appointments")
    op.drop_index("ix_sms_messages_org_id_queued", "sms_messages")
    op.create_index(
        "ix_sms_messages_hold_id",
        "sms_messages",
        ["hold_id"],
        postgresql_where=sa.text("hold_id IS NOT NULL"),
    )
    op.drop_index("ix_sms_messages_org_id_hold_id_created_at", "sms_messages")
    op.drop_index("ix_sms_messages_codes", "sms_messages")
    op.drop_table("sweeps")
