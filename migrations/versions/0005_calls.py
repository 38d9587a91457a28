"""What is reported of a call, its score, and the alert about a hot lead.

Old code runs on this schema: it writes fewer columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005_calls"
down_revision = "0004_patient_links"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "caller_number": sa.Text(),
    "call_type": sa.Text(),
    "assistant_id": sa.Text(),
    "phone_number_id": sa.Text(),
    "turns": postgresql.JSONB(),
    "summary": sa.Text(),
    "success": sa.Text(),
    "facts": postgresql.JSONB(),
    "cost": sa.Numeric(10, 4),
    "reported_at": sa.DateTime(timezone=True),
    "score_due_at": sa.DateTime(timezone=True),
    "nudged_at": sa.DateTime(timezone=True),
    "scored_at": sa.DateTime(timezone=True),
    "lead_band": sa.Text(),
    "lead_reasons": postgresql.JSONB(),
    "called_back_at": sa.DateTime(timezone=True),
    "called_back_by": sa.Text(),
}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("calls", sa.Column(name, kind, nullable=True))
    op.add_column("calls", sa.Column("richness", sa.Integer(), server_default="0", nullable=False))
    op.create_index("ix_calls_org_id_created_at", "calls", ["org_id", sa.text("created_at DESC")])
    op.create_index(
        "ix_calls_score_due_at",
        "calls",
        ["score_due_at"],
        postgresql_where=sa.text("score_due_at IS NOT NULL"),
    )
    op.add_column("organizations", sa.Column("lead_rules", postgresql.JSONB(), nullable=True))
    op.create_table(
        "vapi_syncs",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("synced_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_vapi_syncs_org_id")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_vapi_syncs")),
    )
    rule = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"
    op.execute("ALTER TABLE vapi_syncs ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE vapi_syncs FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_organization ON vapi_syncs USING ({rule}) WITH CHECK ({rule})")
    for name in ("tell_alert_of_its_sms_v1",):
        op.execute((SQL / f"{name}.sql").read_text())


def downgrade() -> None:
    """Loses transcripts and scores: the version before keeps neither."""
    op.execute("DROP TRIGGER tell_alert ON sms_messages")
    op.execute("DROP FUNCTION tell_alert_of_its_sms")
    op.drop_table("vapi_syncs")
    op.drop_column("organizations", "lead_rules")
    op.drop_index("ix_calls_score_due_at", "calls")
    op.drop_index("ix_calls_org_id_created_at", "calls")
    for name in ("richness", *COLUMNS):
        op.drop_column("calls", name)
