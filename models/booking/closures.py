"""Dates that differ, closed, opened and taken back by the clinic, with the appointments that stand then."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import date, timedelta

from sqlalchemy.orm import Session

from models.base import clock
from models.booking import hours, services, set_up_change, standing
from models.booking.hours import Impossible
from models.booking.resources import HoursException, Resource
from models.booking.set_up_change import SetUpChange
from models.booking.standing import Standing, Why
from models.clinics import calendars

#: How many days one closure or opening may be made for at once.
MOST_DAYS = 367


def today(session: Session, org_id: uuid.UUID) -> date:
    """The date at the clinic."""
    return clock.now(session).astimezone(calendars.zone(session, org_id)).date()


def between(first: date, last: date) -> list[date]:
    """The days from `first` to `last`, both included. Raises Impossible if they do not run forward."""
    days = (last - first).days + 1
    if not 1 <= days <= MOST_DAYS:
        raise Impossible(f"{first} to {last} does not run forward, or runs for more than a year")
    return [first + timedelta(days=number) for number in range(days)]


def differ(
    session: Session,
    org_id: uuid.UUID,
    change: SetUpChange,
    days: Sequence[date],
    *,
    resource_id: str | None,
    is_open: bool = False,
    period: tuple[str, str] | None = None,
    room_id: str | None = None,
    reason: str | None = None,
) -> list[HoursException]:
    """Close or open these days, in order, as hours.differ, and note in `change` what stands then."""
    _lock(session, org_id, resource_id)
    rows = hours.differ(
        session,
        org_id,
        days,
        resource_id=resource_id,
        is_open=is_open,
        period=period,
        room_id=room_id,
        reason=reason,
    )
    change.done(() if is_open else outside(session, org_id, days, resource_id))
    change.notes += _beyond(session, org_id, days[-1])
    return rows


def accept(
    session: Session, org_id: uuid.UUID, change: SetUpChange, holidays: dict[date, str]
) -> list[HoursException]:
    """Close the whole clinic on these days, each with the holiday's name as the reason."""
    _lock(session, org_id, None)
    rows = [
        row
        for day, name in sorted(holidays.items())
        for row in hours.differ(session, org_id, [day], resource_id=None, reason=name)
    ]
    change.done(outside(session, org_id, holidays, None))
    return rows


def take_back(
    session: Session, org_id: uuid.UUID, change: SetUpChange, rows: Sequence[HoursException]
) -> None:
    """Take these back, and note in `change` what was booked in openings among them."""
    taken = [(each.day, each.resource_id) for each in rows if each.is_open]
    for each in rows:
        hours.take_back(session, org_id, each.id)
    change.done([found for day, whose in taken for found in outside(session, org_id, [day], whose)])


def outside(
    session: Session, org_id: uuid.UUID, days: Collection[date], resource_id: str | None
) -> list[Standing]:
    """The appointments of these days that are outside the hours of this resource, or of any (None)."""
    found = standing.find(session, org_id, resource_ids=[resource_id] if resource_id else None, days=days)
    return [each for each in found if Why.OUTSIDE_HOURS in each.why]


def _lock(session: Session, org_id: uuid.UUID, resource_id: str | None) -> None:
    """So that two people at once do not make the same closure twice."""
    if resource_id is None:
        set_up_change.lock_clinic(session, org_id)
    else:
        set_up_change.find_locked(session, Resource, org_id, resource_id)


def _beyond(session: Session, org_id: uuid.UUID, last: date) -> list[str]:
    """What to say of a date on which nothing can be booked yet."""
    days = max((each.horizon_days for each in services.list_of_clinic(session, org_id)), default=None)
    if days is None or last <= today(session, org_id) + timedelta(days=days):
        return []
    return [
        f"patients may book at most {days} days ahead as yet, and {last} is later: it counts when they may"
    ]
