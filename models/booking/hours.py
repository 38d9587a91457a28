"""The hours of people, rooms and devices: set for the week, and closed or opened besides on a date.

What is booked stands, whatever is changed here: models/booking/standing.py lists the appointments that a
change has left outside somebody's hours, so that their patients are rung.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import resources
from models.booking.openings import instant
from models.booking.resources import A_DAY, HoursException, ResourceHours, ResourceKind
from models.clinics import calendars

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEKDAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

#: The ways to write the end of a day: some people write 23:59, and no clinic closes a minute before midnight.
MIDNIGHT = ("24:00", "23:59")

#: {"mon": [["09:00", "12:30", "room-1"], ["13:30", "17:00"]], …}; a missing day is closed, and the third word
#: is the room in which a person works then, if one is named. A period that ends no later than it begins goes
#: on into the next day; "24:00" is the end of its own day.
Hours = Mapping[str, Sequence[Sequence[str]]]

#: How many days ahead a date may differ: as far as any service can be booked.
FARTHEST_DAYS = 3660

#: Minutes. Longer hours over midnight are probably a slip, such as 09:00-05:00 for 09:00-17:00.
_LONGEST_NIGHT = 12 * 60

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")


class Impossible(ValueError):
    """What cannot work, and what to change."""


# --- the week -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class _Weekly:
    """A period of the week; the minutes count from Monday's midnight."""

    begins: int
    until: int
    day: str
    room: str | None


def replace(session: Session, org_id: uuid.UUID, resource_id: str, hours: Hours) -> None:
    """Replace the weekly hours of a resource.

    Raises Impossible if two periods overlap, also over a midnight, or if one names what is no room.
    """
    periods = sorted(_weekly(day, *period) for day, of_day in hours.items() for period in of_day)
    _assert_apart(periods)
    for room in sorted({each.room for each in periods if each.room}):
        _assert_room_of(session, org_id, resource_id, room)
    session.execute(
        delete(ResourceHours).where(ResourceHours.org_id == org_id, ResourceHours.resource_id == resource_id)
    )
    for each in periods:
        weekday = WEEKDAYS.index(each.day)
        session.add(
            ResourceHours(
                org_id=org_id,
                resource_id=resource_id,
                weekday=weekday,
                from_minute=each.begins - weekday * A_DAY,
                until_minute=each.until - weekday * A_DAY,
                room_id=each.room,
            )
        )
    session.flush()


def _weekly(day: str, begin: str, end: str, room: str | None = None) -> _Weekly:
    midnight = WEEKDAYS.index(day) * A_DAY
    begins, until = minutes_of(begin, end)
    return _Weekly(midnight + begins, midnight + until, day, room)


def _assert_apart(periods: list[_Weekly]) -> None:
    if not periods:
        return
    begins = [*(each.begins for each in periods[1:]), periods[0].begins + 7 * A_DAY]
    for each, following, begin in zip(periods, [*periods[1:], periods[0]], begins, strict=True):
        if begin < each.until:
            days = dict.fromkeys(WEEKDAY_NAMES[WEEKDAYS.index(one.day)] for one in (each, following))
            which = " and ".join(days)
            raise Impossible(f"two periods of {which} overlap; write them as one")


def read(session: Session, org_id: uuid.UUID, resource_id: str) -> dict[str, list[list[str]]]:
    """The weekly hours of a resource, as `replace` takes them."""
    rows = session.scalars(
        select(ResourceHours)
        .where(ResourceHours.org_id == org_id, ResourceHours.resource_id == resource_id)
        .order_by(ResourceHours.weekday, ResourceHours.from_minute)
    )
    hours: dict[str, list[list[str]]] = {}
    for row in rows:
        period = [time_of(row.from_minute), time_of(row.until_minute)]
        hours.setdefault(WEEKDAYS[row.weekday], []).append([*period, *filter(None, [row.room_id])])
    return hours


def grouped(hours: Hours) -> list[tuple[list[str], list[list[str]]]]:
    """The weekdays in order, neighbours with equal hours together, each with its periods; none is closed."""
    groups: list[tuple[list[str], list[list[str]]]] = []
    for day in WEEKDAYS:
        periods = [
            [begin, MIDNIGHT[0] if end in MIDNIGHT else end, *room]
            for begin, end, *room in hours.get(day) or []
        ]
        if groups and groups[-1][1] == periods:
            groups[-1][0].append(day)
        else:
            groups.append(([day], periods))
    return groups


def assert_no_slip(begin: str, end: str) -> None:
    """Raises Impossible for a period, as a person wrote it, that is no time or probably a slip."""
    first, last = minutes_of(begin, end)
    if begin == end != "00:00" or (last > A_DAY and last - first > _LONGEST_NIGHT):
        raise Impossible(
            "it ends before it begins; hours may go on over midnight for 12 hours, and for longer write each"
            " day's part: mon 17:00-24:00, tue 00:00-09:00"
        )


def minutes_of(begin: str, end: str) -> tuple[int, int]:
    """A period in minutes from midnight; one that ends no later than it begins goes on into the next day.

    Raises Impossible for what is no time of day.
    """
    first, last = (_minute(each) for each in (begin, MIDNIGHT[0] if end in MIDNIGHT else end))
    if first >= A_DAY:
        raise Impossible("hours begin by 23:59")
    return first, last if last > first else last + A_DAY


def _minute(time_of_day: str) -> int:
    if not _TIME.fullmatch(time_of_day):
        raise Impossible(f"{time_of_day!r} is no time of day; write 09:00, and 24:00 for the end of a day")
    hours, _, minutes = time_of_day.partition(":")
    return int(hours) * 60 + int(minutes)


def time_of(minute: int) -> str:
    """The wall-clock time of a minute: 24:00 is the end of the day, and what is later is of the next day."""
    if minute > A_DAY:
        minute -= A_DAY
    return f"{minute // 60:02}:{minute % 60:02}"


def _assert_room_of(session: Session, org_id: uuid.UUID, resource_id: str | None, room_id: str) -> None:
    """Raises Impossible unless hours of this resource may name this room."""
    room = resources.get_or_none(session, org_id, room_id)
    if room is None:
        raise Impossible(f"there is no room {room_id}; add it first")
    if room.kind is not ResourceKind.ROOM:
        raise Impossible(f"{room_id} is a {room.kind} and no room")
    if room.retired_at:
        raise Impossible(f"the room {room_id} is retired; name another, or take it back first")
    whose = resource_id and resources.get_or_none(session, org_id, resource_id)
    if not whose or whose.kind is not ResourceKind.PERSON:
        raise Impossible("only the hours of a person name a room; leave the room out")


# --- dates on which hours differ ------------------------------------------------------------------


def differ(
    session: Session,
    org_id: uuid.UUID,
    days: Collection[date],
    *,
    resource_id: str | None,
    is_open: bool = False,
    period: tuple[str, str] | None = None,
    room_id: str | None = None,
    reason: str | None = None,
) -> list[HoursException]:
    """Close these days or a part of each, or open a period besides; of one resource, or of the clinic (None).

    What is there already is not made twice. Returns all that these days have of it now, in order. Raises
    Impossible, and makes nothing, for a day that is over or too far ahead, an opening without a period, a
    time that a day does not have, and a room that the period cannot be in.
    """
    if is_open and period is None:
        raise Impossible("an opening needs its hours, such as 09:00-12:00")
    whose = resource_id and resources.get_or_none(session, org_id, resource_id)
    if resource_id and not whose:
        raise Impossible(f"there is no {resource_id}")
    zone = ZoneInfo(whose.time_zone) if whose else calendars.zone(session, org_id)
    minutes = minutes_of(*period) if period else (None, None)
    _assert_days(days, minutes, zone, today=clock.now(session).astimezone(zone).date())
    if room_id is not None:
        if not is_open:
            raise Impossible("only an opening is in a room; leave the room out, or close the room itself")
        _assert_room_of(session, org_id, resource_id, room_id)
    return _add(
        session,
        org_id,
        days,
        resource_id,
        is_open=is_open,
        minutes=minutes,
        room_id=room_id,
        reason=reason,
    )


def _add(
    session: Session,
    org_id: uuid.UUID,
    days: Collection[date],
    resource_id: str | None,
    *,
    is_open: bool = False,
    minutes: tuple[int | None, int | None] = (None, None),
    room_id: str | None = None,
    reason: str | None = None,
) -> list[HoursException]:
    begins, until = minutes
    same = (
        HoursException.org_id == org_id,
        HoursException.resource_id.is_not_distinct_from(resource_id),
        HoursException.is_open == is_open,
        HoursException.from_minute.is_not_distinct_from(begins),
        HoursException.until_minute.is_not_distinct_from(until),
        HoursException.room_id.is_not_distinct_from(room_id),
        HoursException.day.in_(list(days)),
    )
    known = set(session.scalars(select(HoursException.day).where(*same)))
    for day in sorted(set(days) - known):
        session.add(
            HoursException(
                org_id=org_id,
                resource_id=resource_id,
                day=day,
                is_open=is_open,
                from_minute=begins,
                until_minute=until,
                room_id=room_id,
                reason=reason,
                created_at=clock.now(session),
            )
        )
    session.flush()
    return list(session.scalars(select(HoursException).where(*same).order_by(HoursException.day)))


def _assert_days(
    days: Collection[date], minutes: tuple[int | None, int | None], zone: ZoneInfo, *, today: date
) -> None:
    """Raises Impossible for a day that is over or too far ahead, or that does not have one of the times."""
    if not days:
        raise Impossible("give a day")
    if min(days) < today:
        raise Impossible(f"{min(days)} is over; give a day from today on")
    if max(days) > today + timedelta(days=FARTHEST_DAYS):
        raise Impossible(f"{max(days)} is more than ten years ahead, too far to book; look at the year")
    for day in days:
        for minute in minutes:
            if minute is None:
                continue
            moment = instant(day, minute, zone).astimezone(zone)
            if moment.hour * 60 + moment.minute != minute % A_DAY:
                raise Impossible(
                    f"{time_of(minute)} does not exist on {day} in {zone.key}: the clocks skip it;"
                    f" the next time there is {moment:%H:%M}"
                )


def take_back(session: Session, org_id: uuid.UUID, exception_id: uuid.UUID) -> HoursException | None:
    """Take one date's difference back, and return what it was; None if there is none with this id."""
    row = session.scalar(
        select(HoursException)
        .where(HoursException.org_id == org_id, HoursException.id == exception_id)
        .with_for_update()
    )
    if row is not None:
        session.delete(row)
        session.flush()
    return row


def list_different(session: Session, org_id: uuid.UUID, first: date) -> list[HoursException]:
    """The dates that differ from `first` on, in order."""
    query = (
        select(HoursException)
        .where(HoursException.org_id == org_id, HoursException.day >= first)
        .order_by(
            HoursException.day, HoursException.resource_id, HoursException.from_minute, HoursException.id
        )
    )
    return list(session.scalars(query))


def close(
    session: Session,
    org_id: uuid.UUID,
    days: Iterable[date],
    *,
    resource_id: str | None,
    reason: str | None = None,
) -> None:
    """Close whole days, for one resource or for the whole clinic (None). A day that is closed stays so."""
    _add(session, org_id, set(days), resource_id, reason=reason)


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
    return (
        HoursException.org_id == org_id,
        HoursException.resource_id.is_not_distinct_from(resource_id),
        ~HoursException.is_open,
        HoursException.from_minute.is_(None),
    )
