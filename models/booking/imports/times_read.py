"""Dates, times and lengths as diaries write them.

Whether 3/4 is in March or in April is decided for a whole file: by a number above 12, else by the clinic's
country.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

#: Where dates are written with the month first (ISO 3166).
_MONTH_FIRST = frozenset(("US", "PR", "GU", "VI", "AS", "MP", "PH", "FM", "MH", "PW"))

_MONTHS = {
    word: number
    for number, words in enumerate(
        (
            *(("jan", "january"), ("feb", "february"), ("mar", "march"), ("apr", "april"), ("may",)),
            *(("jun", "june"), ("jul", "july"), ("aug", "august"), ("sep", "sept", "september")),
            *(("oct", "october"), ("nov", "november"), ("dec", "december")),
        ),
        start=1,
    )
    for word in words
}

_WEEKDAY = re.compile(r"^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[.,]?\s+", re.IGNORECASE)
_ISO = re.compile(r"^(\d{4})([-/.]?)(\d{2})\2(\d{2})(?!\d)")
_ISO_LOOSE = re.compile(r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_NUMBERS = re.compile(r"^(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?!\d)")
_DAY_WORD = re.compile(r"^(\d{1,2})(?:st|nd|rd|th)?[\s.-]+([a-z]+)[\s.,-]+(\d{4}|\d{2})(?!\d)", re.IGNORECASE)
_WORD_DAY = re.compile(r"^([a-z]+)[\s.]+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})(?!\d)", re.IGNORECASE)
_TIME = re.compile(
    r"^(\d{1,2})(?:[:.h](\d{2})(?:[:.](\d{2})(?:[.,]\d{1,9})?)?)?\s*([ap])?(?:\.?\s?m\.?)?\s*"
    r"(z|utc|gmt|[+-]\d{2}:?\d{2})?$",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"^(\d{1,2}):(\d{2})(?::\d{2})?$")
_LENGTH = re.compile(
    r"^(?:(\d{1,3})\s*(?:h|hr|hrs|hour|hours|std)\.?)?\s*(?:(\d{1,4})\s*(?:m|min|mins|minute|minutes)?\.?)?$",
    re.IGNORECASE,
)


class NoTime(ValueError):
    """What was written is no time. The message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Written:
    """A date as it is written: the day itself, or two numbers of which one is the day."""

    year: int
    first: int
    second: int
    #: Whether the first number is the day; None where only the rest of the file tells.
    day_first: bool | None


def read_date(text: str) -> tuple[Written, str]:
    """The date at the beginning of a text, and what follows it. Raises NoTime."""
    text = _WEEKDAY.sub("", text.strip())
    if found := _ISO.match(text) or _ISO_LOOSE.match(text):
        year, month, day = (
            int(each) for each in (found[1], found[found.re.groups - 1], found[found.re.groups])
        )
        return Written(year, month, day, day_first=False), _rest(text, found)
    if found := _NUMBERS.match(text):
        # With dots the day comes first everywhere.
        dots = found[2] == "." or None
        return Written(_year(found[4]), int(found[1]), int(found[3]), day_first=dots), _rest(text, found)
    if (found := _DAY_WORD.match(text)) and (named := _MONTHS.get(found[2].lower())):
        return Written(_year(found[3]), int(found[1]), named, day_first=True), _rest(text, found)
    if (found := _WORD_DAY.match(text)) and (named := _MONTHS.get(found[1].lower())):
        return Written(int(found[3]), named, int(found[2]), day_first=False), _rest(text, found)
    raise NoTime(f"“{text[:40]}” is no date; write it like 2026-12-07")


def _year(text: str) -> int:
    return int(text) + (2000 if len(text) == 2 else 0)


def _rest(text: str, found: re.Match[str]) -> str:
    return text[found.end() :].lstrip(" ,T\tt")


def day_comes_first(dates: Iterable[Written], region: str) -> tuple[bool, str]:
    """Whether the day comes before the month in a file, and a sentence that says why it is read so."""
    shown = [each for each in dates if each.day_first is None]
    if not shown:
        return region not in _MONTH_FIRST, ""
    day, month = any(each.first > 12 for each in shown), any(each.second > 12 for each in shown)
    if day != month:
        order = "day, month, year" if day else "month, day, year"
        return day, f"Dates are read as {order}: the file has a day above 12 in that place."
    first = region not in _MONTH_FIRST
    order = "day, month, year" if first else "month, day, year"
    why = "the file contradicts itself" if day else "nothing in the file decides it"
    return first, f"Dates are read as {order}, as is usual in {region}: {why}. Look at the first ones."


def day_of(written: Written, *, day_first: bool) -> date:
    """Raises NoTime for a day that does not exist."""
    day, month = written.second, written.first
    if day_first if written.day_first is None else written.day_first:
        day, month = month, day
    try:
        found = date(written.year, month, day)
    except ValueError:
        raise NoTime(
            f"there is no day {day} of month {month} in {written.year}; look at the order of day and month"
        ) from None
    if not 1990 <= found.year <= 2100:
        raise NoTime(f"{found} is too far away; look at the year")
    return found


def read_time(text: str) -> tuple[time, timezone | None]:
    """A time of the day, and the offset that is written with it. Raises NoTime."""
    found = _TIME.match(text.strip())
    if found is None or not (found[2] or found[4]):
        raise NoTime(
            f"“{text.strip()[:40]}” is no time; write it like 14:30"
            if text.strip()
            else "the time is missing"
        )
    hour, minute, half = int(found[1]), int(found[2] or 0), (found[4] or "").lower()
    if half and not 1 <= hour <= 12 and hour < 13:
        raise NoTime(f"“{text.strip()}” is no time; write it like 14:30")
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    try:
        return time(hour, minute), _offset(found[5])
    except ValueError:
        raise NoTime(f"“{text.strip()}” is no time; write it like 14:30") from None


def _offset(text: str | None) -> timezone | None:
    if not text:
        return None
    if text[0] not in "+-":
        return UTC
    ahead = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-ahead if text[0] == "-" else ahead)


def instant(day: date, at: time, offset: timezone | None, zone: ZoneInfo) -> datetime:
    """The moment in UTC; of a time that comes twice the first. Raises NoTime for one that the clocks skip."""
    local = datetime.combine(day, at)
    if offset is not None:
        return local.replace(tzinfo=offset).astimezone(UTC)
    found = local.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) != local:
        raise NoTime(f"{at:%H:%M} does not exist on {day} in {zone.key}: the clocks skip it")
    return found


def read_length(text: str) -> timedelta:
    """A length: 30, 30 min, 1 h 15, 0:45. A number alone is minutes. Raises NoTime."""
    text = text.strip()
    if found := _CLOCK.match(text):
        return timedelta(hours=int(found[1]), minutes=int(found[2]))
    text = re.sub(r"\.0+$", "", text)
    found = _LENGTH.match(text)
    if found is None or not (found[1] or found[2]):
        raise NoTime(f"“{text[:40]}” is no length; write it in minutes, like 30")
    return timedelta(hours=int(found[1] or 0), minutes=int(found[2] or 0))
