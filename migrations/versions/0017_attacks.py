"""What a signature says of its request, which signatures were used, and how often the doors were tried.

Old code runs on this schema: its signing credentials sign the body and the time, as they did, and it neither
reads nor writes the new tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017_attacks"
down_revision = "0016_sessions"
branch_labels = None
depends_on = None

FORMATS = ("{timestamp}.{body}", "{timestamp}.{method}.{url}.{body}")


def upgrade() -> None:
    op.add_column(
        "vapi_credentials",
        sa.Column("payload_format", sa.Text(), server_default=FORMATS[0], nullable=False),
    )
    listed = ", ".join(f"'{each}'" for each in FORMATS)
    op.create_check_constraint("payload_format", "vapi_credentials", f"payload_format IN ({listed})")
    op.create_table(
        "signed_requests",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_signed_requests_org_id"),
        sa.PrimaryKeyConstraint("org_id", "signature", name="pk_signed_requests"),
    )
    op.create_index("ix_signed_requests_seen_at", "signed_requests", ["seen_at"])
    rule = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"
    op.execute("ALTER TABLE signed_requests ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE signed_requests FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_organization ON signed_requests USING ({rule}) WITH CHECK ({rule})")
    op.create_table(
        "attack_counts",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", name="pk_attack_counts"),
    )


def downgrade() -> None:
    op.drop_table("attack_counts")
    op.drop_table("signed_requests")
    op.drop_column("vapi_credentials", "payload_format")
