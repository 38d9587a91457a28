"""Whether a lead was worth the call, as the clinic's staff say.

Old code runs on this schema: it leaves the new columns empty.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0022_worth_the_call"
down_revision = "0021_texts"
branch_labels = None
depends_on = None

COLUMNS: dict[str, TypeEngine[Any]] = {
    "worth_call": sa.Boolean(),
    "judged_at": sa.DateTime(timezone=True),
    "judged_score": sa.Integer(),
    "judged_band": sa.Text(),
    "judged_by": sa.Uuid(),
}
#: All of a judgement or nothing; judged_by goes when the person is deleted.
WHOLE = "num_nulls(worth_call, judged_at, judged_score, judged_band) IN (0, 4)"
NOBODY = "judged_by IS NULL OR worth_call IS NOT NULL"


def _audit(columns: str) -> None:
    op.execute("DROP TRIGGER audit ON calls")
    op.execute(
        f"CREATE TRIGGER audit AFTER UPDATE OF {columns} ON calls"
        " FOR EACH ROW EXECUTE FUNCTION write_audit('org_id')"
    )


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("calls", sa.Column(name, kind, nullable=True))
    op.create_check_constraint("whole_judgement", "calls", WHOLE)
    op.create_check_constraint("judged_by", "calls", NOBODY)
    op.create_foreign_key(
        op.f("fk_calls_org_id_judged_by"),
        "calls",
        "staff_users",
        ["org_id", "judged_by"],
        ["org_id", "id"],
        ondelete="SET NULL (judged_by)",
    )
    _audit("called_back_at, erased_at, worth_call")


def downgrade() -> None:
    """Loses what the staff said."""
    _audit("called_back_at, erased_at")
    op.drop_constraint(op.f("fk_calls_org_id_judged_by"), "calls")
    op.drop_constraint(op.f("ck_calls_judged_by"), "calls")
    op.drop_constraint(op.f("ck_calls_whole_judgement"), "calls")
    for name in reversed(COLUMNS):
        op.drop_column("calls", name)
