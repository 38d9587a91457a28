"""Opening hours as operators write them: "mon-fri 09:00-12:30 13:30-17:00, sat 10:00-14:00".

They may end at midnight, written 24:00, 00:00 or 23:59, or go on past it: "fri 22:00-02:00". A person's may
name the room: "mon 09:00-12:30@room-1 13:30-17:00@room-2".
"""

from __future__ import annotations

import re
from datetime import date, time
from itertools import pairwise
from typing import NoReturn

from models.booking import closures
from models.booking.hours import MIDNIGHT, WEEKDAYS, Impossible, assert_no_slip, grouped

Hours = dict[str, list[list[str]]]

EXAMPLE = "mon-fri 09:00-12:30 13:30-17:00, sat 10:00-14:00"

OVER_MIDNIGHT = "24:00 is midnight, and fri 22:00-02:00 goes on into Saturday"

_DASH = "[-\u2010-\u2015]"
_PERIOD = re.compile(rf"(\d{{1,2}}:\d{{2}}){_DASH}(\d{{1,2}}:\d{{2}})(?:@(\S+))?")
_DAYS = re.compile(rf"([a-z]+)(?:{_DASH}([a-z]+))?")


class Unreadable(ValueError):
    """What is wrong with the text, and where."""


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
    _assert_apart(hours)
    return {day: sorted(hours[day]) for day in WEEKDAYS if day in hours}


def _assert_apart(hours: Hours) -> None:
    """Raises Unreadable if two periods overlap, on one day or over a midnight."""
    week = sorted(
        (WEEKDAYS.index(day) * _DAY + _minutes(begin), day, begin, end)
        for day, periods in hours.items()
        for begin, end, *_ in periods
    )
    first_again = (week[0][0] + 7 * _DAY, *week[0][1:])
    for (opens, before, begin, end), (next_opens, day, next_begin, _) in pairwise([*week, first_again]):
        if next_opens < opens + _length(begin, end):
            which = day if day == before else f"{before} and {day}"
            raise Unreadable(f"two periods of {which} overlap: one ends {end}, the next begins {next_begin}")


_DAY = 24 * 60


def _minutes(time_of_day: str) -> int:
    hours, _, minutes = time_of_day.partition(":")
    return int(hours) * 60 + int(minutes)


def _length(begin: str, end: str) -> int:
    """Minutes of a period; a period that ends no later than it begins ends on the next day."""
    return (_minutes(end) - _minutes(begin) - 1) % _DAY + 1


def written(hours: Hours) -> str:
    """The inverse of `parse`: hours as text, with neighbouring days of equal hours as one range."""
    entries = []
    for days, periods in grouped(hours):
        if periods:
            name = days[0] if len(days) == 1 else f"{days[0]}-{days[-1]}"
            entries.append(
                " ".join([name, *("@".join(["-".join(period[:2]), *period[2:]]) for period in periods)])
            )
    return ", ".join(entries) or "closed"


def in_room(hours: Hours, room: str) -> Hours:
    """The hours, in this room where they name none."""
    return {day: [(period if period[2:] else [*period, room]) for period in hours[day]] for day in hours}


def parse_part(text: str) -> tuple[str, str]:
    """The two times of 12:00-14:00. Raises Unreadable."""
    begin, end, *room = _period(text.strip(), 0)
    if room:
        raise Unreadable(f"{text} names a room, which has an option of its own")
    return begin, end


def parse_dates(text: str) -> list[date]:
    """The dates of 2026-12-25, or of 2026-12-24..2026-12-26 with both ends. Raises Unreadable."""
    begin, _, end = text.partition("..")
    try:
        first = date.fromisoformat(begin)
        last = date.fromisoformat(end) if end else first
    except ValueError:
        raise Unreadable(f"{text} is no date; write 2026-12-25, or 2026-12-24..2026-12-26") from None
    try:
        return closures.between(first, last)
    except Impossible as problem:
        raise Unreadable(str(problem)) from None


def _days(word: str, place: int) -> list[str]:
    match = _DAYS.fullmatch(word.lower())
    names = [name[:3] for name in match.groups() if name] if match else []
    if not names or not all(_is_day(name) for name in (match.groups() if match else ()) if name):
        _unreadable(f"a day is one of {', '.join(WEEKDAYS)}, or two with a dash", word, place)
    first, last = WEEKDAYS.index(names[0]), WEEKDAYS.index(names[-1])
    # A range such as fri-mon runs over the weekend.
    return [WEEKDAYS[(first + number) % 7] for number in range((last - first) % 7 + 1)]


def _is_day(name: str) -> bool:
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return any(len(name) >= 3 and day.startswith(name) for day in full)


def _period(word: str, place: int) -> list[str]:
    match = _PERIOD.fullmatch(word)
    if match is None:
        _unreadable("hours are written 09:00-17:00", word, place)
    begin, end = (text.zfill(5) for text in match.groups()[:2])
    end = "24:00" if end in (*MIDNIGHT, "00:00") else end
    try:
        time.fromisoformat(begin)
        time.fromisoformat("00:00" if end == "24:00" else end)
    except ValueError:
        _unreadable("there is no such time of day (hours begin by 23:59 and end by 24:00)", word, place)
    try:
        assert_no_slip(begin, end)
    except Impossible as problem:
        _unreadable(str(problem), word, place)
    return [begin, end, *filter(None, [match[3]])]


def _unreadable(why: str, word: str, place: int) -> NoReturn:
    raise Unreadable(f'at character {place + 1}, "{word}": {why}')
