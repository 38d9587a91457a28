"""Busy times from elsewhere: calendars of people that are read again and again, and the blocks they become.

Old code runs on this schema. It cannot read a block of a feed, so that nobody should add a feed before its
last process is replaced.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031_calendar_feeds"
down_revision = "0030_imports"
branch_labels = None
depends_on = None

RULE = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"
PROBLEMS = (
    *("bad_address", "not_public", "no_such_host", "unreachable", "not_trusted", "too_slow"),
    *("too_many_redirects", "refused", "not_found", "server_failed", "bad_answer", "not_a_calendar"),
    *("unreadable", "too_large", "too_many_events", "too_many_instances", "too_many_zones"),
    *("took_too_long", "cannot_unseal", "interrupted"),
)
#: What a person sets. The columns that each reading changes are not audited.
AUDITED = "org_id, resource_id, label, address_sealed, is_on, every_minutes"


def upgrade() -> None:
    op.execute(
        f"""
        CREATE TABLE calendar_feeds (
            id uuid DEFAULT gen_random_uuid() NOT NULL CONSTRAINT pk_calendar_feeds PRIMARY KEY,
            org_id uuid NOT NULL,
            resource_id text NOT NULL,
            label text NOT NULL CONSTRAINT ck_calendar_feeds_label CHECK (label ~ '\\S'),
            address_sealed text NOT NULL,
            is_on boolean DEFAULT true NOT NULL,
            every_minutes integer DEFAULT 10 NOT NULL
                CONSTRAINT ck_calendar_feeds_every_minutes CHECK (every_minutes BETWEEN 5 AND 1440),
            due_at timestamptz DEFAULT now() NOT NULL,
            taken_at timestamptz,
            asked_at timestamptz,
            read_at timestamptz,
            worked_out_at timestamptz,
            etag text,
            last_modified text,
            digest text,
            failures integer DEFAULT 0 NOT NULL,
            problem text CONSTRAINT ck_calendar_feeds_problem CHECK (problem IN ({_listed(PROBLEMS)})),
            events integer,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT uq_calendar_feeds_org_id_id UNIQUE (org_id, id),
            CONSTRAINT fk_calendar_feeds_org_id_resource_id
                FOREIGN KEY (org_id, resource_id) REFERENCES resources (org_id, id)
        );
        CREATE INDEX ix_calendar_feeds_org_id_resource_id ON calendar_feeds (org_id, resource_id);
        CREATE INDEX ix_calendar_feeds_due_at ON calendar_feeds (due_at) WHERE is_on;
        ALTER TABLE calendar_feeds ENABLE ROW LEVEL SECURITY;
        ALTER TABLE calendar_feeds FORCE ROW LEVEL SECURITY;
        CREATE POLICY own_organization ON calendar_feeds USING ({RULE}) WITH CHECK ({RULE});
        CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF {AUDITED} ON calendar_feeds
            FOR EACH ROW EXECUTE FUNCTION write_audit('org_id');
        """
    )
    op.add_column(
        "organizations", sa.Column("feed_limit_hours", sa.Integer(), server_default="24", nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_organizations_feed_limit_hours"), "organizations", "feed_limit_hours BETWEEN 1 AND 336"
    )
    op.add_column("blocks", sa.Column("feed_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_blocks_org_id_feed_id"), "blocks", "calendar_feeds", ["org_id", "feed_id"], ["org_id", "id"]
    )
    _sources("desk", "feed")
    op.create_check_constraint(op.f("ck_blocks_feed"), "blocks", "(source = 'feed') = (feed_id IS NOT NULL)")


def downgrade() -> None:
    """Gives the time of these blocks back. Write the addresses down before: they are not kept."""
    op.execute("DELETE FROM blocks WHERE source = 'feed'")
    op.drop_constraint(op.f("ck_blocks_feed"), "blocks")
    _sources("desk")
    op.drop_column("blocks", "feed_id")
    op.drop_constraint(op.f("ck_organizations_feed_limit_hours"), "organizations")
    op.drop_column("organizations", "feed_limit_hours")
    op.execute("DROP TABLE calendar_feeds")


def _sources(*names: str) -> None:
    op.drop_constraint(op.f("ck_blocks_source"), "blocks")
    op.create_check_constraint(op.f("ck_blocks_source"), "blocks", f"source IN ({_listed(names)})")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
