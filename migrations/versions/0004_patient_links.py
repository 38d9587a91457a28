"""Moving and cancelling an appointment, for whoever has the link in its confirmation.

Old code runs on this schema: it knows neither, and its confirmations have no link.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0004_patient_links"
down_revision = "0003_life_of_an_sms"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    for name in ("newer_confirmation_v1", "cancel_appointment_v1", "move_appointment_v1"):
        op.execute((SQL / f"{name}.sql").read_text())


def downgrade() -> None:
    op.execute("DROP FUNCTION move_appointment")
    op.execute("DROP FUNCTION cancel_appointment")
    op.execute("DROP TRIGGER keep_back_superseded ON sms_messages")
    op.execute("DROP TRIGGER follow_newer_confirmation ON appointments")
    for function in (
        "keep_back_superseded_sms",
        "follow_newer_confirmation",
        "end_confirmation",
        "why_appointment_stays",
        "lock_appointment",
    ):
        op.execute(f"DROP FUNCTION {function}")
