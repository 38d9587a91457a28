"""How often a stopped sender has been tried since it stopped, and whether only a receipt told of the stop.

Old code runs on this schema: it fills neither. A sender that it stops is then tried a little sooner.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_soon_tried_again"
down_revision = "0010_turns_of_a_sender"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sms_senders", sa.Column("tries", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "sms_senders",
        sa.Column("stopped_late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    # Until now that was read from the code.
    op.execute("UPDATE sms_senders SET stopped_late = true WHERE stopped_code LIKE '30%'")


def downgrade() -> None:
    op.drop_column("sms_senders", "stopped_late")
    op.drop_column("sms_senders", "tries")
