"""Who asked for a hold, how many may be held before anybody has proved them, and which one gave way.

Old code runs on this schema: what it holds counts as asked for by nobody in particular. But it does not know
the status of a hold that gave way; until it is replaced, it answers to one that it cannot reach the diary.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0020_unproved_holds"
down_revision = "0019_budgets"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
STATUSES = ("held", "confirmed", "released", "expired", "locked")
LIMITS = {"unproved_holds": "30", "unproved_holds_per_caller": "5", "unproved_percent_of_day": "50"}
CLAIM = "claim_slot_atomic(uuid, text, timestamptz, text, text, text, integer{})"
LIVE = sa.text("status = 'held'")

#: Who of the staff, or which operator, gave a hold back. A call's own are in its answers.
AUDIT = """
    CREATE TRIGGER audit AFTER UPDATE OF status ON appointment_holds FOR EACH ROW
    WHEN (OLD.status = 'held' AND NEW.status = 'released'
          AND coalesce(current_setting('app.actor', true), '') ~ '^(staff|operator)( |$)')
    EXECUTE FUNCTION write_audit('org_id')
"""


def _statuses(*statuses: str) -> None:
    op.drop_constraint(op.f("ck_appointment_holds_status"), "appointment_holds")
    op.create_check_constraint("status", "appointment_holds", f"status IN ({', '.join(map(repr, statuses))})")


def upgrade() -> None:
    for name, default in LIMITS.items():
        op.add_column("organizations", sa.Column(name, sa.Integer(), server_default=default, nullable=False))
    op.create_check_constraint(
        "unproved_percent_of_day", "organizations", "unproved_percent_of_day BETWEEN 1 AND 100"
    )
    op.add_column("appointment_holds", sa.Column("credential_id", sa.Uuid(), nullable=True))
    op.add_column("appointment_holds", sa.Column("caller", sa.Text(), nullable=True))
    op.add_column(
        "appointment_holds",
        sa.Column("number_is_callers", sa.Boolean(), server_default="false", nullable=False),
    )
    _statuses(*STATUSES, "displaced")
    op.create_index(
        "ix_appointment_holds_live", "appointment_holds", ["org_id", "expires_at"], postgresql_where=LIVE
    )
    op.drop_index("ix_appointment_holds_expires_at", "appointment_holds")
    op.execute(f"DROP FUNCTION {CLAIM.format('')}")
    for name in ("make_room_for_hold_v1", "claim_slot_atomic_v2"):
        op.execute((SQL / f"{name}.sql").read_text())
    op.execute(AUDIT)


def downgrade() -> None:
    """Loses who asked for holds. A hold that gave way becomes one that was given back."""
    op.execute("DROP TRIGGER audit ON appointment_holds")
    op.execute(f"DROP FUNCTION {CLAIM.format(', jsonb')}")
    op.execute("DROP FUNCTION make_room_for_hold")
    op.execute("DROP FUNCTION hold_that_gives_way")
    op.execute("DROP FUNCTION live_unproved_holds")
    op.execute((SQL / "claim_slot_atomic_v1.sql").read_text())
    op.create_index(
        "ix_appointment_holds_expires_at", "appointment_holds", ["expires_at"], postgresql_where=LIVE
    )
    op.drop_index("ix_appointment_holds_live", "appointment_holds")
    op.execute("ALTER TABLE appointment_holds NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE appointment_holds SET status = 'released' WHERE status = 'displaced'")
    op.execute("ALTER TABLE appointment_holds FORCE ROW LEVEL SECURITY")
    _statuses(*STATUSES)
    for name in ("number_is_callers", "caller", "credential_id"):
        op.drop_column("appointment_holds", name)
    op.drop_constraint(op.f("ck_organizations_unproved_percent_of_day"), "organizations")
    for name in LIMITS:
        op.drop_column("organizations", name)
