"""/dashboard/settings/closures: the dates that differ, and the public holidays of the clinic's country."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from http import HTTPStatus

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.booking import closures as dates
from models.booking import hours, public_holidays, resources
from models.booking.hours import Impossible
from models.booking.public_holidays import Proposed
from models.booking.resources import HoursException, Resource, ResourceKind
from models.booking.set_up_change import SetUpChange
from webapp.staff import given, shown
from webapp.staff.guard import in_clinic
from webapp.staff.settings import said
from webapp.staff.settings.owners import blueprint, change

_LONGEST_REASON = 80

#: What a form makes of a date.
CLOSED, CLOSED_PART, OPEN = "closed", "part", "open"


@dataclass(frozen=True, slots=True)
class Run:
    """Days in a row that differ alike, taken back together. `resource_id`: None for the whole clinic."""

    resource_id: str | None
    whose: str
    days: str
    what: str
    reason: str | None
    ids: list[uuid.UUID]


def coming(at: Session, org_id: uuid.UUID) -> list[Run]:
    """What differs from today on, in the order of the first days."""
    names = {each.id: each.name for each in resources.list_of_clinic(at, org_id, retired=True)}
    runs: list[list[HoursException]] = []
    last: dict[tuple[object, ...], list[HoursException]] = {}
    for row in hours.list_different(at, org_id, dates.today(at, org_id)):
        alike = (
            row.resource_id,
            row.is_open,
            row.from_minute,
            row.until_minute,
            row.room_id,
            row.reason,
        )
        run = last.get(alike)
        if run is None or row.day > run[-1].day + timedelta(days=1):
            run = last[alike] = []
            runs.append(run)
        run.append(row)
    return [
        Run(
            resource_id=first.resource_id,
            whose=names.get(first.resource_id or "", "The whole clinic"),
            days=said.days(first.day, run[-1].day),
            what=said.difference(first, names),
            reason=first.reason,
            ids=[each.id for each in run],
        )
        for run in runs
        for first in run[:1]
    ]


@blueprint.get("/closures")
def closures() -> ResponseReturnValue:
    return render_template("dashboard/settings/closures.html", runs=in_clinic(coming))


# --- closing and opening ------------------------------------------------------------------------------


@blueprint.get("/closures/new")
def new_closure() -> ResponseReturnValue:
    return _form()


@blueprint.post("/closures/new")
def add_closure() -> ResponseReturnValue:
    """Close a day or a range of days, whole or in part, or open hours as well."""
    whose = given.text("for", 200) or None
    what = request.form.get("what")

    def work(at: Session, org_id: uuid.UUID, made: SetUpChange) -> bool:
        first = _day("from_day")
        days = dates.between(first, _day("until_day") if request.form.get("until_day") else first)
        dates.differ(
            at,
            org_id,
            made,
            days,
            resource_id=whose,
            is_open=what == OPEN,
            period=None if what == CLOSED else _period(),
            room_id=given.text("room", 200) or None if what == OPEN else None,
            reason=_reason(),
        )
        return True

    if what not in {CLOSED, CLOSED_PART, OPEN}:
        what = CLOSED
    if change(work, "Opened." if what == OPEN else "Closed.") is None:
        return _form(), HTTPStatus.BAD_REQUEST
    return _back()


@blueprint.post("/closures/take-back")
def take_back_closure() -> ResponseReturnValue:
    """Remove the dates of one line of the list."""
    wanted = given.row_ids("id")

    def work(at: Session, org_id: uuid.UUID, made: SetUpChange) -> list[uuid.UUID]:
        rows = [each for each in hours.list_different(at, org_id, date.min) if each.id in wanted]
        if not rows:
            raise Impossible("that was already removed")
        ids = [each.id for each in rows]
        dates.take_back(at, org_id, made, rows)
        return ids

    def happened(at: Session, ids: list[uuid.UUID]) -> bool:
        return not any(at.get(HoursException, each) for each in ids)

    change(work, "Removed: these dates are as usual again.", happened=happened)
    return _back()


def _form() -> str:
    def read(at: Session, org_id: uuid.UUID) -> tuple[list[Resource], date]:
        return resources.list_of_clinic(at, org_id), dates.today(at, org_id)

    every, today = in_clinic(read)
    return render_template(
        "dashboard/settings/closures_new.html",
        every=every,
        rooms=[each for each in every if each.kind is ResourceKind.ROOM],
        today=today.isoformat(),
        given=request.values,
        longest=_LONGEST_REASON,
        page="closures",
    )


def _back() -> ResponseReturnValue:
    """To the page of the person, room or device, if the form was opened there."""
    if came_from := given.text("back", 200):
        to = url_for("dashboard.settings.person", resource_id=came_from)
    else:
        to = url_for("dashboard.settings.closures")
    return redirect(to, HTTPStatus.SEE_OTHER)


def _day(name: str) -> date:
    written = request.form.get(name, "").strip()
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise Impossible(f"{written or 'nothing'} is no date; give a day such as 2026-12-25") from None


def _period() -> tuple[str, str]:
    begin, end = (request.form.get(name, "").strip() for name in ("from_time", "until_time"))
    if not (begin and end):
        raise Impossible("give both ends of the hours, or close the whole day")
    end = hours.MIDNIGHT[0] if end in (*hours.MIDNIGHT, "00:00") else end
    hours.assert_no_slip(begin, end)
    return begin, end


def _reason() -> str | None:
    reason = given.text("reason", _LONGEST_REASON + 1)
    if len(reason) > _LONGEST_REASON or not reason.isprintable():
        raise Impossible(f"a reason has at most {_LONGEST_REASON} characters, all of which can be read")
    return reason or None


# --- public holidays ----------------------------------------------------------------------------------


@blueprint.get("/closures/holidays")
def holidays() -> ResponseReturnValue:
    return _proposed()


@blueprint.post("/closures/holidays")
def accept_holidays() -> ResponseReturnValue:
    """Close on the holidays that were ticked, and on no others."""

    def work(at: Session, org_id: uuid.UUID, made: SetUpChange) -> bool:
        found = public_holidays.propose(at, org_id, subdivision=given.text("subdivision", 40))
        try:
            days = [date.fromisoformat(each) for each in request.form.getlist("day")]
        except ValueError:
            raise Impossible("that is no date") from None
        dates.accept(at, org_id, made, public_holidays.chosen(found, days))
        return True

    if change(work, "Closed on the public holidays that you ticked.") is None:
        return _proposed(), HTTPStatus.BAD_REQUEST
    return redirect(url_for("dashboard.settings.closures"), HTTPStatus.SEE_OTHER)


def _proposed() -> str:
    def read(at: Session, org_id: uuid.UUID) -> Proposed | str:
        try:
            return public_holidays.propose(at, org_id, subdivision=given.text("subdivision", 40))
        except Impossible as problem:
            return str(problem)

    found = in_clinic(read)
    if isinstance(found, str):
        if request.method == "GET":
            flash(shown.sentence(found), "not_done")
        return render_template("dashboard/settings/closures_holidays.html", found=None, page="closures")
    # At first all are ticked. Once some were accepted, the rest was left out on purpose.
    is_first = not any(each.is_closed for each in found.holidays)
    ticked = [each.day.isoformat() for each in found.holidays if is_first]
    return render_template(
        "dashboard/settings/closures_holidays.html",
        found=found,
        ticked=request.form.getlist("day") if request.method == "POST" else ticked,
        day=said.day,
        page="closures",
    )
