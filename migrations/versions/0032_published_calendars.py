"""Published calendars: links by which other programs read a diary.

Old code runs on this schema: it knows nothing of the table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032_published_calendars"
down_revision = "0031_calendar_feeds"
branch_labels = None
depends_on = None

TABLE = "published_calendars"
RULE = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=True),
        sa.Column("with_names", sa.Boolean(), nullable=False),
        sa.Column("token_digest", sa.Text(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_published_calendars_org_id")),
        sa.ForeignKeyConstraint(
            ["org_id", "resource_id"],
            ["resources.org_id", "resources.id"],
            name=op.f("fk_published_calendars_org_id_resource_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_published_calendars")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_published_calendars_token_digest")),
    )
    op.create_index("ix_published_calendars_org_id", TABLE, ["org_id"])
    op.execute(f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {TABLE} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_organization ON {TABLE} USING ({RULE}) WITH CHECK ({RULE})")
    # Without the columns that each reading of the calendar writes.
    op.execute(
        f"CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF resource_id, with_names, token_digest"
        f" ON {TABLE} FOR EACH ROW EXECUTE FUNCTION write_audit('org_id')"
    )


def downgrade() -> None:
    """Loses the links: programs that read a diary find nothing any more."""
    op.drop_table(TABLE)
