"""/dashboard/settings/people/…/hours: the weekly hours of one person, room or device."""

from __future__ import annotations

from http import HTTPStatus
from itertools import zip_longest

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.booking import hours, standing
from models.booking.hours import MIDNIGHT, WEEKDAY_NAMES, WEEKDAYS, Impossible
from models.booking.resources import Resource
from models.booking.set_up_change import SetUpChange
from webapp.staff.settings import said
from webapp.staff.settings.owners import blueprint
from webapp.staff.settings.person import Shown, assert_seen, change_locked, mark, read, to_page

#: The rows of the form by weekday: from, until and room, as typed.
Week = dict[str, list[tuple[str, str, str]]]

#: How many rows of one weekday are read.
_MOST = 24

#: To which days the buttons copy Monday's hours, where these have none.
COPIES = {"workdays": WEEKDAYS[1:5], "all": WEEKDAYS[1:]}


@blueprint.get("/people/<path:resource_id>/hours")
def hours_of(resource_id: str) -> ResponseReturnValue:
    shown = read(resource_id)
    return _page(shown, _rows(shown))


@blueprint.post("/people/<path:resource_id>/hours")
def change_hours_of(resource_id: str) -> ResponseReturnValue:
    """Save the hours; or only fill the form in, where a button to copy was pressed."""
    typed = _typed()
    if copied := COPIES.get(request.form.get("copy", "")):
        for day in copied:
            typed[day] = typed[day] or list(typed[WEEKDAYS[0]])
        return _page(read(resource_id), typed)

    def work(at: Session, row: Resource, made: SetUpChange) -> None:
        wanted, now = _hours(typed), hours.read(at, row.org_id, row.id)
        assert_seen(now, wanted, said.week(now, {}) or "none")
        hours.replace(at, row.org_id, row.id, wanted)
        made.done(standing.find(at, row.org_id, resource_ids=[row.id]))

    if not change_locked(resource_id, work, "The hours were saved."):
        return _page(read(resource_id), typed), HTTPStatus.BAD_REQUEST
    return to_page(resource_id)


def _typed() -> Week:
    """The rows of the form that are not empty."""
    found: Week = {}
    for day in WEEKDAYS:
        columns = (request.form.getlist(f"{day}_{name}")[:_MOST] for name in ("from", "until", "room"))
        rows = ((each[0].strip(), each[1].strip(), each[2]) for each in zip_longest(*columns, fillvalue=""))
        found[day] = [each for each in rows if each[0] or each[1]]
    return found


def _hours(typed: Week) -> dict[str, list[list[str]]]:
    """The hours as they are kept. Raises Impossible with the weekday for a row that is none."""
    found: dict[str, list[list[str]]] = {}
    for day, rows in typed.items():
        for begin, end, room in sorted(rows):
            last = MIDNIGHT[0] if end in (*MIDNIGHT, "00:00") else end
            which = f"{WEEKDAY_NAMES[WEEKDAYS.index(day)]}, {begin or '?'} to {end or '?'}"
            if not (begin and end):
                raise Impossible(f"{which}: give both ends, or neither")
            try:
                hours.assert_no_slip(begin, last)
            except Impossible as problem:
                raise Impossible(f"{which}: {problem}") from None
            found.setdefault(day, []).append([begin, last, *filter(None, [room.replace("\x00", "")])])
    return found


def _rows(shown: Shown) -> Week:
    """The hours that are kept, as the form shows them: there the end of a day is 00:00."""
    return {
        day: [
            (begin, "00:00" if end in MIDNIGHT else end, "".join(room))
            for begin, end, *room in shown.weekly.get(day, ())
        ]
        for day in WEEKDAYS
    }


def _page(shown: Shown, rows: Week) -> str:
    """The form with these rows, and at least two for each day, of which one is empty."""
    days = [
        (day, name, [*rows[day], *[("", "", "")] * max(1, 2 - len(rows[day]))])
        for day, name in zip(WEEKDAYS, WEEKDAY_NAMES, strict=True)
    ]
    return render_template(
        "dashboard/settings/person_hours.html",
        shown=shown,
        days=days,
        seen=mark(shown.weekly),
        page="people",
    )
