"""Reading a day, as a caller says it and a language model passes it on, as a date."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta

_WEEKDAYS = [name.lower() for name in calendar.day_name]
_MONTHS = [name.lower() for name in calendar.month_name[1:]]
_NOISE = re.compile(
    r"\b(?:the|of|on|this|coming|next)\b|,|(?:\bin the |\bat )?\b(?:morning|noon|afternoon|evening)$"
)
_NUMBER = re.compile(r"^(\d{1,2})(?:st|nd|rd|th)?$")
_YEAR = re.compile(r"^\d{4}$")
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[t ].*)?|(\d{4})(\d\d)(\d\d)")
_FIRST_TO_TWENTIETH = re.findall(
    r"\w+",
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
    " fifteenth sixteenth seventeenth eighteenth nineteenth twentieth",
)
_ORDINALS = {word: number for number, word in enumerate(_FIRST_TO_TWENTIETH, 1)} | {"thirtieth": 30}
_TENS = {"twenty": 20, "thirty": 30}
_UNREADABLE = "I need the day as a date, such as 2026-12-07 or 7 December."
_AWAY = {"today": 0, "tonight": 0, "tomorrow": 1, "day after tomorrow": 2}


class NotADay(ValueError):
    """The words are not a date, or contradict themselves; the message is a sentence for the caller."""


def read(said: str, today: date) -> date:
    """The date in words such as 2026-12-07, tomorrow, Monday, 7 December or Monday the 7th.

    `today` is the clinic's. A weekday is the next one after today. A day without a year, or without a month,
    is the next matching day from today on. Raises NotADay, also for a weekday that is not the date's.
    """
    text = re.sub(r"^this (?:morning|afternoon|evening)$", "today", said.strip().lower())
    try:
        if iso := _ISO.fullmatch(text):
            return date(*(int(figures) for figures in iso.groups() if figures))
        words = _in_figures(_NOISE.sub(" ", text).replace("-", " ").split())
        if (away := _AWAY.get(" ".join(words))) is not None:
            return today + timedelta(days=away)
        return _named(words, today)
    except (ValueError, OverflowError) as error:
        if isinstance(error, NotADay):
            raise
        raise NotADay(_UNREADABLE) from None


def _named(words: list[str], today: date) -> date:
    weekday = month = number = year = None
    for word in words:
        if weekday is None and (found := _index(word, _WEEKDAYS)) is not None:
            weekday = found
        elif month is None and (found := _index(word, _MONTHS)) is not None:
            month = found + 1
        elif number is None and (match := _NUMBER.match(word)):
            number = int(match[1])
        elif year is None and _YEAR.match(word):
            year = int(word)
        else:
            raise NotADay(_UNREADABLE)
    if number is None:
        if weekday is None or month or year:
            raise NotADay(_UNREADABLE)
        return today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)
    day = _next(today, year, month, number)
    if weekday is not None and day.weekday() != weekday:
        raise NotADay(
            f"{day.day} {day:%B} {day.year} is a {day:%A}, not a {_WEEKDAYS[weekday].capitalize()}."
        )
    return day


def _in_figures(words: list[str]) -> list[str]:
    """The words, with ordinals as figures: seventh is 7, twenty first is 21."""
    figures: list[str] = []
    tens = 0
    for word in words:
        if word in _TENS and not tens:
            tens = _TENS[word]
        elif word in _ORDINALS:
            figures.append(str(tens + _ORDINALS[word]))
            tens = 0
        else:
            figures += [str(tens), word] if tens else [word]
            tens = 0
    return figures + ([str(tens)] if tens else [])


def _next(today: date, year: int | None, month: int | None, number: int) -> date:
    """The date with this day, month and year; without a year or month, the next one from today on.

    Raises NotADay or ValueError if there is none.
    """
    if year and month:
        return date(year, month, number)
    if year or not 1 <= number <= 31:
        raise NotADay(_UNREADABLE)
    for months in range(12 * 8 + 1):  # 29 February comes within eight years
        ahead = today.month - 1 + months
        in_year, in_month = today.year + ahead // 12, ahead % 12 + 1
        if month in (None, in_month) and number <= calendar.monthrange(in_year, in_month)[1]:
            day = date(in_year, in_month, number)
            if day >= today:
                return day
    raise NotADay(_UNREADABLE)


def _index(word: str, names: list[str]) -> int | None:
    """The index of the name that the word is, or begins with three letters or more; else None."""
    if len(word) < 3:
        return None
    return next((at for at, name in enumerate(names) if name.startswith(word.rstrip("."))), None)
