"""Links with which staff set their own password; the audit log has them, and sessions that somebody ended.

Old code runs on this schema: it makes no links, and a password that it sets leaves a link open until its
48 hours are over.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033_invitations"
down_revision = "0032_published_calendars"
branch_labels = None
depends_on = None

AUDITED = "email, name, role, password_hash, disabled_at, totp_since, recovery_digests"

#: The entries of daily work, which the index leaves out (models/base/audit.py).
DAILY = (
    "table_name = ANY ('{appointments,appointment_holds,blocks,calls,contacts,opt_outs,patient_notes,"
    "sms_senders}'::text[])"
)


def upgrade() -> None:
    op.add_column("staff_users", sa.Column("invitation_digest", sa.Text(), nullable=True))
    op.add_column("staff_users", sa.Column("invited_until", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_staff_users_invitation"),
        "staff_users",
        "num_nonnulls(invitation_digest, invited_until) IN (0, 2)",
    )
    op.create_unique_constraint(
        op.f("uq_staff_users_invitation_digest"), "staff_users", ["invitation_digest"]
    )
    _audit(f"{AUDITED}, invitation_digest, session_epoch")
    op.create_index(
        "ix_audit_log_settings",
        "audit_log",
        ["org_id", sa.text("created_at DESC"), sa.text("id DESC")],
        postgresql_where=sa.text(f"NOT ({DAILY})"),
    )


def downgrade() -> None:
    op.drop_index("ix_audit_log_settings", "audit_log")
    _audit(AUDITED)
    op.drop_constraint(op.f("uq_staff_users_invitation_digest"), "staff_users")
    op.drop_constraint(op.f("ck_staff_users_invitation"), "staff_users")
    op.drop_column("staff_users", "invited_until")
    op.drop_column("staff_users", "invitation_digest")


def _audit(columns: str) -> None:
    op.execute("DROP TRIGGER audit ON staff_users")
    op.execute(
        f"CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF {columns} ON staff_users"
        " FOR EACH ROW EXECUTE FUNCTION write_audit('org_id')"
    )
