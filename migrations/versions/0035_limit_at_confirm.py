"""A confirmation waits for claims of a service that has a limit for each day, so that the limit is exact.

Revision ID: 0035_limit_at_confirm
Revises: 0034_patient_notes
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0035_limit_at_confirm"
down_revision = "0034_patient_notes"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    _read("confirm_held_slot_v3")


def downgrade() -> None:
    _read("confirm_held_slot_v2")


def _read(name: str) -> None:
    op.execute((SQL / f"{name}.sql").read_text())
