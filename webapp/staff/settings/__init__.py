"""/dashboard/settings: what a clinic's owners set up and change by themselves.

Importing the package adds every page to its blueprint.
"""

from __future__ import annotations

from webapp.staff.settings import (
    calendars,
    clinic,
    closures,
    feeds_in,
    feeds_out,
    importing,
    overview,
    people,
    phone,
    record,
    services,
    team,
)
from webapp.staff.settings.owners import blueprint

__all__ = ["blueprint"]

_PAGES = (
    calendars,
    clinic,
    closures,
    feeds_in,
    feeds_out,
    importing,
    overview,
    people,
    phone,
    record,
    services,
    team,
)
