"""The changes of a clinic's calendars that its owners make, and what callers are offered from one right now.

Each verb makes one change within a SetUpChange, which says what it has left behind. What could never work is
refused in a sentence (hours.Impossible); the transaction is rolled back.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from models.booking import availability, bookables, services, set_up, set_up_change
from models.booking.hours import Impossible
from models.booking.set_up_change import SetUpChange
from models.clinics import calendars, organizations
from models.clinics.calendars import Calendar

#: Minutes that a hold may last, as the schema has them.
HOLD_MINUTES = (1, 60)

_LONGEST = 80


def add(
    session: Session,
    change: SetUpChange,
    *,
    org_id: uuid.UUID,
    name: str,
    time_zone: str,
    service_id: str | None,
    resource_id: str | None,
    calendar_id: str | None = None,
    hold_minutes: int = 10,
) -> Calendar:
    """Add a calendar of one who is there, or of nobody in particular (None); its id is made if not given.

    Raises Impossible as set_up.add_calendar_of, and if the id is taken or none that an agent could say.
    """
    set_up_change.lock_clinic(session, org_id)
    known = {each.id for each in calendars.list_of_clinic(session, org_id)}
    if calendar_id is None:
        calendar_id = next(each for n in range(1, len(known) + 2) if (each := f"cal-{n}") not in known)
    if not _is_id(calendar_id):
        raise Impossible(f"{calendar_id!r} is no id; it has letters, digits and dashes, such as cal-1")
    if calendar_id in known:
        raise Impossible(f"there is a calendar {calendar_id} already; choose another id")
    _assert_right(name, hold_minutes)
    calendar = set_up.add_calendar_of(
        session,
        org_id=org_id,
        calendar_id=calendar_id,
        name=name,
        time_zone=time_zone,
        service_id=service_id,
        resource_id=resource_id,
        hold_minutes=hold_minutes,
    )
    change.done()
    return calendar


def add_first(session: Session, change: SetUpChange, org_id: uuid.UUID) -> Calendar:
    """Add a calendar of whoever can do the clinic's first service that callers may book.

    Raises Impossible if there is no such service, and if the clinic has a calendar already.
    """
    set_up_change.lock_clinic(session, org_id)
    clinic = organizations.get_or_none(session, org_id)
    if clinic is None:
        raise LookupError(org_id)
    if calendars.list_of_clinic(session, org_id):
        raise Impossible("there is a calendar already")
    for service in services.list_of_clinic(session, org_id):
        able = [each for each in services.who_can_do(session, service) if each.retired_at is None]
        if service.by_phone and able:
            return add(
                session,
                change,
                org_id=org_id,
                name=clinic.name[:_LONGEST],
                time_zone=able[0].time_zone,
                service_id=service.id,
                resource_id=None,
            )
    raise Impossible("no service can be booked by phone yet; add one, and say who does it")


def alter(
    session: Session,
    change: SetUpChange,
    calendar: Calendar,
    *,
    name: str,
    time_zone: str,
    service_id: str | None,
    resource_id: str | None,
    hold_minutes: int,
) -> None:
    """Change a calendar, and nothing of the person whose it is. What is booked stays at its instant.

    Raises Impossible as `add`.
    """
    _assert_right(name, hold_minutes)
    set_up.assert_zone(time_zone)
    if (service_id, resource_id) != (calendar.service_id, calendar.resource_id):
        set_up.point(session, calendar, service_id=service_id, resource_id=resource_id)
    calendar.name, calendar.time_zone, calendar.hold_minutes = name, time_zone, hold_minutes
    change.done()


def _is_id(text: str) -> bool:
    return len(text) <= _LONGEST and text.isascii() and text.translate(_MARKS).isalnum()


_MARKS = str.maketrans("", "", "-_.")


def _assert_right(name: str, hold_minutes: int) -> None:
    least, most = HOLD_MINUTES
    if not name.strip():
        raise Impossible("a calendar needs a name")
    if len(name) > _LONGEST or not name.isprintable():
        raise Impossible(f"{name[:20]!r} is no name; it has at most {_LONGEST} characters that can be shown")
    if not least <= hold_minutes <= most:
        raise Impossible(f"a hold lasts from {least} to {most} minutes, and not {hold_minutes}")


@dataclass(frozen=True, slots=True)
class Offered:
    """The next free times of a calendar's default service, or why callers are offered none."""

    starts: tuple[datetime, ...]
    why_none: str | None = None


def offered(session: Session, calendar: Calendar, now: datetime, *, count: int = 3) -> Offered:
    """What a caller who names no service would be offered from a calendar right now."""
    bookable = bookables.find(session, calendar)
    if bookable is None:
        return Offered((), "nobody does its service")
    if not bookable.by_phone:
        return Offered((), f"callers may not book {bookable.service} by phone; they have to name another")
    slots = availability.find_nearest(session, bookable, wanted=now, now=now, count=count)
    if slots:
        return Offered(tuple(each.starts_at for each in slots))
    return Offered(
        (), f"no time for {bookable.service} is free in the next {availability.LOOK_AHEAD.days} days"
    )
