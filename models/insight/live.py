"""What goes on in a clinic now, for the staff's live page, and a version that changes with it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import changes, unproved_holds
from models.booking.changes import TIME_LEFT, ChangesMade
from models.booking.openings import instant
from models.booking.unproved_holds import Asker
from models.calls.calls import BY_SIGNATURE
from models.clinics import calendars
from models.insight import clinic_limits
from models.insight.clinic_limits import Used

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CallUnderWay:
    id: str
    number: str | None
    since: datetime
    #: The caller's name, if the call has held a slot.
    name: str | None


@dataclass(frozen=True, slots=True)
class LiveHold:
    id: uuid.UUID
    name: str
    phone: str
    calendar: str
    starts_at: datetime
    expires_at: datetime
    code_sent: bool
    #: Whether the call came from the patient's number; otherwise the caller only said the number.
    own: bool


@dataclass(frozen=True, slots=True)
class Booking:
    id: uuid.UUID
    name: str
    phone: str
    service: str | None
    with_whom: str
    starts_at: datetime
    status: str
    booked_at: datetime
    #: The state of its latest SMS: of the confirmation, or of the cancellation if it was cancelled.
    sms: str
    #: When it was to begin before it was last moved, if it was moved.
    moved_from: datetime | None


@dataclass(frozen=True, slots=True)
class Visit:
    """An appointment that takes place today."""

    id: uuid.UUID
    name: str
    phone: str
    service: str | None
    with_whom: str
    starts_at: datetime
    status: str


@dataclass(frozen=True, slots=True)
class Today:
    """The appointments of the clinic's local day: the first rows in order, and how many there are of each."""

    rows: list[Visit]
    #: All that were not cancelled.
    total: int
    to_come: int
    #: Confirmed ones that have begun, of which nobody noted whether the patient came.
    not_noted: int
    arrived: int
    completed: int
    no_show: int
    cancelled: int

    @property
    def listed(self) -> int:
        return self.total + self.cancelled


@dataclass(frozen=True, slots=True)
class HotLead:
    call_id: str
    name: str | None
    phone: str | None
    score: int
    service: str | None
    why: str | None
    #: Whether a person should ring: not if the appointment is booked and the caller asked for nothing else.
    call_back: bool
    scored_at: datetime
    called_back_at: datetime | None
    called_back_by: str | None
    #: When the SMS to the owner went out; else why there is none.
    told_at: datetime | None
    not_told: str | None
    #: The state of that SMS, and when it is tried next; null if there is no SMS.
    sms: str | None
    sms_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """One list of the page: its first rows, and how many rows there are, shown or not."""

    rows: list[T]
    total: int
    #: How many of all rows are still of interest: bookings not cancelled, leads to ring back.
    open: int


@dataclass(frozen=True, slots=True)
class Live:
    #: Read just before the lists: they may contain what was committed after it.
    version: str
    now: datetime
    calls: Part[CallUnderWay]
    holds: Part[LiveHold]
    #: The callers with several unproved holds.
    askers: list[Asker]
    today: Today
    bookings: Part[Booking]
    leads: Part[HotLead]
    changes: ChangesMade
    #: The limits that the clinic has half or nearly used up.
    low: list[Used]


#: Rows of each list by default, and the most that may be asked for.
SHOWN = 50
MOST = 10_000


#: A call counts as under way for at most two hours, in case nothing more is heard of it; a call that we know
#: only by its tool calls for three minutes after the last tool call, because its end is not reported.
_UNDER_WAY = f"""
    SELECT c.id, c.caller_number AS number, coalesce(c.started_at, c.created_at) AS since
      FROM calls c
     WHERE c.org_id = :org AND c.status IN ('queued', 'ringing', 'in-progress', 'forwarding')
       AND c.created_at > app_clock() - interval '2 hours'
    UNION ALL
    SELECT t.call_id, NULL, min(t.created_at)
      FROM tool_calls t
     WHERE t.org_id = :org AND t.created_at > app_clock() - interval '3 minutes'
       AND NOT starts_with(t.call_id, '{BY_SIGNATURE}')
       AND NOT EXISTS (SELECT FROM calls c WHERE c.org_id = t.org_id AND c.id = t.call_id)
     GROUP BY t.call_id
"""

_CALLS = f"""
    SELECT u.id, coalesce(u.number, h.patient_phone) AS number, u.since, h.patient_name AS name
      FROM ({_UNDER_WAY}) u
      LEFT JOIN LATERAL (
        SELECT patient_name, patient_phone FROM appointment_holds
         WHERE org_id = :org AND call_sid = u.id ORDER BY created_at DESC LIMIT 1) h ON true
"""

_HOLDS = """
    SELECT h.id, h.patient_name AS name, h.patient_phone AS phone, k.name AS calendar, h.starts_at,
           h.expires_at, h.code_digest IS NOT NULL AS code_sent, h.number_is_callers AS own
      FROM appointment_holds h
      JOIN calendars k ON k.org_id = h.org_id AND k.id = h.calendar_id
     WHERE h.org_id = :org AND hold_is_live(h.status, h.expires_at, app_clock())
"""

# Through the confirmations, which have an index on their time: every appointment is made with a confirmation.
_BOOKINGS = """
    SELECT a.id, a.patient_name AS name, a.patient_phone AS phone, a.service_type AS service,
           r.name AS with_whom, a.scheduled_at AS starts_at, a.status, a.created_at AS booked_at,
           now_sms.status AS sms,
           (SELECT was_at FROM appointment_changes WHERE appointment_id = a.id AND change = 'moved'
             AND was_at <> is_at ORDER BY id DESC LIMIT 1) AS moved_from
      FROM sms_messages m
      JOIN appointments a ON a.id = m.appointment_id AND a.org_id = m.org_id AND a.created_at >= :today
           AND a.booked_by <> 'import'
      JOIN resources r ON r.org_id = a.org_id AND r.id = a.resource_id
      JOIN sms_messages now_sms ON now_sms.id = coalesce(
           CASE a.status WHEN 'cancelled' THEN
             (SELECT x.id FROM sms_messages x WHERE x.appointment_id = a.id AND x.kind = 'cancellation'
               ORDER BY x.created_at DESC LIMIT 1) END, a.confirmation_message_id)
     WHERE m.org_id = :org AND m.kind = 'confirmation' AND m.created_at >= :today
     GROUP BY a.id, r.name, now_sms.status
"""

# The cancelled ones come last, so that they take no place from those who are expected.
_TODAY = text("""
    SELECT a.id, a.patient_name AS name, a.patient_phone AS phone,
           coalesce(a.service_type, s.name) AS service, r.name AS with_whom,
           a.scheduled_at AS starts_at, a.status,
           count(*) FILTER (WHERE a.status <> 'cancelled') OVER () AS total,
           count(*) FILTER (WHERE a.status = 'confirmed' AND a.scheduled_at > app_clock()) OVER () AS to_come,
           count(*) FILTER (WHERE a.status = 'confirmed' AND a.scheduled_at <= app_clock()) OVER ()
             AS not_noted,
           count(*) FILTER (WHERE a.status = 'arrived') OVER () AS arrived,
           count(*) FILTER (WHERE a.status = 'completed') OVER () AS completed,
           count(*) FILTER (WHERE a.status = 'no_show') OVER () AS no_show,
           count(*) FILTER (WHERE a.status = 'cancelled') OVER () AS cancelled
      FROM appointments a
      JOIN resources r ON r.org_id = a.org_id AND r.id = a.resource_id
      LEFT JOIN services s ON s.org_id = a.org_id AND s.id = a.service_id
     WHERE a.org_id = :org AND a.scheduled_at >= :today AND a.scheduled_at < :tomorrow
     ORDER BY a.status = 'cancelled', a.scheduled_at, r.name, a.id LIMIT :most
""")
_COUNTS = ("total", "to_come", "not_noted", "arrived", "completed", "no_show", "cancelled")

_LEADS = """
    SELECT c.id AS call_id, coalesce(l.lead_name, p.name) AS name,
           coalesce(l.lead_phone, c.caller_number) AS phone, c.lead_score AS score,
           c.lead_service AS service,
           (SELECT r ->> 'why' FROM jsonb_array_elements(c.lead_reasons) WITH ORDINALITY e(r, place)
             WHERE r ->> 'code' <> 'base' ORDER BY place LIMIT 1) AS why,
           coalesce(c.lead_call_back, true) AS call_back, c.scored_at, c.called_back_at, c.called_back_by,
           l.alert_sent_at AS told_at, l.suppressed_reason AS not_told,
           m.status AS sms, m.next_attempt_at AS sms_due_at
      FROM calls c
      LEFT JOIN hot_lead_alerts l ON l.org_id = c.org_id AND l.call_id = c.id
      LEFT JOIN sms_messages m ON m.org_id = l.org_id AND m.id = l.message_id
      LEFT JOIN contacts p ON p.org_id = c.org_id AND p.phone = c.caller_number
     WHERE c.org_id = :org AND c.lead_band = 'hot' AND c.created_at > app_clock() - interval '24 hours'
       AND c.erased_at IS NULL
"""

_TO_RING = "call_back AND called_back_at IS NULL"

# The figures count every row of the list, shown or not.
_PART = """
    SELECT part.*, count(*) OVER () AS total, count(*) FILTER (WHERE {open}) OVER () AS open
      FROM ({query}) part ORDER BY {order} LIMIT :most
"""

# Every change of a row gives it another xmin, whatever code makes the change: no code has to count changes.
# The staff's sessions are included because a stream must end with its session, which it checks on a change.
_VERSION = text(f"""
    SELECT md5(concat_ws('/', :today,
      (SELECT string_agg(id, ',' ORDER BY id) FROM ({_UNDER_WAY}) u),
      (SELECT string_agg(id || ':' || xmin::text, ',' ORDER BY id) FROM calls
        WHERE org_id = :org AND created_at > app_clock() - interval '24 hours'),
      (SELECT string_agg(id::text || ':' || xmin::text, ',' ORDER BY id) FROM appointment_holds
        WHERE org_id = :org AND hold_is_live(status, expires_at, app_clock())),
      (SELECT string_agg(m.id::text || ':' || m.xmin::text || ':' || a.xmin::text, ',' ORDER BY m.id)
         FROM sms_messages m JOIN appointments a ON a.id = m.appointment_id AND a.org_id = m.org_id
        WHERE m.org_id = :org AND m.kind = 'confirmation' AND m.created_at >= :today
          AND a.booked_by <> 'import'),
      (SELECT string_agg(concat_ws(':', id, xmin::text, scheduled_at <= app_clock()), ',' ORDER BY id)
         FROM appointments
        WHERE org_id = :org AND scheduled_at >= :today AND scheduled_at < :tomorrow),
      (SELECT string_agg(concat_ws(':', c.id, a.xmin::text, x.xmin::text, {TIME_LEFT}), ','
                         ORDER BY c.id, x.id)
         FROM appointment_changes c JOIN appointments a ON a.id = c.appointment_id AND a.org_id = c.org_id
         LEFT JOIN sms_messages x ON x.appointment_id = c.appointment_id AND x.kind = 'cancellation'
        WHERE c.org_id = :org AND c.created_at >= :today),
      (SELECT string_agg(concat_ws(':', l.id, l.xmin::text, m.xmin::text), ',' ORDER BY l.id)
         FROM hot_lead_alerts l LEFT JOIN sms_messages m ON m.org_id = l.org_id AND m.id = l.message_id
        WHERE l.org_id = :org AND l.created_at > app_clock() - interval '24 hours'),
      (SELECT string_agg(concat_ws(':', id, session_epoch, disabled_at, name), ',' ORDER BY id)
         FROM staff_users WHERE org_id = :org),
      (SELECT string_agg(concat_ws(':', id, xmin::text), ',' ORDER BY id) FROM resources WHERE org_id = :org),
      (SELECT string_agg(concat_ws(':', id, xmin::text), ',' ORDER BY id) FROM services WHERE org_id = :org),
      (SELECT string_agg(concat_ws(':', id, xmin::text), ',' ORDER BY id) FROM calendars WHERE org_id = :org),
      (SELECT string_agg(id::text, ',' ORDER BY id) FROM staff_sessions WHERE org_id = :org),
      cast(:low AS text)
    ))
""")


def version(session: Session, org_id: uuid.UUID) -> str:
    """Differs whenever a call, hold, appointment, booking, change, alert or notice that `read` gives has
    changed, and whenever the session of a member of staff may have ended.
    """
    day = _day(session, org_id)
    return _version(session, org_id, day, clinic_limits.find_low(session, org_id))


def _version(session: Session, org_id: uuid.UUID, day: _Day, low: Iterable[Used]) -> str:
    levels = ",".join(f"{each.limit.name}:{each.level}" for each in low)
    values = {"org": org_id, "today": day.begins, "tomorrow": day.ends, "low": levels}
    return str(session.scalar(_VERSION, values))


def read(session: Session, org_id: uuid.UUID, *, most: int = SHOWN) -> Live:
    """The state now, with at most `most` rows of each list."""
    day = _day(session, org_id)
    low = clinic_limits.find_low(session, org_id)

    def part(kind: type[T], query: str, *, order: str, open_: str = "true") -> Part[T]:
        values: dict[str, object] = {"org": org_id, "most": most}
        if ":today" in query:
            values["today"] = day.begins
        statement = text(_PART.format(query=query, order=order, open=open_))
        rows = [dict(row) for row in session.execute(statement, values).mappings()]
        counts = [(row.pop("total"), row.pop("open")) for row in rows]
        return Part([kind(**row) for row in rows], *(counts[0] if counts else (0, 0)))

    return Live(
        version=_version(session, org_id, day, low),
        now=day.now,
        calls=part(CallUnderWay, _CALLS, order="since DESC, id"),
        holds=part(LiveHold, _HOLDS, order="expires_at, id"),
        askers=unproved_holds.list_askers(session, org_id, most=most),
        today=_read_today(session, org_id, day, most),
        bookings=part(Booking, _BOOKINGS, order="booked_at DESC, id", open_="status <> 'cancelled'"),
        leads=part(HotLead, _LEADS, order="scored_at DESC, call_id", open_=_TO_RING),
        changes=changes.made_since(session, org_id, day.begins, most=most),
        low=low,
    )


def _read_today(session: Session, org_id: uuid.UUID, day: _Day, most: int) -> Today:
    values = {"org": org_id, "today": day.begins, "tomorrow": day.ends, "most": most}
    rows = [dict(row) for row in session.execute(_TODAY, values).mappings()]
    counts = [{name: row.pop(name) for name in _COUNTS} for row in rows]
    return Today([Visit(**row) for row in rows], **(counts[0] if counts else dict.fromkeys(_COUNTS, 0)))


@dataclass(frozen=True, slots=True)
class _Day:
    """The database's time, and the two midnights around it in the clinic's zone."""

    now: datetime
    begins: datetime
    ends: datetime


def _day(session: Session, org_id: uuid.UUID) -> _Day:
    now, zone = clock.now(session), calendars.zone(session, org_id)
    today = now.astimezone(zone).date()
    # If the clocks go back over midnight the day has two midnights, and begins at the first.
    return _Day(now, instant(today, 0, zone), instant(today + timedelta(days=1), 0, zone))
