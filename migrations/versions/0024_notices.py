"""A CHECK of its own for each kind of message, so that another kind may be about an appointment as well.

Old code runs on this schema: it makes the same kinds, and each names what it named before.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0024_notices"
down_revision = "0023_call_back"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
OLD_RULE = (
    "about_an_appointment",
    "(kind IN ('confirmation', 'cancellation')) = (appointment_id IS NOT NULL)",
)
#: What a message of each kind names, and what not.
ABOUT = {
    "otp": "hold_id IS NOT NULL AND appointment_id IS NULL",
    "confirmation": "appointment_id IS NOT NULL",
    "cancellation": "appointment_id IS NOT NULL",
    "hot_lead_alert": "appointment_id IS NULL",
}


def _read(*names: str) -> None:
    for name in names:
        op.execute((SQL / f"{name}.sql").read_text())


def upgrade() -> None:
    for kind, names in ABOUT.items():
        op.create_check_constraint(f"about_{kind}", "sms_messages", f"kind <> '{kind}' OR ({names})")
    op.drop_constraint(op.f(f"ck_sms_messages_{OLD_RULE[0]}"), "sms_messages")
    _read("newer_confirmation_v3", "sms_trouble_v5")


def downgrade() -> None:
    _read("newer_confirmation_v2", "sms_trouble_v4")
    op.execute("DROP FUNCTION sms_is_urgent")
    op.create_check_constraint(OLD_RULE[0], "sms_messages", OLD_RULE[1])
    for kind in ABOUT:
        op.drop_constraint(op.f(f"ck_sms_messages_about_{kind}"), "sms_messages")
