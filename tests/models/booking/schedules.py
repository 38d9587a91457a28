"""A clinic with hours of the test's choice, and the slots that it offers."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from models.booking import availability
from models.booking.bookables import Bookable
from models.booking.hours import WEEKDAYS, Hours, minutes_of
from models.booking.openings import Different, Period, Timetable

NIGHT = {day: [["00:00", "05:00"]] for day in WEEKDAYS}
WITH_LUNCH = {day: [["09:00", "12:30"], ["13:30", "17:00"]] for day in WEEKDAYS}
TODAY = datetime.now(UTC).date()
DAY = TODAY + timedelta(days=14)


def make(
    *,
    opening: Hours = WITH_LUNCH,
    closures: Iterable[date] = (),
    time_zone: str = "UTC",
    minutes: int = 30,
    step_minutes: int = 30,
    min_notice_minutes: int = 0,
    horizon_days: int = 90,
) -> Bookable:
    """What a calendar of one person offers, made without the database."""
    zone = ZoneInfo(time_zone)
    weekly = {
        WEEKDAYS.index(day): tuple(
            Period(begins, until, begins) for begins, until in (minutes_of(*each) for each in periods)
        )
        for day, periods in opening.items()
    }
    own = {day: Different(closed_all_day=True) for day in closures}
    return Bookable(
        org_id=uuid.uuid4(),
        calendar_id="cal-1",
        zone=zone,
        hold_minutes=10,
        service_id="appointment",
        service="Appointment",
        minutes=minutes,
        minutes_before=0,
        minutes_after=0,
        step_minutes=step_minutes,
        min_notice_minutes=min_notice_minutes,
        horizon_days=horizon_days,
        most_per_day=None,
        by_phone=True,
        by_link=True,
        leaders=("cal-1",),
        needs=(),
        timetables={"cal-1": Timetable("cal-1", "Dr Adams", zone, weekly, own=own)},
        is_default=True,
    )


def offered(bookable: Bookable, day: date) -> list[str]:
    """The starts of a day's slots, in UTC."""
    return [f"{slot.starts_at.astimezone(UTC):%H:%M}" for slot in availability.slots_of_day(bookable, day)]


def at(hour: int, minute: int = 0, *, day: date = DAY) -> datetime:
    return datetime.combine(day, time(hour, minute), UTC)


def half_hours(first: str, last: str) -> list[str]:
    """Every half hour from `first` to `last`, over midnight if need be."""
    moment, end = datetime.strptime(first, "%H:%M"), datetime.strptime(last, "%H:%M")  # noqa: DTZ007
    end += timedelta(days=end < moment)
    return [
        f"{moment + n * timedelta(minutes=30):%H:%M}"
        for n in range((end - moment) // timedelta(minutes=30) + 1)
    ]


def every_day(*periods: list[str]) -> dict[str, list[list[str]]]:
    return {day: list(periods) for day in WEEKDAYS}
