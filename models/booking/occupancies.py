"""The taken times of each resource: the only table under the exclusion constraint. Only triggers write it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, ColumnElement, Computed, ForeignKeyConstraint, and_, text
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base

#: The longest occupancy, which bounds how far back a search must look.
LONGEST = timedelta(hours=24)


class Occupancy(Base):
    __tablename__ = "occupancies"
    __table_args__ = (
        ExcludeConstraint(
            # The range comes second: this order is the cheapest to insert into (docs/bench.md).
            ("org_id", "="),
            ("during", "&&"),
            ("resource_id", "="),
            ("seat", "="),
            using="gist",
            name="ex_occupancies_no_overlap",
        ),
        CheckConstraint("ends_at > starts_at AND ends_at <= starts_at + interval '24 hours'", name="length"),
        CheckConstraint("num_nonnulls(hold_id, appointment_id, block_id) = 1", name="one_owner"),
        ForeignKeyConstraint(["org_id", "resource_id"], ["resources.org_id", "resources.id"]),
        # Callers and patients sit on the first seat. Only an overrule of the desk takes another.
        CheckConstraint("seat >= 0", name="seat"),
    )

    org_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    resource_id: Mapped[str] = mapped_column(primary_key=True)
    seat: Mapped[int] = mapped_column(primary_key=True, server_default="0", autoincrement=False)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    ends_at: Mapped[datetime]
    during: Mapped[Range[datetime]] = mapped_column(
        TSTZRANGE, Computed("tstzrange(starts_at, ends_at)", persisted=True)
    )
    hold_id: Mapped[uuid.UUID | None]
    appointment_id: Mapped[uuid.UUID | None]
    block_id: Mapped[uuid.UUID | None]

    @classmethod
    def meets(
        cls, org_id: uuid.UUID, resource_ids: Iterable[str], begin: datetime, end: datetime
    ) -> ColumnElement[bool]:
        """In a query: whether it takes up time of one of the resources in [begin, end)."""
        return and_(
            cls.org_id == org_id,
            cls.resource_id.in_(resource_ids),
            cls.starts_at > begin - LONGEST,
            cls.starts_at < end,
            cls.ends_at > begin,
        )


#: The taken times of a resource, in order and without overlaps.
Taken = list[tuple[datetime, datetime]]


# One row for each resource: a row for each time took three times as long to read. Of the holds only those are
# read that the clinic has live, by their own index, in whatever order the planner joins.
# One resource at a time, and the seats apart: so each look is a short range of the primary key, also where
# the planner has no statistics of the table.
_TAKEN = text("""
    SELECT r.id, array_agg(o.starts_at ORDER BY o.starts_at), array_agg(o.ends_at ORDER BY o.starts_at)
      FROM unnest(CAST(:resources AS text[])) r(id),
           LATERAL (
             SELECT starts_at, ends_at, hold_id FROM occupancies
              WHERE org_id = :org AND resource_id = r.id AND seat = 0
                AND starts_at > :earliest AND starts_at < :end AND ends_at > :begin
             UNION ALL
             SELECT starts_at, ends_at, hold_id FROM occupancies
              WHERE org_id = :org AND resource_id = r.id AND seat > 0
                AND starts_at > :earliest AND starts_at < :end AND ends_at > :begin
           ) o
      LEFT JOIN appointment_holds h
             ON h.org_id = :org AND h.id = o.hold_id AND hold_is_live(h.status, h.expires_at, app_clock())
     WHERE o.hold_id IS NULL OR h.id IS NOT NULL
     GROUP BY r.id
""")


def find_taken(
    session: Session, org_id: uuid.UUID, resource_ids: list[str], begin: datetime, end: datetime
) -> dict[str, Taken]:
    """The taken times of resources that overlap [begin, end). Expired holds are left out."""
    between = {"earliest": begin - LONGEST, "begin": begin, "end": end}
    rows = session.execute(_TAKEN, {"org": org_id, "resources": resource_ids, **between})
    return {resource: _apart(zip(begins, ends, strict=True)) for resource, begins, ends in rows}


def _apart(times: Iterable[tuple[datetime, datetime]]) -> Taken:
    """Times in order as times that do not overlap: the desk may have put one beside another."""
    apart: Taken = []
    for begins, ends in times:
        if apart and begins < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], ends))
        else:
            apart.append((begins, ends))
    return apart
