"""What a clinic's sender may do now: how much of its pace is used up, and whether its answers come slowly.

Old code runs on this schema: it fills neither, and both then say that nothing stands in the way.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_turns_of_a_sender"
down_revision = "0009_every_acceptance"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sms_senders", sa.Column("full_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "sms_senders", sa.Column("slow", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_index(
        "ix_sms_messages_org_id_under_way",
        "sms_messages",
        ["org_id"],
        postgresql_where=sa.text("lease_until IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_sms_messages_org_id_under_way", "sms_messages")
    op.drop_column("sms_senders", "slow")
    op.drop_column("sms_senders", "full_until")
