"""Allowances: what a caller, a number or a clinic may still have, filled again steadily.

Old code runs on this schema: it neither reads nor writes the new table.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0015_allowances"
down_revision = "0014_plans"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
FUNCTION = "take_allowances_v1"
RULE = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"


def upgrade() -> None:
    op.create_table(
        "allowances",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("whose", sa.Text(), nullable=False),
        sa.Column("full_again_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_allowances_org_id")),
        sa.PrimaryKeyConstraint("org_id", "kind", "whose", name=op.f("pk_allowances")),
    )
    op.execute("ALTER TABLE allowances ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE allowances FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_organization ON allowances USING ({RULE}) WITH CHECK ({RULE})")
    op.execute((SQL / f"{FUNCTION}.sql").read_text())


def downgrade() -> None:
    op.execute("DROP FUNCTION take_allowances")
    op.drop_table("allowances")
