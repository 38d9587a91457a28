"""Times in the clinic's zone, to be spoken or read in a message, and instants as the wire has them."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo


def instant(moment: datetime) -> str:
    """The moment as the wire and a slotId write it: 2026-12-07T10:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(text: str, *, zone: tzinfo | None = None) -> datetime | None:
    """The instant that an ISO 8601 text from outside names, in UTC; None if it names no instant.

    A time without an offset is read in `zone`; without a `zone` it names no instant.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and zone is not None:
            moment = moment.replace(tzinfo=zone)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


#: From this many days away, a date without its year could be taken for the same date of another year.
NEEDS_ITS_YEAR = 183


def spoken_day(day: date, today: date | None = None) -> str:
    """The day as "Monday 7 December"; with its year where it is half a year or more away from `today`."""
    year = f" {day.year}" if today and abs((day - today).days) >= NEEDS_ITS_YEAR else ""
    return f"{day:%A} {day.day} {day:%B}{year}"


def spoken_time(moment: datetime, zone: ZoneInfo) -> str:
    """The time as "10:00 in the morning"."""
    local = moment.astimezone(zone)
    if local.hour == 0:
        part = "at night as the day begins"  # not "in the morning": 12:00 would be taken for noon
    elif local.hour < 12:
        part = "in the morning"
    elif local.hour < 18:
        part = "in the afternoon"
    else:
        part = "in the evening"
    return f"{local.hour % 12 or 12}:{local:%M} {part}"


def spoken(moment: datetime, zone: ZoneInfo, now: datetime | None = None) -> str:
    """The moment as "Monday 7 December, 10:00 in the morning"; with its year where it is far from `now`."""
    today = now and now.astimezone(zone).date()
    return f"{spoken_day(moment.astimezone(zone).date(), today)}, {spoken_time(moment, zone)}"


def written(moment: datetime, zone: ZoneInfo) -> str:
    """The moment in short for a message: "Mon 7 Dec 2026 at 10:00 am"."""
    local = moment.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %Y} at {local.hour % 12 or 12}:{local:%M} {local:%p}".replace(
        "AM", "am"
    ).replace("PM", "pm")
