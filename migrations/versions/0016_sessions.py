"""A row for each browser that is signed in, counters of failed sign-ins, and the second factor.

Old code runs on this schema, but its cookies are another's: everybody signs in once more after the release.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016_sessions"
down_revision = "0015_allowances"
branch_labels = None
depends_on = None

RULE = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"
AUDITED = "email, name, role, password_hash, disabled_at"


def _audit(columns: str) -> None:
    op.execute("DROP TRIGGER audit ON staff_users")
    op.execute(
        f"CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF {columns} ON staff_users"
        " FOR EACH ROW EXECUTE FUNCTION write_audit('org_id')"
    )


def upgrade() -> None:
    for column in (
        sa.Column("totp_sealed", sa.Text(), nullable=True),
        sa.Column("totp_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=True),
        sa.Column("recovery_digests", postgresql.JSONB(), server_default="[]", nullable=False),
    ):
        op.add_column("staff_users", column)
    op.create_check_constraint(
        "second_factor", "staff_users", "totp_since IS NULL OR totp_sealed IS NOT NULL"
    )
    op.create_unique_constraint(op.f("uq_staff_users_org_id_id"), "staff_users", ["org_id", "id"])
    _audit(f"{AUDITED}, totp_since, recovery_digests")
    op.create_table(
        "staff_sessions",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("token_digest", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "staff_id"],
            ["staff_users.org_id", "staff_users.id"],
            name=op.f("fk_staff_sessions_org_id_staff_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_sessions")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_staff_sessions_token_digest")),
    )
    op.create_index("ix_staff_sessions_org_id_staff_id", "staff_sessions", ["org_id", "staff_id"])
    op.create_index("ix_staff_sessions_began_at", "staff_sessions", ["began_at"])
    op.execute("ALTER TABLE staff_sessions ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE staff_sessions FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_organization ON staff_sessions USING ({RULE}) WITH CHECK ({RULE})")
    op.create_table(
        "sign_in_limits",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("forgiven_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sign_in_limits")),
    )
    op.create_index("ix_sign_in_limits_forgiven_at", "sign_in_limits", ["forgiven_at"])


def downgrade() -> None:
    """Whoever is signed in is out, and nobody is asked for a second factor any more."""
    op.drop_table("sign_in_limits")
    op.drop_table("staff_sessions")
    _audit(AUDITED)
    op.drop_constraint(op.f("uq_staff_users_org_id_id"), "staff_users")
    op.drop_constraint(op.f("ck_staff_users_second_factor"), "staff_users")
    for name in ("recovery_digests", "totp_last_step", "totp_since", "totp_sealed"):
        op.drop_column("staff_users", name)
