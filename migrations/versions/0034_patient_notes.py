"""Notes about patients, and which time a move or a cancellation left free.

Old code runs on this schema: a trigger writes the new columns of the changes, and nothing old reads the new
table.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0034_patient_notes"
down_revision = "0033_invitations"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
RULE = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"


def upgrade() -> None:
    op.create_table(
        "patient_notes",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("writer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_notes")),
        sa.ForeignKeyConstraint(
            ["org_id", "contact_id"],
            ["contacts.org_id", "contacts.id"],
            name=op.f("fk_patient_notes_org_id_contact_id"),
        ),
        sa.CheckConstraint(r"body ~ '\S' AND length(body) <= 2000", name=op.f("ck_patient_notes_body")),
    )
    op.create_index(
        "ix_patient_notes_org_id_contact_id", "patient_notes", ["org_id", "contact_id", "created_at"]
    )
    op.execute("ALTER TABLE patient_notes ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE patient_notes FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_organization ON patient_notes USING ({RULE}) WITH CHECK ({RULE})")
    op.execute(
        "CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON patient_notes"
        " FOR EACH ROW EXECUTE FUNCTION write_audit('org_id')"
    )
    op.add_column("appointment_changes", sa.Column("was_ends_at", sa.DateTime(timezone=True)))
    op.add_column("appointment_changes", sa.Column("was_resource_id", sa.Text()))
    op.add_column("appointment_changes", sa.Column("is_resource_id", sa.Text()))
    _read("appointment_changes_v2")


def downgrade() -> None:
    """Loses the notes, and what the changes say of persons."""
    op.execute("DROP TRIGGER note_change ON appointments")
    # A change of the person alone is no change in the older schema.
    op.execute("DELETE FROM appointment_changes WHERE change = 'moved' AND is_at = was_at")
    for column in ("is_resource_id", "was_resource_id", "was_ends_at"):
        op.drop_column("appointment_changes", column)
    _read("appointment_changes_v1")
    op.drop_table("patient_notes")


def _read(name: str) -> None:
    op.execute((SQL / f"{name}.sql").read_text())
