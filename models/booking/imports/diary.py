"""What a clinic's diary has in the time of a file, and what is free of it while rows are judged."""

from __future__ import annotations

import uuid
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.booking.occupancies import LONGEST


@dataclass(frozen=True, slots=True, order=True)
class Taken:
    """A time that is taken up: by an appointment, hold or block that is there, or by another row."""

    starts_at: datetime
    ends_at: datetime
    #: appointment, hold, block or row.
    kind: str
    #: The patient's name, or the reason of a block.
    who: str = ""
    #: Of an appointment: when it begins, without its buffer. Of a row: its line.
    begins: datetime | None = None
    line: int = 0


# One resource at a time, so that each look is a short range of the primary key.
_READ = text("""
    SELECT r.id, o.starts_at, o.ends_at, a.id IS NOT NULL AS booked, h.id IS NOT NULL AS held,
           coalesce(a.patient_name, h.patient_name, b.reason) AS who, a.scheduled_at
      FROM unnest(CAST(:resources AS text[])) r(id),
           LATERAL (
             SELECT * FROM occupancies
              WHERE org_id = :org AND resource_id = r.id AND starts_at > :earliest AND starts_at < :end
                AND ends_at > :begin
           ) o
      LEFT JOIN appointments a ON a.org_id = :org AND a.id = o.appointment_id
      LEFT JOIN blocks b ON b.org_id = :org AND b.id = o.block_id
      LEFT JOIN appointment_holds h
             ON h.org_id = :org AND h.id = o.hold_id AND hold_is_live(h.status, h.expires_at, app_clock())
     WHERE o.hold_id IS NULL OR h.id IS NOT NULL
""")


class Free:
    """The times of resources in which a file's rows find their places; what is given away is noted."""

    def __init__(self, session: Session, org_id: uuid.UUID, resource_ids: Collection[str]) -> None:
        self._session, self._org_id, self._ids = session, org_id, sorted(resource_ids)
        self._taken: dict[str, list[Taken]] = defaultdict(list)

    def read(self, begin: datetime, end: datetime) -> None:
        """Read what takes up time in [begin, end). Expired holds do not."""
        values = {"org": self._org_id, "resources": self._ids}
        between = {"earliest": begin - LONGEST, "begin": begin, "end": end}
        for row in self._session.execute(_READ, values | between):
            kind = "appointment" if row.booked else "hold" if row.held else "block"
            self._taken[row.id].append(
                Taken(row.starts_at, row.ends_at, kind, row.who or "", row.scheduled_at)
            )
        for taken in self._taken.values():
            taken.sort(key=lambda each: (each.starts_at, each.ends_at))

    def find(self, resource_id: str, begin: datetime, end: datetime) -> Taken | None:
        """What is in the way of [begin, end): the first, or None."""
        taken = self._taken[resource_id]
        # Nothing lasts longer than a day, so that what began before that has ended.
        place = bisect_left(taken, begin - LONGEST, key=_begin)
        for each in taken[place : bisect_left(taken, end, key=_begin)]:
            if each.ends_at > begin:
                return each
        return None

    def is_free(self, resource_ids: Iterable[str], begin: datetime, end: datetime) -> bool:
        return all(self.find(each, begin, end) is None for each in resource_ids)

    def take(self, resource_ids: Iterable[str], taken: Taken) -> None:
        for each in resource_ids:
            insort(self._taken[each], taken, key=_begin)


def _begin(taken: Taken) -> datetime:
    return taken.starts_at
