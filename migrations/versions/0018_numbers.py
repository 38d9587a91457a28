"""Whether a clinic's codes may go to fixed lines, and not to mobiles alone.

Old code runs on this schema: the new column has a default.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018_numbers"
down_revision = "0017_attacks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "organizations", sa.Column("landlines_allowed", sa.Boolean(), server_default="false", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("organizations", "landlines_allowed")
