"""A clinic with hours of the test's choice, and the slots that it offers."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from models.booking import availability
from models.clinics.calendars import WEEKDAYS, Calendar

NIGHT = {day: [["00:00", "05:00"]] for day in WEEKDAYS}
WITH_LUNCH = {day: [["09:00", "12:30"], ["13:30", "17:00"]] for day in WEEKDAYS}
TODAY = datetime.now(UTC).date()
DAY = TODAY + timedelta(days=14)


def offered(calendar: Calendar, day: date) -> list[str]:
    """The starts of a day's slots, in UTC."""
    return [f"{slot.starts_at.astimezone(UTC):%H:%M}" for slot in availability.slots_of_day(calendar, day)]


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
