"""Opening hours as one writes them: "mon-fri 09:00-12:30 13:30-17:00, sat 10:00-14:00"."""

from __future__ import annotations

import re
from datetime import date, time, timedelta
from itertools import pairwise
from typing import NoReturn

from models.calendars import WEEKDAYS

Hours = dict[str, list[list[str]]]

EXAMPLE = "mon-fri 09:00-12:30 13:30-17:00, sat 10:00-14:00"

_PERIOD = re.compile(r"(\d{1,2}:\d{2})-(\d{1,2}:\d{2})")
_DAYS = re.compile(r"([a-z]+)(?:-([a-z]+))?")


class Unreadable(ValueError):
    """What is wrong with it, and where."""


def parse(text: str) -> Hours:
    """{"mon": [["09:00", "12:30"], …], …}; a day that is not named is closed. Raises Unreadable."""
    hours: Hours = {}
    for entry in re.finditer(r"[^,]+", text):
        words = list(re.finditer(r"\S+", entry[0]))
        if not words:
            continue
        first, *periods = words
        days = _days(first[0], entry.start() + first.start())
        if not periods:
            _unreadable("the hours of these days are missing", first[0], entry.start() + first.start())
        for period in periods:
            times = _period(period[0], entry.start() + period.start())
            for day in days:
                hours.setdefault(day, []).append(times)
    if not hours:
        raise Unreadable(f'no day has hours; write them like "{EXAMPLE}"')
    for day, times_of_day in hours.items():
        times_of_day.sort()
        for (_, until), (begin, _) in pairwise(times_of_day):
            if begin < until:
                raise Unreadable(f"two periods of {day} overlap: one ends {until}, the next begins {begin}")
    return {day: hours[day] for day in WEEKDAYS if day in hours}


def written(hours: Hours) -> str:
    """The other way round, days with the same hours together."""
    groups: list[tuple[list[str], list[list[str]]]] = []
    for day in WEEKDAYS:
        periods = hours.get(day) or []
        if groups and groups[-1][1] == periods:
            groups[-1][0].append(day)
        else:
            groups.append(([day], periods))
    entries = []
    for days, periods in groups:
        if periods:
            name = days[0] if len(days) == 1 else f"{days[0]}-{days[-1]}"
            entries.append(" ".join([name, *("-".join(period) for period in periods)]))
    return ", ".join(entries) or "closed"


def parse_dates(text: str) -> list[date]:
    """2026-12-25, or 2026-12-24..2026-12-26 with both ends. Raises Unreadable."""
    begin, _, end = text.partition("..")
    try:
        first = date.fromisoformat(begin)
        last = date.fromisoformat(end) if end else first
    except ValueError:
        raise Unreadable(f"{text} is no date; write 2026-12-25, or 2026-12-24..2026-12-26") from None
    if not timedelta(0) <= last - first <= timedelta(days=366):
        raise Unreadable(f"{text} does not run forward, or for more than a year")
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _days(word: str, place: int) -> list[str]:
    match = _DAYS.fullmatch(word.lower())
    names = [name[:3] for name in match.groups() if name] if match else []
    if not names or not all(_is_day(name) for name in (match.groups() if match else ()) if name):
        _unreadable(f"a day is one of {', '.join(WEEKDAYS)}, or two with a dash", word, place)
    first, last = WEEKDAYS.index(names[0]), WEEKDAYS.index(names[-1])
    # fri-mon goes over the weekend.
    return [WEEKDAYS[(first + number) % 7] for number in range((last - first) % 7 + 1)]


def _is_day(name: str) -> bool:
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return any(len(name) >= 3 and day.startswith(name) for day in full)


def _period(word: str, place: int) -> list[str]:
    match = _PERIOD.fullmatch(word)
    if match is None:
        _unreadable("hours are written 09:00-17:00", word, place)
    try:
        begin, end = (time.fromisoformat(text.zfill(5)) for text in match.groups())
    except ValueError:
        _unreadable("there is no such time of day (the last is 23:59)", word, place)
    if begin >= end:
        _unreadable("it ends before it begins", word, place)
    return [f"{begin:%H:%M}", f"{end:%H:%M}"]


def _unreadable(why: str, word: str, place: int) -> NoReturn:
    raise Unreadable(f'at character {place + 1}, "{word}": {why}')
