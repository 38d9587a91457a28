"""How often the score was right: what the staff said about the leads, month by month."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import clock

#: Including this month.
MONTHS = 12


@dataclass(frozen=True, slots=True)
class Month:
    """What the staff said about the calls of one month. A judged call counts by its band when it was judged.

    A call without a judgement counts by its present band, unless its patient was erased: it can no longer be
    judged.
    """

    first_day: date
    hot_worth: int
    hot_judged: int
    hot_unjudged: int
    others_worth: int
    others_judged: int

    @property
    def hot_right(self) -> int | None:
        """The percentage of the judged hot leads that were worth the call; None if none was judged."""
        return round(100 * self.hot_worth / self.hot_judged) if self.hot_judged else None


_MONTHS = text("""
    SELECT m::date AS first_day,
           count(*) FILTER (WHERE c.worth_call AND c.judged_band = 'hot') AS hot_worth,
           count(*) FILTER (WHERE c.worth_call IS NOT NULL AND c.judged_band = 'hot') AS hot_judged,
           count(*) FILTER (WHERE c.worth_call IS NULL AND c.lead_band = 'hot' AND c.erased_at IS NULL)
             AS hot_unjudged,
           count(*) FILTER (WHERE c.worth_call AND c.judged_band <> 'hot') AS others_worth,
           count(*) FILTER (WHERE c.worth_call IS NOT NULL AND c.judged_band <> 'hot') AS others_judged
      FROM generate_series(CAST(:first AS timestamp), CAST(:last AS timestamp), interval '1 month') m
      LEFT JOIN calls c ON c.org_id = :org AND c.created_at >= :since
           AND date_trunc('month', c.created_at AT TIME ZONE CAST(:zone AS text)) = m
     GROUP BY m ORDER BY m DESC
""")


def by_month(session: Session, org_id: uuid.UUID, *, zone: ZoneInfo) -> list[Month]:
    """This month and the eleven before it in the clinic's zone, newest first.

    The months before the first call that was hot or was judged are left out; an empty month after it is
    listed with zeros.
    """
    today = clock.now(session).astimezone(zone).date()
    last = today.replace(day=1)
    first = _months_before(last, MONTHS - 1)
    rows = session.execute(
        _MONTHS,
        {
            "org": org_id,
            "first": first,
            "last": last,
            "since": datetime(first.year, first.month, 1, tzinfo=zone),
            "zone": zone.key,
        },
    )
    months = [Month(**row._mapping) for row in rows]
    while months and not _says_something(months[-1]):
        months.pop()
    return months


def _says_something(month: Month) -> bool:
    return bool(month.hot_judged or month.hot_unjudged or month.others_judged)


def _months_before(day: date, months: int) -> date:
    years, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(years, month + 1, 1)
