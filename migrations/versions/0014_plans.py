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


def downgrade() -> None:
    op.drop_table("sweeps")
