"""What the Reports page counts: the last days of a clinic, its calls, SMS and costs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from models.base import clock
from models.calls.calls import BY_SIGNATURE
from models.messaging.states import Cause


@dataclass(frozen=True, slots=True)
class Day:
    """One line of the daily report; a day without appointments has no rate.

    Appointments count on the day on which they were made, whatever became of them; moves and cancellations
    on the day of the change.
    """

    day: date
    appointments: int
    confirmed: int
    rate: Decimal | None
    moved: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class Delivery:
    kind: str
    status: str
    messages: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many telephone calls got as far as each step."""

    checked: int
    held: int
    code_sent: int
    confirmed: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds from the creation of a message until the provider accepted it."""

    kind: str
    messages: int
    median: float
    slowest_tenth: float


@dataclass(frozen=True, slots=True)
class Cost:
    calls: Decimal
    minutes: int
    segments: int
    #: By currency; the provider gives the price some time after sending.
    sms: list[tuple[str, Decimal]]


@dataclass(frozen=True, slots=True)
class Figures:
    since: date
    days: list[Day]
    delivery: list[Delivery]
    funnel: Funnel
    waits: list[Wait]
    cost: Cost


_DAYS = """
    SELECT d::date AS day, count(a.id) AS appointments,
           count(a.id) FILTER (WHERE a.confirmation_sms_sent) AS confirmed,
           round(100.0 * count(a.id) FILTER (WHERE a.confirmation_sms_sent) / nullif(count(a.id), 0), 2)
             AS rate, coalesce(c.moved, 0) AS moved, coalesce(c.cancelled, 0) AS cancelled
      FROM generate_series(CAST(:first AS date), CAST(:last AS date), interval '1 day') d
      LEFT JOIN appointments a ON a.org_id = :org AND a.created_at >= :since AND a.booked_by <> 'import'
           AND (a.created_at AT TIME ZONE CAST(:zone AS text))::date = d::date
      LEFT JOIN (
        SELECT (created_at AT TIME ZONE CAST(:zone AS text))::date AS day,
               count(*) FILTER (WHERE change = 'moved') AS moved,
               count(*) FILTER (WHERE change = 'cancelled') AS cancelled
          FROM appointment_changes WHERE org_id = :org AND created_at >= :since GROUP BY 1) c
             ON c.day = d::date
     GROUP BY d, c.moved, c.cancelled ORDER BY d DESC
"""
_DELIVERY = f"""
    SELECT kind, status, count(*) AS messages FROM sms_messages
     WHERE org_id = :org AND created_at >= :since AND cause <> '{Cause.IMPORTED.value}'
     GROUP BY kind, status ORDER BY kind, count(*) DESC, status
"""
# A request without a call id counts as a call of its own; a call at a later step counts at the earlier steps.
_FUNNEL = f"""
    WITH holds AS (
      SELECT coalesce(call_sid, id::text) AS call, bool_or(code_digest IS NOT NULL) AS code,
             bool_or(status = 'confirmed') AS confirmed
        FROM appointment_holds WHERE org_id = :org AND created_at >= :since GROUP BY 1),
    checks AS (
      SELECT call_id AS call FROM tool_calls
       WHERE org_id = :org AND created_at >= :since AND tool = 'check_availability'
         AND NOT starts_with(call_id, '{BY_SIGNATURE}')
       UNION SELECT call FROM holds)
    SELECT (SELECT count(*) FROM checks) AS checked, count(*) AS held,
           count(*) FILTER (WHERE code OR confirmed) AS code_sent,
           count(*) FILTER (WHERE confirmed) AS confirmed
      FROM holds
"""
_WAITS = """
    SELECT kind, count(*) AS messages,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median,
           percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) AS slowest_tenth
      FROM (SELECT kind, extract(epoch FROM sent_at - created_at)::float AS seconds FROM sms_messages
             WHERE org_id = :org AND created_at >= :since AND sent_at >= created_at) sent
     GROUP BY kind ORDER BY kind
"""
_CALL_COST = """
    SELECT coalesce(sum(cost), 0) AS cost, coalesce(sum(duration), 0) AS seconds FROM calls
     WHERE org_id = :org AND created_at >= :since
"""
_SEGMENTS = """
    SELECT coalesce(sum(segments), 0) FROM sms_messages WHERE org_id = :org AND created_at >= :since
"""
_PRICES = """
    SELECT coalesce(upper(price_unit), 'USD') AS unit, sum(abs(price)) AS price FROM sms_messages
     WHERE org_id = :org AND created_at >= :since AND price IS NOT NULL GROUP BY 1 ORDER BY 1
"""


def read(session: Session, org_id: uuid.UUID, *, days: int, zone: ZoneInfo) -> Figures:
    """The figures of the last `days` days in the clinic's zone, including today."""
    now = clock.now(session).astimezone(zone)
    first = now.date() - timedelta(days=days - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=zone)
    of_days = {"first": first, "last": now.date(), "zone": zone.key}

    def rows(query: str, **values: object) -> list[Row[Any]]:
        return list(session.execute(text(query), {"org": org_id, "since": since} | values))

    [calls] = rows(_CALL_COST)
    [[segments]] = rows(_SEGMENTS)
    [funnel] = rows(_FUNNEL)
    return Figures(
        since=first,
        days=[Day(**row._mapping) for row in rows(_DAYS, **of_days)],
        delivery=[Delivery(**row._mapping) for row in rows(_DELIVERY)],
        funnel=Funnel(**funnel._mapping),
        waits=[Wait(**row._mapping) for row in rows(_WAITS)],
        cost=Cost(
            calls=calls.cost,
            minutes=round(calls.seconds / 60),
            segments=segments,
            sms=[(row.unit, row.price) for row in rows(_PRICES)],
        ),
    )
