"""The worth of a service is a column of its own.

A service takes over what the clinic's rules for scoring had for its name. The rules keep it, because old code
runs on this schema and reads it there; `downgrade` loses what was set since.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029_worth"
down_revision = "0028_desk"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("services", sa.Column("worth", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_services_worth"), "services", "worth IN ('high', 'normal', 'low')")
    op.execute(
        """
        UPDATE services s SET worth = rule.value
          FROM organizations o, jsonb_each_text(
                 CASE jsonb_typeof(o.lead_rules -> 'services') WHEN 'object'
                 THEN o.lead_rules -> 'services' ELSE '{}' END) AS rule
         WHERE o.id = s.org_id AND lower(trim(rule.key)) = lower(trim(s.name))
           AND rule.value IN ('high', 'normal', 'low')
        """
    )


def downgrade() -> None:
    op.drop_column("services", "worth")
