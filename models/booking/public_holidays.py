"""The public holidays of a clinic's country, proposed for a person to accept as closures.

None of them closes anything by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from models.booking import closures, hours
from models.booking.hours import Impossible
from models.clinics import organizations

if TYPE_CHECKING:
    from holidays import HolidayBase

#: How far ahead holidays are proposed where no year is asked for, in days: eighteen months.
AHEAD_DAYS = 548


@dataclass(frozen=True, slots=True)
class Holiday:
    day: date
    name: str
    #: Whether the whole clinic is closed on that day already.
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Proposed:
    """`subdivisions`: the parts of the country by code, such as SCT, with their names where these are known;
    empty where all of it has the same holidays.
    """

    country: str
    subdivision: str | None
    subdivisions: Mapping[str, str]
    holidays: list[Holiday]


def propose(
    session: Session, org_id: uuid.UUID, *, subdivision: str | None = None, year: int | None = None
) -> Proposed:
    """The holidays from today on, in order: of the next eighteen months, or of a year.

    `subdivision` is a part of the country, written SCT or GB-SCT; without one, the holidays of the whole
    country. Raises Impossible for a country or part whose holidays are not known, and for a year that is over
    or too far ahead.
    """
    clinic = organizations.get_or_none(session, org_id)
    country = clinic.region if clinic else ""
    today = closures.today(session, org_id)
    first, last = today, today + timedelta(days=AHEAD_DAYS)
    if year is not None:
        farthest = today + timedelta(days=hours.FARTHEST_DAYS)
        if not today.year <= year <= farthest.year:
            raise Impossible(f"give a year from {today.year} to {farthest.year}")
        first, last = max(today, date(year, 1, 1)), min(farthest, date(year, 12, 31))
    part = _part(country, subdivision) if subdivision else None
    found = _of(country, part, range(first.year, last.year + 1))
    closed = set(hours.closed_days(session, org_id, None))
    return Proposed(
        country,
        part,
        _subdivisions(found),
        [Holiday(day, name, day in closed) for day, name in sorted(found.items()) if first <= day <= last],
    )


def _known() -> dict[str, list[str]]:
    """The countries with their parts, by code."""
    # Only the page and the command for holidays need the library, and it costs seven hundredths of a second.
    import holidays  # noqa: PLC0415

    return holidays.list_supported_countries()


def _part(country: str, subdivision: str) -> str:
    """The code of a part, as the library writes it."""
    parts = _known().get(country, [])
    wanted = subdivision.upper().removeprefix(f"{country}-")
    for part in parts:
        if part.upper() == wanted:
            return part
    of = f"it has {', '.join(parts)}" if parts else "leave it out"
    raise Impossible(f"{country} has no part {subdivision} with holidays of its own; {of}")


def _of(country: str, part: str | None, years: range) -> HolidayBase:
    import holidays  # noqa: PLC0415

    if country not in _known():
        raise Impossible(
            f"the public holidays of the country {country or 'of this clinic'} are not known here; close the"
            " days one by one"
        )
    # In the language of the country, as its staff call them; else that of the machine would be taken.
    language = holidays.country_holidays(country).default_language
    return holidays.country_holidays(country, subdiv=part, years=years, language=language)


def _subdivisions(of: HolidayBase) -> dict[str, str]:
    """By code; the name is the first that the library knows, else the code."""
    names: dict[str, str] = {}
    for name, code in (getattr(of, "subdivisions_aliases", None) or {}).items():
        names.setdefault(code, name)
    return {code: names.get(code, code) for code in of.subdivisions}


def chosen(proposed: Proposed, days: list[date]) -> dict[date, str]:
    """The names of the holidays on these days. Raises Impossible for a day that is none of them."""
    names = {each.day: each.name for each in proposed.holidays}
    if other := [day for day in days if day not in names]:
        raise Impossible(f"{other[0]} is no public holiday to come there")
    if not days:
        raise Impossible("choose at least one day")
    return {day: names[day] for day in days}
