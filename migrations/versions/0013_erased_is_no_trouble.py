"""A message whose patient was erased is no trouble that somebody should look at.

Old code runs on this schema: it reads the same columns of the view.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0013_erased_is_no_trouble"
down_revision = "0012_changes_of_appointments"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    for name in ("sms_trouble_v3",):
        op.execute((SQL / f"{name}.sql").read_text())
    # For patients who were erased before this; their messages the view knows by the number. The migration's
    # role owns the tables, and sees all of them only without this for a moment.
    for table in ("hot_lead_alerts", "calls"):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE hot_lead_alerts SET suppressed_reason = 'the patient was erased'"
        " WHERE lead_phone LIKE 'erased:%' AND alert_sent_at IS NULL AND suppressed_reason IS NULL"
    )
    op.execute(
        "UPDATE calls c SET erased_at = now() FROM hot_lead_alerts l WHERE c.erased_at IS NULL"
        " AND l.org_id = c.org_id AND l.call_id = c.id AND l.lead_phone LIKE 'erased:%'"
    )
    for table in ("hot_lead_alerts", "calls"):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    for name in ("sms_life_v2",):
        op.execute((SQL / f"{name}.sql").read_text())
