"""The time zones that a clinic chooses from, and the one that is proposed to it."""

from __future__ import annotations

import uuid
from functools import cache
from importlib import resources
from zoneinfo import available_timezones

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.clinics import organizations
from models.clinics.calendars import Calendar

_NO_PLACES = ("Etc/", "SystemV/", "US/", "Canada/", "Brazil/", "Chile/", "Mexico/")


@cache
def choices() -> tuple[str, ...]:
    """The IANA names of places, in order, and UTC."""
    places = (each for each in available_timezones() if "/" in each and not each.startswith(_NO_PLACES))
    return (*sorted(places), "UTC")


def proposed(session: Session, org_id: uuid.UUID) -> str:
    """The zone of the clinic's first calendar; without one, the first of the clinic's country, or UTC."""
    query = select(Calendar.time_zone).where(Calendar.org_id == org_id).order_by(Calendar.id).limit(1)
    if found := session.scalar(query):
        return found
    clinic = organizations.get_or_none(session, org_id)
    return _by_country().get(clinic.region if clinic else "", "UTC")


@cache
def _by_country() -> dict[str, str]:
    """The zone of each country that the table of zones names first: of most countries the only one."""
    table = resources.files("tzdata").joinpath("zoneinfo/zone.tab").read_text()
    found: dict[str, str] = {}
    for line in table.splitlines():
        if not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            found.setdefault(country, zone)
    return found
