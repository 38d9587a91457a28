"""Every acceptance of an SMS is kept and belongs to one message; a wish of a patient is followed once.

Old code runs on this schema: it makes fewer moves, and notes neither. Where it would give one id to two
messages it gets an error instead, and asks again.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0009_every_acceptance"
down_revision = "0008_after_the_call"
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
)
MORE_CAUSES = ("it was sent anew as another message", "the provider accepted it twice")
RULE = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"


def _know_causes(*causes: str) -> None:
    op.drop_constraint(op.f("ck_sms_messages_cause"), "sms_messages")
    op.create_check_constraint("cause", "sms_messages", f"cause IN ({', '.join(map(repr, causes))})")


def upgrade() -> None:
    # The same code twice has the same words twice: two messages may have been found as one. The first keeps
    # it. The migration's role owns the table, and sees all of it only without this for a moment.
    op.execute("ALTER TABLE sms_messages NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE sms_messages m SET provider_id = NULL FROM sms_messages o"
        " WHERE o.org_id = m.org_id AND o.provider_id = m.provider_id"
        " AND (o.created_at, o.id) < (m.created_at, m.id)"
    )
    op.execute("ALTER TABLE sms_messages FORCE ROW LEVEL SECURITY")
    op.create_index(
        "uq_sms_messages_org_id_provider_id",
        "sms_messages",
        ["org_id", "provider_id"],
        unique=True,
        postgresql_where=sa.text("provider_id IS NOT NULL"),
    )
    op.add_column("sms_events", sa.Column("provider_id", sa.Text(), nullable=True))
    op.create_index(
        "uq_sms_events_message_id_provider_id",
        "sms_events",
        ["message_id", "provider_id"],
        unique=True,
        postgresql_where=sa.text("provider_id IS NOT NULL"),
    )
    _know_causes(*CAUSES, *MORE_CAUSES)
    op.create_table(
        "inbound_wishes",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_inbound_wishes_org_id")),
        sa.PrimaryKeyConstraint("org_id", "provider_id", name=op.f("pk_inbound_wishes")),
    )
    op.execute("ALTER TABLE inbound_wishes ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE inbound_wishes FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_organization ON inbound_wishes USING ({RULE}) WITH CHECK ({RULE})")
    for name in ("sms_life_v2",):
        op.execute((SQL / f"{name}.sql").read_text())


def downgrade() -> None:
    """Loses which messages were accepted twice, and which wishes were followed."""
    for view in ("sms_health", "sms_trouble"):
        op.execute(f"DROP VIEW {view}")
    for trigger in ("legal_moves", "note_first", "note_move"):
        op.execute(f"DROP TRIGGER {trigger} ON sms_messages")
    op.execute("ALTER TABLE sms_events NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM sms_events WHERE provider_id IS NOT NULL")
    op.execute("ALTER TABLE sms_events FORCE ROW LEVEL SECURITY")
    op.execute((SQL / "sms_life_v1.sql").read_text())
    op.drop_table("inbound_wishes")
    op.execute("ALTER TABLE sms_messages NO FORCE ROW LEVEL SECURITY")
    op.execute(f"UPDATE sms_messages SET cause = 'a receipt' WHERE cause = '{MORE_CAUSES[0]}'")
    op.execute("ALTER TABLE sms_messages FORCE ROW LEVEL SECURITY")
    _know_causes(*CAUSES)
    op.drop_index("uq_sms_events_message_id_provider_id", "sms_events")
    op.drop_column("sms_events", "provider_id")
    op.drop_index("uq_sms_messages_org_id_provider_id", "sms_messages")
