"""Which provider sends a clinic's SMS; and what the code of a failed message means, beside the code.

Old code runs on this schema: it sends with Twilio for every clinic, as all of them have it until another
provider is set, and it leaves `error_meaning` as it is: mostly null. Of a message that failed without a
meaning the new code says that it failed and not why, and has nothing to conclude from it. Where workers of
both releases had a message, its meaning may be that of an earlier attempt.

The meanings of the codes that are there already are Twilio's as of this release; a code that is not in the
table was not known, and becomes `unexplained`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026_meanings"
down_revision = "0025_written_once"
branch_labels = None
depends_on = None

#: Twilio's codes by what they mean.
CODES = {
    "misconfigured": (
        "10001 10002 20003 20005 20006 20008 20010 20403 20404 21210 21212 21213 21264 21267 "
        "21401 21407 21470 21471 21472 21476 21478 21479 21601 21603 21606 21607 21609 21613 "
        "21615 21616 21631 21649 21650 21657 21659 21660 21661 21910 30002 30015 30016 30032 "
        "30033 30034 30035 30037 30041 30042 30124 30125 30126 30127 63001 63002 63007 63008 "
        "63020 63035 63051 90010"
    ),
    "day_full": "30454 63038",
    "hour_full": "60728",
    "verified_only": "21219 21608 572002 572005",
    "abroad": "21408 30018 30024 30040 30043",
    "out_of_reach": "21612",
    "no_such_number": "21211 21217 63024",
    "no_sms": "21214 21265 21614 63003 63036",
    "own_number": "21266",
    "special_number": "21268 30038",
    "landline": "21635 30006",
    "out_of_use": "30005",
    "opted_out": "21610 30004 30630 63014 63033",
    "refused": "21602 21604 21605 21617 21618 21619 21624 21626 21658 30012 30013 30014",
    "not_delivered": "30007 30010 30019 30036 30039 30044 30410 30615 30620 63013 63026",
    "switched_off": "30003",
    "network_trouble": "30008 30017 30020 30021 30500 63009 63010 63012",
    "slow_down": "20429 63017",
    "not_now": "21611 21730 30001 30022 30610 63018",
    "network_full": "30023 30027 30450 30453 30485",
}
#: From the first to the last code of each, where CODES does not say otherwise.
FAMILIES = (
    ("maybe_sent", 500, 599),
    ("maybe_sent", 20500, 20599),
    ("misconfigured", 20100, 20199),
    ("misconfigured", 21700, 21799),
    ("misconfigured", 21900, 21901),
    ("misconfigured", 30430, 30480),
    ("misconfigured", 30530, 30599),
    ("misconfigured", 30700, 30999),
    ("misconfigured", 572000, 572999),
)
MEANINGS = (
    "slow_down",
    "not_now",
    "network_full",
    "maybe_sent",
    "landline",
    "no_sms",
    "no_such_number",
    "out_of_use",
    "special_number",
    "own_number",
    "abroad",
    "verified_only",
    "out_of_reach",
    "opted_out",
    "misconfigured",
    "hour_full",
    "day_full",
    "refused",
    "not_delivered",
    "switched_off",
    "network_trouble",
    "unexplained",
)


def _backfill(table: str, code: str, meaning: str) -> None:
    known = [
        f"WHEN {code} IN ({', '.join(map(repr, codes.split()))}) THEN '{means}'"
        for means, codes in CODES.items()
    ]
    families = [
        f"WHEN {code}::integer BETWEEN {first} AND {last} THEN '{means}'" for means, first, last in FAMILIES
    ]
    op.execute(
        f"UPDATE {table} SET {meaning} = CASE {' '.join(known + families)} ELSE 'unexplained' END"
        f" WHERE {code} ~ '^[0-9]{{1,9}}$'"
    )


def upgrade() -> None:
    op.add_column(
        "integration_settings", sa.Column("sms_provider", sa.Text(), server_default="twilio", nullable=False)
    )
    op.add_column("integration_settings", sa.Column("sms_account_sealed", sa.Text(), nullable=True))
    op.add_column("sms_messages", sa.Column("error_meaning", sa.Text(), nullable=True))
    op.add_column("sms_senders", sa.Column("stopped_meaning", sa.Text(), nullable=True))
    _backfill("sms_messages", "error_code", "error_meaning")
    _backfill("sms_senders", "stopped_code", "stopped_meaning")
    known = ", ".join(map(repr, MEANINGS))
    op.create_check_constraint("error_meaning", "sms_messages", f"error_meaning IN ({known})")
    op.create_check_constraint("stopped_meaning", "sms_senders", f"stopped_meaning IN ({known})")


def downgrade() -> None:
    op.drop_column("sms_senders", "stopped_meaning")
    op.drop_column("sms_messages", "error_meaning")
    op.drop_column("integration_settings", "sms_account_sealed")
    op.drop_column("integration_settings", "sms_provider")
