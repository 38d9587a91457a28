"""Moves and cancellations are kept, and a cancellation has an SMS of its own.

Old code runs on this schema, and what it moves or cancels is noted, too. But it does not know the new kind
of SMS: if somebody cancels during the release, the sweep of workers of the version before fails until they
are replaced. What the old sweep did not nudge then, the new one does.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0012_changes_of_appointments"
down_revision = "0011_soon_tried_again"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
KINDS = ("otp", "confirmation", "hot_lead_alert")
OLD_RULE = ("confirms_an_appointment", "(kind = 'confirmation') = (appointment_id IS NOT NULL)")
NEW_RULE = (
    "about_an_appointment",
    "(kind IN ('confirmation', 'cancellation')) = (appointment_id IS NOT NULL)",
)
RULE = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"

#: What is known of earlier ones: each link that was used says what for, and ended when its time began.
EARLIER = """
    INSERT INTO appointment_changes (org_id, appointment_id, change, was_at, is_at, actor, created_at)
    SELECT l.org_id, l.appointment_id, l.outcome, l.expires_at,
           CASE l.outcome WHEN 'moved' THEN coalesce(
             lead(l.expires_at) OVER (PARTITION BY l.appointment_id ORDER BY l.created_at, l.used_at),
             a.scheduled_at) END,
           'patient link', l.used_at
      FROM patient_links l JOIN appointments a ON a.org_id = l.org_id AND a.id = l.appointment_id
     WHERE l.outcome IS NOT NULL ORDER BY l.used_at
"""


def _kinds(*kinds: str) -> None:
    op.drop_constraint(op.f("ck_sms_messages_kind"), "sms_messages")
    op.create_check_constraint("kind", "sms_messages", f"kind IN ({', '.join(map(repr, kinds))})")


def _force(which: str, *tables: str) -> None:
    """The migration's role owns the tables, and sees all of them only without this for a moment."""
    for table in tables:
        op.execute(f"ALTER TABLE {table} {which} ROW LEVEL SECURITY")


def upgrade() -> None:
    _kinds(*KINDS, "cancellation")
    op.drop_constraint(op.f(f"ck_sms_messages_{OLD_RULE[0]}"), "sms_messages")
    op.create_check_constraint(NEW_RULE[0], "sms_messages", NEW_RULE[1])
    op.create_index(
        "ix_sms_messages_cancels_appointment_id",
        "sms_messages",
        ["appointment_id"],
        postgresql_where=sa.text("kind = 'cancellation'"),
    )
    op.create_table(
        "appointment_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("was_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("change IN ('cancelled', 'moved')", name=op.f("ck_appointment_changes_change")),
        sa.CheckConstraint(
            "(change = 'moved') = (is_at IS NOT NULL)", name=op.f("ck_appointment_changes_moved_to_a_time")
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "appointment_id"],
            ["appointments.org_id", "appointments.id"],
            name=op.f("fk_appointment_changes_org_id_appointment_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment_changes")),
    )
    op.create_index("ix_appointment_changes_appointment_id", "appointment_changes", ["appointment_id", "id"])
    op.create_index(
        "ix_appointment_changes_org_id_created_at", "appointment_changes", ["org_id", "created_at"]
    )
    _force("NO FORCE", "patient_links", "appointments")
    op.execute(EARLIER)
    _force("FORCE", "patient_links", "appointments")
    _force("ENABLE", "appointment_changes")
    _force("FORCE", "appointment_changes")
    op.execute(f"CREATE POLICY own_organization ON appointment_changes USING ({RULE}) WITH CHECK ({RULE})")
    op.execute("DROP FUNCTION cancel_appointment(uuid, uuid, uuid)")  # it answers with one column more
    for name in ("appointment_changes_v1", "newer_confirmation_v2", "cancel_appointment_v2"):
        op.execute((SQL / f"{name}.sql").read_text())


def downgrade() -> None:
    """Loses which appointments were moved, by whom and when; and the SMS about cancellations."""
    op.execute("DROP FUNCTION cancel_appointment(uuid, uuid, uuid)")
    op.execute("DROP TRIGGER keep_back_superseded ON sms_messages")
    op.execute("DROP TRIGGER follow_newer_confirmation ON appointments")
    for name in ("newer_confirmation_v1", "cancel_appointment_v1"):
        op.execute((SQL / f"{name}.sql").read_text())
    op.execute("DROP TRIGGER note_change ON appointments")
    op.execute("DROP FUNCTION note_appointment_change")
    op.drop_table("appointment_changes")
    _force("NO FORCE", "sms_messages")
    op.execute("DELETE FROM sms_messages WHERE kind = 'cancellation'")
    _force("FORCE", "sms_messages")
    op.drop_index("ix_sms_messages_cancels_appointment_id", "sms_messages")
    op.drop_constraint(op.f(f"ck_sms_messages_{NEW_RULE[0]}"), "sms_messages")
    op.create_check_constraint(OLD_RULE[0], "sms_messages", OLD_RULE[1])
    _kinds(*KINDS)
