"""What a lead is about, beside how hot it is.

Old code runs on this schema: it leaves the column empty, and pages and texts then name no service.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_lead_service"
down_revision = "0006_as_it_was_sent"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("lead_service", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("calls", "lead_service")
