"""The hours of people, rooms and devices: set, closed on a date, and what stands outside them.

What is booked stands, whatever is changed here: `find_outside` lists the appointments that a change has left outside
somebody's hours, for somebody to ring these patients.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import bookables
from models.booking.appointments import Appointment, AppointmentStatus
from models.booking.occupancies import LONGEST, Occupancy
from models.booking.resources import A_DAY, HoursException, ResourceHours

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

#: The ways to write the end of a day: some people write 23:59, and no clinic closes a minute before midnight.
MIDNIGHT = ("24:00", "23:59")

#: {"mon": [["09:00", "12:30"], ["13:30", "17:00"]], …}; a missing day is closed. A period that ends no later than
#: it begins goes on into the next day; "24:00" is the end of its own day.
Hours = Mapping[str, Sequence[Sequence[str]]]


class Impossible(ValueError):
    """What cannot work, and what to change."""


def replace(
    session: Session,
    org_id: uuid.UUID,
    resource_id: str,
    hours: Hours,
    *,
    rooms: Mapping[str, str] | None = None,
) -> None:
    """Replace the weekly hours of a resource. `rooms`: the room of a person on a weekday, where hours name one.

    Raises Impossible if two periods overlap, also over a midnight.
    """
    periods = sorted(
        (WEEKDAYS.index(day) * A_DAY + begin, WEEKDAYS.index(day) * A_DAY + until, day)
        for day, of_day in hours.items()
        for begin, until in (minutes_of(*period) for period in of_day)
    )
    week = 7 * A_DAY
    if periods:
        first = (periods[0][0] + week, periods[0][1] + week, periods[0][2])
        for (_, until, day), (begins, _, next_day) in pairwise([*periods, first]):
            if begins < until:
                which = day if day == next_day else f"{day} and {next_day}"
                raise Impossible(f"two periods of {which} overlap; write them as one")
    session.execute(
        delete(ResourceHours).where(ResourceHours.org_id == org_id, ResourceHours.resource_id == resource_id)
    )
    for begins, until, day in periods:
        weekday = WEEKDAYS.index(day)
        session.add(
            ResourceHours(
                org_id=org_id,
                resource_id=resource_id,
                weekday=weekday,
                from_minute=begins - weekday * A_DAY,
                until_minute=until - weekday * A_DAY,
                room_id=(rooms or {}).get(day),
            )
        )
    session.flush()


def read(session: Session, org_id: uuid.UUID, resource_id: str) -> dict[str, list[list[str]]]:
    """The weekly hours of a resource, as `replace` takes them."""
    rows = session.scalars(
        select(ResourceHours)
        .where(ResourceHours.org_id == org_id, ResourceHours.resource_id == resource_id)
        .order_by(ResourceHours.weekday, ResourceHours.from_minute)
    )
    hours: dict[str, list[list[str]]] = {}
    for row in rows:
        hours.setdefault(WEEKDAYS[row.weekday], []).append(
            [time_of(row.from_minute), time_of(row.until_minute)]
        )
    return hours


def minutes_of(begin: str, end: str) -> tuple[int, int]:
    """A period in minutes from midnight; one that ends no later than it begins goes on into the next day."""
    first, last = (_minute(each) for each in (begin, MIDNIGHT[0] if end in MIDNIGHT else end))
    return first, last if last > first else last + A_DAY


def _minute(time_of_day: str) -> int:
    hours, _, minutes = time_of_day.partition(":")
    return int(hours) * 60 + int(minutes)


def time_of(minute: int) -> str:
    """The wall-clock time of a minute: 24:00 is the end of the day, and what is later is of the next day."""
    if minute > A_DAY:
        minute -= A_DAY
    return f"{minute // 60:02}:{minute % 60:02}"


def close(
    session: Session,
    org_id: uuid.UUID,
    days: Iterable[date],
    *,
    resource_id: str | None,
    reason: str | None = None,
) -> None:
    """Close whole days, for one resource or for the whole clinic (None). A day that is closed stays so."""
    known = set(closed_days(session, org_id, resource_id))
    for day in sorted(set(days) - known):
        session.add(
            HoursException(
                org_id=org_id,
                resource_id=resource_id,
                day=day,
                is_open=False,
                reason=reason,
                created_at=clock.now(session),
            )
        )
    session.flush()


def open_again(session: Session, org_id: uuid.UUID, days: Iterable[date], *, resource_id: str | None) -> None:
    """Take the closures of whole days back."""
    session.execute(
        delete(HoursException).where(*_whole_days(org_id, resource_id), HoursException.day.in_(list(days)))
    )


def closed_days(session: Session, org_id: uuid.UUID, resource_id: str | None) -> list[date]:
    """The days that are closed as a whole, in order."""
    query = select(HoursException.day).where(*_whole_days(org_id, resource_id)).order_by(HoursException.day)
    return list(session.scalars(query))


def _whole_days(org_id: uuid.UUID, resource_id: str | None) -> tuple[Any, ...]:
    of_whom = (
        HoursException.resource_id.is_(None)
        if resource_id is None
        else HoursException.resource_id == resource_id
    )
    return (
        HoursException.org_id == org_id,
        of_whom,
        ~HoursException.is_open,
        HoursException.from_minute.is_(None),
    )


def find_outside(
    session: Session, org_id: uuid.UUID, resource_id: str, *, now: datetime
) -> list[Appointment]:
    """The confirmed appointments to come that take up a resource outside its hours, in order."""
    timetable = bookables.find_timetable(session, org_id, resource_id)
    if timetable is None:
        return []
    booked = list(
        session.scalars(
            select(Appointment)
            .join(Occupancy, Occupancy.appointment_id == Appointment.id)
            .where(
                Appointment.org_id == org_id,
                Appointment.status == AppointmentStatus.CONFIRMED,
                Appointment.scheduled_at > now,
                Occupancy.org_id == org_id,
                Occupancy.resource_id == resource_id,
                Occupancy.starts_at > now - LONGEST,
            )
            .order_by(Appointment.scheduled_at, Appointment.id)
        )
    )
    return [each for each in booked if not timetable.is_open(each.scheduled_at, each.ends_at)]
