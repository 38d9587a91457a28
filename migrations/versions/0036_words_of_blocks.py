"""A change of the reason of a block alone takes no lock and rewrites no occupancy.

Revision ID: 0036_words_of_blocks
Revises: 0035_limit_at_confirm
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0036_words_of_blocks"
down_revision = "0035_limit_at_confirm"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    op.execute(_text("blocks_occupy_v2"))


def downgrade() -> None:
    whole = _text("occupancies_v2")
    begin, end = (whole.index(f"CREATE FUNCTION {name}(") for name in ("blocks_occupy", "lock_for_blocks"))
    op.execute(whole[begin:end].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))


def _text(name: str) -> str:
    return (SQL / f"{name}.sql").read_text()
