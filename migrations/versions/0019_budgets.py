"""What one caller may have sent to others in an hour, and an index to tidy the allowances by.

Old code runs on this schema: it reads and writes neither. While both run, each counts codes in its own way.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019_budgets"
down_revision = "0018_numbers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "organizations",
        sa.Column("codes_per_caller_an_hour", sa.Integer(), server_default="10", nullable=False),
    )
    op.create_index("ix_allowances_full_again_at", "allowances", ["full_again_at"])


def downgrade() -> None:
    op.drop_index("ix_allowances_full_again_at", "allowances")
    op.drop_column("organizations", "codes_per_caller_an_hour")
