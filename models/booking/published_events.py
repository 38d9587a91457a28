"""What a published calendar says: the appointments and blocks of a diary, as an iCalendar (RFC 5545).

The same diary gives the same bytes. Holds are left out: they last ten minutes, and the programs that read a
calendar ask less often. So are blocks that were read from another calendar, which has them already.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from icalendar import Calendar, Event
from sqlalchemy import Text, bindparam, text
from sqlalchemy.orm import Session

import settings
from models.base import clock, phones
from models.base.erased import MARK
from models.booking import calendar_uids, published, resources
from models.booking.blocks import BlockSource
from models.booking.published import Found
from models.clinics import organizations

#: How long what is over stays, and how long a cancellation is told.
BACK = timedelta(days=30)
AHEAD = timedelta(days=730)

#: Of more entries the oldest are left out.
MOST_EVENTS = 10_000

#: How often programs are asked to read it again.
REFRESH = timedelta(minutes=15)

#: Part of every version. Raise it when the same entries are written differently.
_FORMAT = 1

_BUSY = "Busy"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")


class Entry(NamedTuple):
    """An appointment or a block. The last three are None in a calendar that says only when somebody is busy;
    `with_whom` also in that of one resource.
    """

    uid: str
    appointment_id: uuid.UUID | None
    starts_at: datetime
    ends_at: datetime
    is_cancelled: bool
    #: How often it was moved or cancelled, and when it was last changed or else made.
    sequence: int
    changed_at: datetime
    what: str | None
    patient: str | None
    with_whom: str | None


@dataclass(frozen=True, slots=True)
class Published:
    """What one reading of a published calendar found."""

    name: str
    with_names: bool
    #: Of the clinic: how telephone numbers are written there.
    region: str
    public_base_url: str
    entries: tuple[Entry, ...]
    #: Whether there were more than MOST_EVENTS.
    is_cut: bool

    @property
    def version(self) -> str:
        """The same for the same bytes, and found without making them."""
        facts = (_FORMAT, self.name, self.with_names, self.region, self.public_base_url, self.is_cut)
        return hashlib.sha256(repr((facts, self.entries)).encode()).hexdigest()[:32]


# The names are asked for only where they are published, so that no later mistake can show them.
_ENTRIES = text("""
    SELECT a.id || :ending AS uid, a.id AS appointment_id, a.scheduled_at AS starts_at, a.ends_at,
           a.status = 'cancelled' AS is_cancelled, c.times AS sequence,
           greatest(a.created_at, c.last_at) AS changed_at,
           CASE WHEN :names THEN coalesce(s.name, a.service_type) END AS what,
           CASE WHEN :names AND a.patient_phone NOT LIKE :erased THEN a.patient_name END AS patient,
           CASE WHEN :names AND :resource IS NULL THEN r.name END AS with_whom
      FROM appointments a
      JOIN resources r ON r.org_id = a.org_id AND r.id = a.resource_id
      LEFT JOIN services s ON s.org_id = a.org_id AND s.id = a.service_id
     CROSS JOIN LATERAL (
             SELECT count(*) AS times, max(created_at) AS last_at FROM appointment_changes
              WHERE org_id = a.org_id AND appointment_id = a.id
           ) c
     WHERE a.org_id = :org AND a.scheduled_at > :begin - interval '1 day' AND a.scheduled_at < :end
       AND a.ends_at > :begin
       AND (:resource IS NULL OR a.resource_id = :resource OR :resource = ANY (a.other_resources))
       AND (a.status <> 'cancelled' OR c.last_at >= :begin)
    UNION ALL
    SELECT 'block-' || b.id || :ending, NULL, b.starts_at, b.ends_at, false, 0, b.created_at,
           CASE WHEN :names THEN b.reason END, NULL, CASE WHEN :names AND :resource IS NULL THEN r.name END
      FROM blocks b
      JOIN resources r ON r.org_id = b.org_id AND r.id = b.resource_id
     WHERE b.org_id = :org AND b.ends_at > :begin AND b.starts_at < :end AND b.source = :desk
       AND (:resource IS NULL OR b.resource_id = :resource)
     ORDER BY starts_at DESC, uid LIMIT :most
""").bindparams(bindparam("resource", type_=Text), bindparam("ending", type_=Text))


def read(session: Session, found: Found) -> Published | None:
    """Read what a published calendar says; None if it was revoked meanwhile."""
    calendar = published.get_or_none(session, found.org_id, found.calendar_id)
    clinic = organizations.get_or_none(session, found.org_id)
    if calendar is None or clinic is None:
        return None
    resource = calendar.resource_id and resources.get_or_none(session, found.org_id, calendar.resource_id)
    # Whole days, so that a diary in which nothing changes is the same all day.
    today = clock.now(session).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    values = {
        "org": found.org_id,
        "ending": calendar_uids.ending(found.org_id),
        "resource": calendar.resource_id,
        "names": calendar.with_names,
        "begin": today - BACK,
        "end": today + AHEAD,
        "erased": f"{MARK}%",
        "desk": BlockSource.DESK.value,
        "most": MOST_EVENTS + 1,
    }
    rows = session.execute(_ENTRIES, values).all()
    return Published(
        name=f"{clinic.name}: {resource.name}" if resource else clinic.name,
        with_names=calendar.with_names,
        region=clinic.region,
        public_base_url=settings.get().public_base_url.rstrip("/"),
        entries=tuple(Entry(*row) for row in reversed(rows[:MOST_EVENTS])),
        is_cut=len(rows) > MOST_EVENTS,
    )


def write(read: Published) -> bytes:
    """The iCalendar, in UTF-8."""
    calendar = Calendar()
    calendar.add("prodid", "-//Holdline//Published calendar//EN")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    name = _one_line(read.name)
    calendar.add("name", name)
    calendar.add("x-wr-calname", name)
    calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", f"PT{REFRESH // timedelta(minutes=1)}M")
    if read.is_cut:
        calendar.add("x-holdline-comment", f"Only the last {MOST_EVENTS} entries are here.")
    for entry in read.entries:
        calendar.add_component(_event(read, entry))
    written: bytes = calendar.to_ical()
    return written


def _event(read: Published, entry: Entry) -> Event:
    event = Event()
    event.add("uid", entry.uid)
    event.add("sequence", entry.sequence)
    event.add("dtstamp", entry.changed_at)
    event.add("last-modified", entry.changed_at)
    event.add("dtstart", entry.starts_at)
    event.add("dtend", entry.ends_at)
    event.add("summary", _summary(read, entry))
    event.add("status", "CANCELLED" if entry.is_cancelled else "CONFIRMED")
    # Some programs show what is cancelled as if it stood; at least it takes up no time there.
    event.add("transp", "TRANSPARENT" if entry.is_cancelled else "OPAQUE")
    event.add("class", "PRIVATE" if read.with_names else "PUBLIC")
    if entry.appointment_id:
        event.add(
            "description", f"{read.public_base_url}/dashboard/diary/appointments/{entry.appointment_id}"
        )
    return event


def _summary(read: Published, entry: Entry) -> str:
    said = _BUSY
    if read.with_names:
        about = ", ".join(each for each in (entry.what, entry.patient) if each) or "Appointment"
        # People write a number beside a name, or into the reason of a block.
        about = phones.without_numbers(about, region=read.region)
        said = f"{entry.with_whom}: {about}" if entry.with_whom else about
    if entry.is_cancelled:
        said = f"Cancelled: {said}" if read.with_names else "Cancelled"
    return _one_line(said)


def _one_line(words: str) -> str:
    """Without line breaks and other control characters, which programs read differently."""
    return _CONTROL.sub(" ", words).strip()
