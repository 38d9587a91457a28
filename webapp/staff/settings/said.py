"""Words for hours and dates on the pages of the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, time

from models.booking import hours
from models.booking.resources import A_DAY, HoursException

_TO = "\N{EN DASH}"


def clock(time_of_day: str) -> str:
    """9:00 am; the end of a day is midnight."""
    if time_of_day in hours.MIDNIGHT:
        return "midnight"
    return f"{time.fromisoformat(time_of_day):%I:%M %p}".lstrip("0").lower()


def period(begin: str, end: str) -> str:
    return f"{clock(begin)}{_TO}{clock(end)}"


def week(of: hours.Hours, rooms: Mapping[str, str]) -> str:
    """Mon-Fri 9:00 am-5:00 pm in Room 1; Sat 9:00 am-midnight. Empty without hours. `rooms`: names by id."""
    said = []
    for days, periods in hours.grouped(of):
        if periods:
            names = [each.capitalize() for each in (days[0], days[-1])]
            times = ", ".join(_in_room(each, rooms) for each in periods)
            said.append(f"{_TO.join(dict.fromkeys(names))} {times}")
    return "; ".join(said)


def _in_room(words: Sequence[str], rooms: Mapping[str, str]) -> str:
    begin, end, *room = words
    return f"{period(begin, end)} in {rooms.get(room[0], room[0])}" if room else period(begin, end)


def day(of: date) -> str:
    """Fri 25 Dec 2026."""
    return f"{of:%a} {of.day} {of:%b %Y}"


def days(first: date, last: date) -> str:
    return day(first) if first == last else f"{day(first)} to {day(last)}"


def difference(row: HoursException, rooms: Mapping[str, str]) -> str:
    """Closed; closed 12:00 pm-2:00 pm; also open 10:00 am-midnight in Room 1."""
    if row.from_minute is None or row.until_minute is None:
        return "Closed"
    end = row.until_minute % A_DAY if row.until_minute > A_DAY else row.until_minute
    words = [hours.time_of(row.from_minute), hours.time_of(end), *filter(None, [row.room_id])]
    return f"{'Also open' if row.is_open else 'Closed'} {_in_room(words, rooms)}"
