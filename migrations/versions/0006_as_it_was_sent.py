"""What a code and an SMS were made with, so that a change of settings in between breaks neither.

Old code runs on this schema: it leaves both columns empty, and then the settings of now count.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_as_it_was_sent"
down_revision = "0005_calls"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("appointment_holds", sa.Column("code_length", sa.Integer(), nullable=True))
    op.add_column("sms_messages", sa.Column("account_sid", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("sms_messages", "account_sid")
    op.drop_column("appointment_holds", "code_length")
