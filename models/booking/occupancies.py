"""The taken times of each resource: the only table under the exclusion constraint. Only triggers write it."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, Computed, ForeignKeyConstraint, or_, select
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base
from models.booking.holds import AppointmentHold

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
        # There is one seat until capacity arrives: another seat number would be a way round the constraint.
        CheckConstraint("seat = 0", name="seat"),
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


#: The taken times of a resource, in order; they never overlap.
Taken = list[tuple[datetime, datetime]]


def find_taken(
    session: Session, org_id: uuid.UUID, resource_ids: list[str], begin: datetime, end: datetime
) -> dict[str, Taken]:
    """The taken times of resources that overlap [begin, end). Expired holds are left out."""
    query = (
        select(Occupancy.resource_id, Occupancy.starts_at, Occupancy.ends_at)
        .outerjoin(AppointmentHold, AppointmentHold.id == Occupancy.hold_id)
        .where(
            Occupancy.org_id == org_id,
            Occupancy.resource_id.in_(resource_ids),
            Occupancy.seat == 0,
            Occupancy.starts_at > begin - LONGEST,
            Occupancy.starts_at < end,
            Occupancy.ends_at > begin,
            or_(Occupancy.hold_id.is_(None), AppointmentHold.live_now()),
        )
        .order_by(Occupancy.starts_at)
    )
    taken: dict[str, Taken] = {}
    for row in session.execute(query):
        taken.setdefault(row.resource_id, []).append((row.starts_at, row.ends_at))
    return taken
