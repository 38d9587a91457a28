"""What a late report must not bring back, whose turn it is at Vapi, and more in the audit log.

Old code runs on this schema: it leaves the new columns empty, or to their default.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_after_the_call"
down_revision = "0007_lead_service"
branch_labels = None
depends_on = None

#: What is audited beside what was before, and when.
AUDITED = {
    "opt_outs": ("INSERT OR DELETE OR UPDATE", ""),
    "sms_senders": ("UPDATE OF stopped_at", "WHEN (OLD.stopped_at IS DISTINCT FROM NEW.stopped_at)"),
    "calls": ("UPDATE OF called_back_at, erased_at", ""),
}


def upgrade() -> None:
    op.add_column("calls", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    # The migration's role owns the table, and sees all of it only without this for a moment.
    op.execute("ALTER TABLE calls NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE calls SET erased_at = now() WHERE caller_number LIKE 'erased:%'")
    op.execute("ALTER TABLE calls FORCE ROW LEVEL SECURITY")
    op.add_column("vapi_syncs", sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True))
    # In two steps: of the moves before nobody knows who made them.
    op.add_column("sms_events", sa.Column("actor", sa.Text(), nullable=True))
    op.alter_column(
        "sms_events",
        "actor",
        server_default=sa.text(
            "coalesce(nullif(current_setting('app.actor', true), ''), 'sql ' || session_user)"
        ),
    )
    for table, on in AUDITED.items():
        op.execute(
            f"CREATE TRIGGER audit AFTER {on[0]} ON {table} FOR EACH ROW {on[1]}"
            " EXECUTE FUNCTION write_audit('org_id')"
        )


def downgrade() -> None:
    for table in AUDITED:
        op.execute(f"DROP TRIGGER audit ON {table}")
    op.drop_column("sms_events", "actor")
    op.drop_column("vapi_syncs", "tried_at")
    op.drop_column("calls", "erased_at")
