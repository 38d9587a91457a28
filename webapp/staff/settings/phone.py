"""/dashboard/settings/phone: the calendars, which are what the agent may name, and the voice platform."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from models.base import clock
from models.booking import calendar_changes, resources, services
from models.booking.calendar_changes import HOLD_MINUTES, Offered
from models.booking.hours import Impossible
from models.booking.resources import Resource
from models.booking.services import Service
from models.booking.set_up_change import SetUpChange
from models.clinics import calendars, organizations
from models.clinics.calendars import Calendar
from webapp.staff import addresses
from webapp.staff.guard import in_clinic, signed
from webapp.staff.settings import typed
from webapp.staff.settings.owners import blueprint, change

_KINDS = {"bearer": "a bearer token", "vapi_secret": "a secret in X-Vapi-Secret", "hmac": "a signature"}


@dataclass(frozen=True)
class Page:
    """The page of one calendar, or the form of a new one: what is set, and what there is to choose from."""

    #: None for a new one.
    calendar: Calendar | None
    #: Of what is set (typed.mark).
    mark: str
    #: What the fields show.
    given: MultiDict[str, str]
    services: list[Service]
    #: Who and what does some service, by name; a retired one only if the calendar is theirs.
    able: list[Resource]
    offered: Offered | None


@blueprint.get("/phone", endpoint="phone")
def calendars_list() -> ResponseReturnValue:
    def read(at: Session, org_id: uuid.UUID) -> dict[str, Any]:
        now = clock.now(at)
        every = calendars.list_of_clinic(at, org_id)
        known = resources.list_of_clinic(at, org_id, retired=True)
        offered = services.list_of_clinic(at, org_id)
        return {
            "found": [(each, calendar_changes.offered(at, each, now)) for each in every],
            "names": {each.id: each.name for each in known},
            "services": {each.id: each for each in services.list_of_clinic(at, org_id, retired=True)},
            "can_have_first": not every and any(each.by_phone for each in offered),
            "credentials": organizations.credentials_in_force(at, org_id),
        }

    return render_template("dashboard/settings/phone.html", **in_clinic(read), kinds=_KINDS)


@blueprint.post("/phone/first")
def add_first_calendar() -> ResponseReturnValue:
    def work(at: Session, org_id: uuid.UUID, made: SetUpChange) -> str:
        return calendar_changes.add_first(at, made, org_id).id

    change(work, "Callers can book now: they are offered anyone who can do the service.", happened=_is_there)
    return _to_list()


@blueprint.get("/phone/add")
def new_calendar() -> ResponseReturnValue:
    return _shown(in_clinic(lambda at, org_id: _page(at, org_id, None)))


@blueprint.post("/phone/add")
def add_calendar() -> ResponseReturnValue:
    def work(at: Session, org_id: uuid.UUID, made: SetUpChange) -> str:
        calendar_id = typed.line("id") or None
        return calendar_changes.add(at, made, org_id=org_id, calendar_id=calendar_id, **_typed()).id

    if change(work, f"{typed.line('name')} was added.", happened=_is_there) is None:
        return _again(None)
    return _to_list()


@blueprint.get("/calendar/<path:calendar_id>")
def calendar(calendar_id: str) -> ResponseReturnValue:
    def read(at: Session, org_id: uuid.UUID) -> Page | None:
        found = at.get(Calendar, (org_id, addresses.known(calendar_id)))
        return _page(at, org_id, found) if found else None

    return _shown(in_clinic(read) or abort(HTTPStatus.NOT_FOUND))


@blueprint.post("/calendar/<path:calendar_id>")
def change_calendar(calendar_id: str) -> ResponseReturnValue:
    def work(at: Session, _: uuid.UUID, made: SetUpChange) -> str:
        row = typed.locked(at, Calendar, calendar_id)
        typed.assert_as_seen(_facts(row))
        calendar_changes.alter(at, made, row, **_typed())
        return typed.mark(_facts(row))

    def is_so(at: Session, mark: str) -> bool:
        row = at.get(Calendar, (signed().org_id, calendar_id))
        return row is not None and typed.mark(_facts(row)) == mark

    if change(work, f"{typed.line('name')} was changed.", happened=is_so) is None:
        return _again(calendar_id)
    return _to_list()


def _is_there(at: Session, calendar_id: str) -> bool:
    return at.get(Calendar, (signed().org_id, calendar_id)) is not None


def _to_list() -> ResponseReturnValue:
    return redirect(url_for(".phone"), HTTPStatus.SEE_OTHER)


# --- the form ---------------------------------------------------------------------------------------


def _typed() -> dict[str, Any]:
    """What was typed, for the verbs of calendar_changes. Raises Impossible for what cannot be read."""
    hold_minutes = typed.whole_number("hold_minutes", "Minutes that a time is held")
    if hold_minutes is None:
        raise Impossible("say for how many minutes a time is held")
    return {
        "name": typed.line("name"),
        "time_zone": typed.line("time_zone"),
        "service_id": next(filter(None, typed.chosen("service")), None),
        "resource_id": next(filter(None, typed.chosen("who")), None),
        "hold_minutes": hold_minutes,
    }


def _facts(row: Calendar) -> dict[str, object]:
    """What the form can change."""
    return {
        "name": row.name,
        "time_zone": row.time_zone,
        "service": row.service_id,
        "who": row.resource_id,
        "hold_minutes": row.hold_minutes,
    }


def _page(at: Session, org_id: uuid.UUID, row: Calendar | None) -> Page:
    """The page as the rows have it."""
    offered = services.list_of_clinic(at, org_id)
    doing = {able.id for each in offered for able in services.who_can_do(at, each)}
    every = resources.list_of_clinic(at, org_id, retired=True)
    own = row.resource_id if row else None
    able = [each for each in every if each.id == own or (each.id in doing and each.retired_at is None)]
    if row is None:
        there = [each.time_zone for each in calendars.list_of_clinic(at, org_id)]
        zones = there or [each.time_zone for each in able]
        facts: dict[str, object] = {"time_zone": next(iter(zones), ""), "hold_minutes": 10}
    else:
        facts = _facts(row)
    return Page(
        calendar=row,
        mark=typed.mark(facts),
        given=MultiDict((name, str("" if fact is None else fact)) for name, fact in facts.items()),
        services=offered,
        able=able,
        offered=calendar_changes.offered(at, row, clock.now(at)) if row else None,
    )


def _again(calendar_id: str | None) -> ResponseReturnValue:
    """The form with what was typed, after it was refused; it says why."""

    def read(at: Session, org_id: uuid.UUID) -> Page | None:
        row = at.get(Calendar, (org_id, calendar_id)) if calendar_id else None
        return _page(at, org_id, row) if row or not calendar_id else None

    page = in_clinic(read) or abort(HTTPStatus.NOT_FOUND)
    return _shown(page, request.form), HTTPStatus.BAD_REQUEST


def _shown(page: Page, refused: MultiDict[str, str] | None = None) -> str:
    return render_template(
        "dashboard/settings/phone_calendar.html",
        page="phone",
        form=page,
        given=page.given if refused is None else refused,
        hold_minutes=HOLD_MINUTES,
    )
