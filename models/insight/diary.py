"""The diary as the staff see it: appointments, holds, blocks and hours of people, rooms and devices."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base.erased import is_erased
from models.booking import bookables, resources
from models.booking.openings import Span, instant
from models.booking.resources import Resource, ResourceKind
from models.messaging.states import Cause

#: The most days that are read at once.
MOST_DAYS = 42


class EntryKind(StrEnum):
    APPOINTMENT = "appointment"
    HOLD = "hold"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that takes up time; `starts_at` and `ends_at` leave out the buffers.

    `title` is the patient's name, or the reason of a block. `first` is the one whom it is with, `others` what
    it needs besides.
    """

    kind: EntryKind
    id: uuid.UUID
    first: str
    others: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    minutes_before: int
    minutes_after: int
    title: str
    phone: str | None
    service: str | None
    #: Of an appointment: confirmed, arrived, completed, no_show.
    status: str | None
    #: The state of its latest confirmation.
    sms: str | None
    #: Until when a hold lasts.
    expires_at: datetime | None
    #: Why it was put beside another.
    overruled: str | None


@dataclass(frozen=True, slots=True)
class Column:
    """A person, room or device, and when it is open."""

    resource: Resource
    open: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Diary:
    zone: ZoneInfo
    first: date
    days: int
    columns: tuple[Column, ...]
    entries: tuple[Entry, ...]


#: The state of a confirmation. One that was imported was never to be sent, which is no trouble.
_SMS = f"CASE WHEN m.cause = '{Cause.IMPORTED.value}' THEN 'imported' ELSE m.status END"

# The occupancies of the time lead to what takes it up, so that a buffer that reaches into it counts, too.
_ENTRIES = text(f"""
    WITH taken AS (
        SELECT DISTINCT o.appointment_id, o.hold_id FROM occupancies o
         WHERE o.org_id = :org AND o.resource_id = ANY (:resources)
           AND o.starts_at > :begin - interval '24 hours' AND o.starts_at < :end AND o.ends_at > :begin
           AND o.block_id IS NULL
    )
    SELECT 'appointment' AS kind, a.id, a.resource_id AS first, a.other_resources AS others,
           a.scheduled_at AS starts_at, a.ends_at, a.minutes_before, a.minutes_after, a.patient_name AS title,
           a.patient_phone AS phone, coalesce(s.name, a.service_type) AS service, a.status, {_SMS} AS sms,
           NULL::timestamptz AS expires_at, a.overruled
      FROM taken t
      JOIN appointments a ON a.org_id = :org AND a.id = t.appointment_id
      LEFT JOIN services s ON s.org_id = a.org_id AND s.id = a.service_id
      LEFT JOIN sms_messages m ON m.org_id = a.org_id AND m.id = a.confirmation_message_id
    UNION ALL
    SELECT 'hold', h.id, h.resource_id, h.other_resources, h.starts_at, h.ends_at, h.minutes_before,
           h.minutes_after, h.patient_name, h.patient_phone, s.name, NULL, NULL, h.expires_at, NULL
      FROM taken t
      JOIN appointment_holds h ON h.org_id = :org AND h.id = t.hold_id
      LEFT JOIN services s ON s.org_id = h.org_id AND s.id = h.service_id
     WHERE hold_is_live(h.status, h.expires_at, app_clock())
    UNION ALL
    SELECT 'block', b.id, b.resource_id, '{{}}', b.starts_at, b.ends_at, 0, 0, b.reason, NULL, NULL, NULL,
           NULL, NULL, NULL
      FROM blocks b
     WHERE b.org_id = :org AND b.resource_id = ANY (:resources) AND b.ends_at > :begin AND b.starts_at < :end
     ORDER BY starts_at, first, id
""")


def read(
    session: Session, org_id: uuid.UUID, *, zone: ZoneInfo, first: date, days: int, only: Sequence[str] = ()
) -> Diary:
    """The diary of `days` local days from `first` on, at most MOST_DAYS.

    `only`: of these people, rooms and devices, else of all.
    """
    days = max(1, min(days, MOST_DAYS))
    last = first + timedelta(days=days - 1)
    asked = [
        each
        for each in resources.list_of_clinic(session, org_id, retired=True)
        if not only or each.id in only
    ]
    values = {
        "org": org_id,
        "resources": [each.id for each in asked],
        "begin": instant(first, 0, zone),
        "end": instant(last + timedelta(days=1), 0, zone),
    }
    entries = tuple(
        Entry(**dict(row._mapping) | {"kind": EntryKind(row.kind), "others": tuple(row.others)})
        for row in session.execute(_ENTRIES, values)
    )
    # What is booked with somebody who has left stands, so their column is there as long as it has something.
    busy = {each for entry in entries for each in (entry.first, *entry.others)}
    shown = [each for each in asked if each.retired_at is None or each.id in busy]
    shown.sort(key=lambda each: (list(ResourceKind).index(each.kind), each.name, each.id))
    yesterday = first - timedelta(days=1)
    hours = bookables.find_timetables(session, org_id, [each.id for each in shown], since=yesterday)
    tomorrow = last + timedelta(days=1)  # in the east it begins before `last` is over in `zone`
    columns = tuple(Column(each, tuple(hours[each.id].spans(yesterday, tomorrow))) for each in shown)
    return Diary(zone, first, days, columns, entries)


@dataclass(frozen=True, slots=True)
class Appointed:
    """An appointment of any status. `with_whom` is a name, `also` the names of the room and the device."""

    id: uuid.UUID
    calendar_id: str
    contact_id: uuid.UUID
    name: str
    phone: str
    service: str | None
    said: str | None
    resource_id: str
    with_whom: str
    also: list[str]
    starts_at: datetime
    ends_at: datetime
    status: str
    overruled: str | None
    booked_by: str
    booker: str | None
    #: The name of the member of staff who booked it.
    booker_name: str | None
    booked_at: datetime
    call_id: str | None
    message_id: uuid.UUID
    sms: str
    sms_why: str | None
    #: How many notes there are about the patient.
    notes: int

    @property
    def is_erased(self) -> bool:
        return is_erased(self.phone)


_ONE = text(f"""
    SELECT a.id, a.calendar_id, a.contact_id, a.patient_name AS name, a.patient_phone AS phone,
           s.name AS service, a.service_type AS said, a.resource_id, r.name AS with_whom,
           ARRAY(SELECT o.name FROM resources o WHERE o.org_id = a.org_id AND o.id = ANY (a.other_resources)
                  ORDER BY o.name) AS also,
           a.scheduled_at AS starts_at, a.ends_at, a.status, a.overruled, a.booked_by, a.booker,
           u.name AS booker_name, a.created_at AS booked_at, c.id AS call_id, m.id AS message_id,
           {_SMS} AS sms, m.error_reason AS sms_why,
           (SELECT count(*) FROM patient_notes n WHERE n.org_id = a.org_id AND n.contact_id = a.contact_id)
             AS notes
      FROM appointments a
      JOIN resources r ON r.org_id = a.org_id AND r.id = a.resource_id
      JOIN sms_messages m ON m.org_id = a.org_id AND m.id = a.confirmation_message_id
      LEFT JOIN services s ON s.org_id = a.org_id AND s.id = a.service_id
      LEFT JOIN calls c ON c.org_id = a.org_id AND c.id = a.call_sid
      LEFT JOIN staff_users u ON u.org_id = a.org_id AND a.booker = 'staff ' || u.email
     WHERE a.org_id = :org AND a.id = :id
""")


def find(session: Session, org_id: uuid.UUID, appointment_id: uuid.UUID) -> Appointed | None:
    """One appointment with all that its page shows; None if there is none."""
    row = session.execute(_ONE, {"org": org_id, "id": appointment_id}).one_or_none()
    return Appointed(**row._mapping) if row else None
