"""An existing diary is brought in: appointments that came from a file, and the file for an hour.

Old code runs on this schema: it cannot read the two new words, so that nothing should be imported before its
last process is replaced.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0030_imports"
down_revision = "0029_worth"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
RULE = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"
BOOKED_BY = ("phone", "link", "desk")
CAUSES = (
    *("created", "claimed by a worker", "accepted by the provider", "the provider could not take it"),
    *("refused by the provider", "its answer was lost", "the worker stopped while sending it", "a receipt"),
    *("the provider has it", "the provider does not have it", "it could not be sent in time"),
    *("the patient has opted out", "there is nothing to send or nobody to send it"),
    *("a later message says something else", "the patient was erased", "no receipt in three days"),
    *("an operator asked for it", "it was sent anew as another message", "the provider accepted it twice"),
    *("its number has been sent many texts, so it waits", "the texts of the day are used up, so it waits"),
    "another alert tells of it, too",
)
IMPORTED = "it was imported, and its patient knows of it"


def upgrade() -> None:
    _one_of("appointments", "booked_by", *BOOKED_BY, "import")
    _named("booked_by NOT IN ('desk', 'import') OR booker IS NOT NULL")
    _one_of("sms_messages", "cause", *CAUSES, IMPORTED)
    for table in ("appointments", "blocks"):
        op.add_column(table, sa.Column("imported_id", sa.Text(), nullable=True))
        op.create_index(
            op.f(f"uq_{table}_org_id_imported_id"),
            table,
            ["org_id", "imported_id"],
            unique=True,
            postgresql_where=sa.text("imported_id IS NOT NULL"),
        )
    op.create_table(
        "import_files",
        sa.Column("org_id", sa.Uuid(), sa.ForeignKey("organizations.id"), primary_key=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("choices", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('csv', 'ics')", name=op.f("ck_import_files_kind")),
        sa.CheckConstraint("octet_length(body) <= 5242880", name=op.f("ck_import_files_body")),
    )
    op.execute("ALTER TABLE import_files ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE import_files FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_organization ON import_files USING ({RULE}) WITH CHECK ({RULE})")
    op.execute(
        "CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON import_files"
        " FOR EACH ROW EXECUTE FUNCTION write_audit('org_id')"
    )
    _view("sms_trouble_v6")


def downgrade() -> None:
    """What was imported stays, as booked at the desk."""
    _view("sms_trouble_v5")
    op.drop_table("import_files")
    for table in ("appointments", "blocks"):
        op.drop_index(op.f(f"uq_{table}_org_id_imported_id"), table)
        op.drop_column(table, "imported_id")
    op.execute(
        f"UPDATE sms_messages SET cause = 'a later message says something else' WHERE cause = '{IMPORTED}'"
    )
    op.execute("UPDATE appointments SET booked_by = 'desk' WHERE booked_by = 'import'")
    _one_of("sms_messages", "cause", *CAUSES)
    _named("booked_by <> 'desk' OR booker IS NOT NULL")
    _one_of("appointments", "booked_by", *BOOKED_BY)


def _view(name: str) -> None:
    text = (SQL / f"{name}.sql").read_text()
    op.execute(text[text.index("CREATE OR REPLACE VIEW") :])


def _one_of(table: str, column: str, *names: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{column}"), table)
    values = ", ".join(f"'{name}'" for name in names)
    op.create_check_constraint(op.f(f"ck_{table}_{column}"), table, f"{column} IN ({values})")


def _named(rule: str) -> None:
    op.drop_constraint(op.f("ck_appointments_desk_has_a_name"), "appointments")
    op.create_check_constraint(op.f("ck_appointments_desk_has_a_name"), "appointments", rule)
