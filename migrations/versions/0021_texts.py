"""Limits of moves, of texts to one number, of alerts and of all that a clinic sends.

Old code runs on this schema, and sends without these limits. But it does not know why a message waits: while
one waits for room, workers of the version before fail at it until they are replaced, and it waits on.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0021_texts"
down_revision = "0020_unproved_holds"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
CAUSES = (
    "created",
    "claimed by a worker",
    "accepted by the provider",
    "the provider could not take it",
    "refused by the provider",
    "its answer was lost",
    "the worker stopped while sending it",
    "a receipt",
    "the provider has it",
    "the provider does not have it",
    "it could not be sent in time",
    "the patient has opted out",
    "there is nothing to send or nobody to send it",
    "a later message says something else",
    "the patient was erased",
    "no receipt in three days",
    "an operator asked for it",
    "it was sent anew as another message",
    "the provider accepted it twice",
)
WAITS = (
    "its number has been sent many texts, so it waits",
    "the texts of the day are used up, so it waits",
)
TOGETHER = "another alert tells of it, too"
LIMITS = {
    "organizations": {
        "moves_per_appointment_a_day": "4",
        "texts_per_phone_a_day": "10",
        "segments_a_day": "3000",
    },
    "integration_settings": {"hot_lead_alerts_an_hour": "6"},
}


def _know_causes(*causes: str) -> None:
    op.drop_constraint(op.f("ck_sms_messages_cause"), "sms_messages")
    op.create_check_constraint("cause", "sms_messages", f"cause IN ({', '.join(map(repr, causes))})")


def _read(*names: str) -> None:
    for name in names:
        op.execute((SQL / f"{name}.sql").read_text())


def upgrade() -> None:
    for table, columns in LIMITS.items():
        for name, default in columns.items():
            op.add_column(table, sa.Column(name, sa.Integer(), server_default=default, nullable=False))
    _know_causes(*CAUSES, *WAITS, TOGETHER)
    op.execute("DROP FUNCTION move_appointment")  # a parameter has another name
    _read("move_appointment_v2", "sms_trouble_v4", "sms_health_v2")


def downgrade() -> None:
    op.execute("DROP FUNCTION move_appointment")
    op.execute("DROP VIEW sms_health")
    _read("move_appointment_v1", "sms_trouble_v3")
    life = (SQL / "sms_life_v1.sql").read_text()
    op.execute(life[life.index("CREATE VIEW sms_health") :])
    op.execute("ALTER TABLE sms_messages NO FORCE ROW LEVEL SECURITY")
    op.execute(f"UPDATE sms_messages SET cause = 'created' WHERE cause IN {WAITS}")
    op.execute(
        f"UPDATE sms_messages SET cause = 'a later message says something else' WHERE cause = '{TOGETHER}'"
    )
    op.execute("ALTER TABLE sms_messages FORCE ROW LEVEL SECURITY")
    _know_causes(*CAUSES)
    for table, columns in LIMITS.items():
        for name in columns:
            op.drop_column(table, name)
