"""Whether a person should ring a lead back; and clinics' own rules for scoring without what is gone.

Old code runs on this schema: it leaves the new column null, which counts as "ring if hot".

A clinic's own phrases and points were for a reading of the words that is gone, and points of the same name
weigh against others now. The thresholds and the worth of services stay. What is taken away is kept in
`former_lead_rules`, from which `downgrade` brings it back in the place of what was set since. Rules that a
clinic set since and had not before stay, and the old code takes the usual ones if it does not know them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023_call_back"
down_revision = "0022_worth_the_call"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("lead_call_back", sa.Boolean(), nullable=True))
    op.add_column("organizations", sa.Column("former_lead_rules", postgresql.JSONB(), nullable=True))
    op.execute(
        "UPDATE organizations SET former_lead_rules = lead_rules,"
        " lead_rules = nullif(lead_rules - 'phrases' - 'weights', '{}')"
        " WHERE lead_rules ?| ARRAY['phrases', 'weights']"
    )


def downgrade() -> None:
    op.execute("UPDATE organizations SET lead_rules = former_lead_rules WHERE former_lead_rules IS NOT NULL")
    op.drop_column("organizations", "former_lead_rules")
    op.drop_column("calls", "lead_call_back")
