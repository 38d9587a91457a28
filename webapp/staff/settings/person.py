"""/dashboard/settings/people/…: one person, room or device: name, zone, services, and retiring it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from models.booking import abilities, gaps, hours, names, resources, retirement, services, set_up, standing
from models.booking.hours import Impossible
from models.booking.resources import Resource, ResourceKind
from models.booking.services import Service
from models.booking.set_up_change import SetUpChange, find_locked
from models.clinics import calendars, zones
from webapp.staff import addresses, given
from webapp.staff.guard import in_clinic
from webapp.staff.settings import closures, said
from webapp.staff.settings.owners import blueprint, change


@dataclass(frozen=True, slots=True)
class Shown:
    """What the pages of one person, room or device show; `names` are those of all, by id."""

    resource: Resource
    weekly: dict[str, list[list[str]]]
    hours: str
    does: list[Service]
    services: list[Service]
    rooms: list[Resource]
    dates: list[closures.Run]
    gaps: list[str]
    has_calendar: bool
    names: dict[str, str]


@blueprint.get("/people/<path:resource_id>")
def person(resource_id: str) -> ResponseReturnValue:
    return _page(resource_id)


@blueprint.post("/people/<path:resource_id>")
def change_person(resource_id: str) -> ResponseReturnValue:
    """Change the name and the zone. Hours go by the new zone, and what is booked stays at its instant."""

    def work(at: Session, row: Resource, made: SetUpChange) -> None:
        name, zone = typed_name(), given.text("zone", 80)
        assert_seen((row.name, row.time_zone), (name, zone), f"{row.name}, {row.time_zone}")
        is_moved = zone != row.time_zone
        set_up.change_resource(at, row, name=name, time_zone=zone)
        made.done(standing.find(at, row.org_id, resource_ids=[row.id]) if is_moved else ())

    if not change_locked(resource_id, work, "Saved."):
        return _page(resource_id), HTTPStatus.BAD_REQUEST
    return to_page(resource_id)


@blueprint.get("/people/<path:resource_id>/services")
def services_of(resource_id: str) -> ResponseReturnValue:
    return _services(resource_id)


@blueprint.post("/people/<path:resource_id>/services")
def change_services_of(resource_id: str) -> ResponseReturnValue:
    wanted = sorted({each.replace("\x00", "") for each in request.form.getlist("service")})

    def work(at: Session, row: Resource, made: SetUpChange) -> None:
        now = services.done_by(at, row.org_id, row.id)
        before = sorted(each.id for each in now)
        assert_seen(before, wanted, ", ".join(each.name for each in now) or "none")
        abilities.set_services(at, row, wanted)
        made.done(standing.find(at, row.org_id, resource_ids=[row.id]) if set(before) - set(wanted) else ())

    if not change_locked(resource_id, work, "The services were saved."):
        return _services(resource_id), HTTPStatus.BAD_REQUEST
    return to_page(resource_id)


@blueprint.post("/people/<path:resource_id>/retire")
def retire(resource_id: str) -> ResponseReturnValue:
    """Offer it no more, or again. What is booked stands."""
    undo = "undo" in request.form

    def work(at: Session, row: Resource, made: SetUpChange) -> None:
        if undo:
            retirement.take_back(at, row)
        else:
            retirement.retire_resource(at, row)
        made.done(standing.find(at, row.org_id, resource_ids=[row.id]))

    change_locked(
        resource_id,
        work,
        "Offered again." if undo else "Retired: nobody can book it any more. What is booked stands.",
    )
    return to_page(resource_id)


# --- what the pages of one share ----------------------------------------------------------------------


def typed_name() -> str:
    """One character more than a name may have, so that one that is too long is refused and not cut."""
    return given.text("name", names.LONGEST + 1)


def to_page(resource_id: str) -> Response:
    return redirect(url_for("dashboard.settings.person", resource_id=resource_id), HTTPStatus.SEE_OTHER)


def change_locked(
    resource_id: str, work: Callable[[Session, Resource, SetUpChange], None], done: str
) -> bool:
    """Make a change of one row, which nobody else changes meanwhile; whether it was done. Aborts with 404."""

    def within(at: Session, org_id: uuid.UUID, made: SetUpChange) -> bool:
        row = find_locked(at, Resource, org_id, addresses.known(resource_id))
        if row is None:
            abort(HTTPStatus.NOT_FOUND)
        work(at, row, made)
        return True

    return bool(change(within, done))


def mark(of: object) -> str:
    """What a form gives back, to tell whether what it showed has been changed since."""
    return hashlib.sha256(repr(of).encode()).hexdigest()[:16]


def assert_seen(now: object, wanted: object, words: str) -> None:
    """Raises Impossible if somebody has changed what a form shows since it was opened; `words` for it."""
    if now != wanted and request.form.get("seen") not in (None, mark(now)):
        raise Impossible(
            f"somebody else has changed this since you opened the page (it is now: {words}); save again to"
            " have it as you typed it"
        )


def read(resource_id: str) -> Shown:
    """What the pages show of one. Aborts with 404."""

    def within(at: Session, org_id: uuid.UUID) -> Shown:
        row = resources.get_or_none(at, org_id, addresses.known(resource_id))
        if row is None:
            abort(HTTPStatus.NOT_FOUND)
        every = resources.list_of_clinic(at, org_id, retired=True)
        known = {each.id: each.name for each in every}
        week = hours.read(at, org_id, row.id)
        used = {period[2] for periods in week.values() for period in periods if period[2:]}
        return Shown(
            resource=row,
            weekly=week,
            hours=said.week(week, known),
            does=services.done_by(at, org_id, row.id),
            services=services.list_of_clinic(at, org_id),
            rooms=[
                each
                for each in every
                if each.kind is ResourceKind.ROOM and (not each.retired_at or each.id in used)
            ],
            dates=[each for each in closures.coming(at, org_id) if each.resource_id == row.id],
            gaps=[] if row.retired_at else gaps.find_of(at, org_id, row.id),
            has_calendar=bool(calendars.list_of_clinic(at, org_id)),
            names=known,
        )

    return in_clinic(within)


def _page(resource_id: str) -> str:
    shown = read(resource_id)
    row = shown.resource
    return render_template(
        "dashboard/settings/person.html",
        shown=shown,
        zones=zones.choices(),
        name=request.form.get("name", row.name),
        zone=request.form.get("zone", row.time_zone),
        seen=mark((row.name, row.time_zone)),
        longest=names.LONGEST,
        page="people",
    )


def _services(resource_id: str) -> str:
    shown = read(resource_id)
    does = [each.id for each in shown.does]
    return render_template(
        "dashboard/settings/person_services.html",
        shown=shown,
        wanted=request.form.getlist("service") if request.method == "POST" else does,
        seen=mark(sorted(does)),
        page="people",
    )
