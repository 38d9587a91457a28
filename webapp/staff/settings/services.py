"""/dashboard/settings/services: what can be booked, by which rules, and who and what can do it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from models.booking import resources, service_changes, services
from models.booking.hours import Impossible
from models.booking.resources import Resource, ResourceKind
from models.booking.services import RULES, Service, Worth
from models.booking.set_up_change import SetUpChange
from models.clinics import organizations
from webapp.staff import addresses
from webapp.staff.guard import in_clinic, signed
from webapp.staff.settings import typed
from webapp.staff.settings.owners import blueprint, change

#: The units in which the minimum notice is given, in minutes; the longest that fits is shown.
UNITS = {"days": 24 * 60, "hours": 60, "minutes": 1}


@dataclass(frozen=True)
class Page:
    """The page of one service, or the form of a new one: what is set, and what there is to choose from."""

    #: None for a new one.
    service: Service | None
    #: Of what is set (typed.mark).
    mark: str
    #: What the fields show.
    given: MultiDict[str, str]
    #: Who and what there is, by kind; the retired ones only where the service has them.
    able: dict[ResourceKind, list[Resource]]
    #: The names of the calendars that mean it where none is named.
    default_of: list[str]
    #: What the clinic's rules for scoring say of its name, which counts while it has no worth of its own.
    worth_by_rules: str | None


@blueprint.get("/services", endpoint="services")
def services_list() -> ResponseReturnValue:
    def read(at: Session, org_id: uuid.UUID) -> list[tuple[Service, list[Resource]]]:
        every = services.list_of_clinic(at, org_id, retired=True)
        return [(each, services.who_can_do(at, each)) for each in every]

    every = in_clinic(read)
    return render_template(
        "dashboard/settings/services.html",
        offered=[(each, able) for each, able in every if each.retired_at is None],
        retired=[(each, able) for each, able in every if each.retired_at is not None],
    )


@blueprint.post("/services/order")
def order_services() -> ResponseReturnValue:
    """Name one service before or after its neighbour."""
    which, up = request.form.get("service", ""), "up" in request.form

    def work(at: Session, org_id: uuid.UUID, made: SetUpChange) -> list[str]:
        order = service_changes.move(at, org_id, addresses.known(which), up=up)
        made.done()
        return order if order is not None else abort(HTTPStatus.NOT_FOUND)

    def is_so(at: Session, order: list[str]) -> bool:
        return [each.id for each in services.list_of_clinic(at, signed().org_id)] == order

    change(work, "Callers hear the services in this order now.", happened=is_so)
    return _to_list()


@blueprint.get("/services/add")
def new_service() -> ResponseReturnValue:
    return _shown(in_clinic(lambda at, org_id: _page(at, org_id, None)))


@blueprint.post("/services/add")
def add_service() -> ResponseReturnValue:
    def work(at: Session, org_id: uuid.UUID, made: SetUpChange) -> str:
        return service_changes.add(at, made, org_id=org_id, **_typed()).id

    def is_there(at: Session, service_id: str) -> bool:
        return services.get_or_none(at, signed().org_id, service_id) is not None

    if change(work, f"{typed.line('name')} was added.", happened=is_there) is None:
        return _again(None)
    return _to_list()


@blueprint.get("/service/<path:service_id>")
def service(service_id: str) -> ResponseReturnValue:
    def read(at: Session, org_id: uuid.UUID) -> Page | None:
        found = services.get_or_none(at, org_id, addresses.known(service_id))
        return _page(at, org_id, found) if found else None

    return _shown(in_clinic(read) or abort(HTTPStatus.NOT_FOUND))


@blueprint.post("/service/<path:service_id>")
def change_service(service_id: str) -> ResponseReturnValue:
    def work(at: Session, _: uuid.UUID, made: SetUpChange) -> str:
        row = typed.locked(at, Service, service_id)
        typed.assert_as_seen(_facts(at, row))
        rules = _typed()
        none = [rule for rule in service_changes.MAY_BE_NONE if rules[rule] is None]
        service_changes.alter(at, made, row, none=none, **rules)
        return typed.mark(_facts(at, row))

    def is_so(at: Session, mark: str) -> bool:
        row = services.get_or_none(at, signed().org_id, service_id)
        return row is not None and typed.mark(_facts(at, row)) == mark

    if change(work, f"{typed.line('name')} was changed.", happened=is_so) is None:
        return _again(service_id)
    return redirect(url_for(".service", service_id=service_id), HTTPStatus.SEE_OTHER)


@blueprint.post("/service/<path:service_id>/retire")
def retire_service(service_id: str) -> ResponseReturnValue:
    """Offer it no more, or again."""
    undo = "undo" in request.form

    def work(at: Session, _: uuid.UUID, made: SetUpChange) -> bool:
        row = typed.locked(at, Service, service_id)
        (service_changes.take_back if undo else service_changes.retire)(at, made, row)
        return True

    if change(
        work,
        "It is offered again." if undo else "Retired: nobody can book it any more. What is booked stands.",
    ):
        return _to_list()
    return redirect(url_for(".service", service_id=service_id), HTTPStatus.SEE_OTHER)


def _to_list() -> ResponseReturnValue:
    return redirect(url_for(".services"), HTTPStatus.SEE_OTHER)


# --- the form ---------------------------------------------------------------------------------------


def _typed() -> dict[str, Any]:
    """What was typed, for the verbs of service_changes. Raises Impossible for what cannot be read."""
    minutes = typed.whole_number("minutes", "Minutes")
    if minutes is None:
        raise Impossible("say how many minutes an appointment lasts")
    step = typed.whole_number("step_minutes", "A start every … minutes")
    notice = typed.whole_number("notice", "At the soonest")
    worth = request.form.get("worth", "")
    if worth and worth not in set(Worth):
        abort(HTTPStatus.BAD_REQUEST)
    return {
        "name": typed.line("name"),
        "words": typed.lines("words"),
        "minutes": minutes,
        "minutes_before": typed.whole_number("minutes_before", "Kept free before") or 0,
        "minutes_after": typed.whole_number("minutes_after", "Kept free after") or 0,
        "step_minutes": minutes if step is None else step,
        "min_notice_minutes": (notice or 0) * UNITS.get(request.form.get("unit", ""), 1),
        "horizon_days": _or_usual(typed.whole_number("horizon_days", "At the latest"), "horizon_days"),
        "most_per_day": typed.whole_number("most_per_day", "At most a day"),
        "by_phone": "by_phone" in request.form,
        "by_link": "by_link" in request.form,
        "worth": Worth(worth) if worth else None,
        "who": typed.chosen("who"),
    }


def _or_usual(number: int | None, rule: str) -> int:
    return int(RULES[rule]) if number is None else number


def _page(at: Session, org_id: uuid.UUID, row: Service | None) -> Page:
    """The page as the rows have it."""
    every = resources.list_of_clinic(at, org_id, retired=True)
    doing = {each.id for each in services.who_can_do(at, row)} if row else set()
    there = [each for each in every if each.retired_at is None or each.id in doing]
    facts = service_changes.facts(at, row) if row else {}
    if row is None:
        people = [each for each in there if each.kind is ResourceKind.PERSON]
        doing = {each.id for each in people} if len(people) == 1 else set()
    return Page(
        service=row,
        mark=typed.mark(_facts(at, row)) if row else "",
        given=_fields(row, doing),
        able={kind: [each for each in there if each.kind is kind] for kind in ResourceKind},
        default_of=facts.get("default_of", []),
        worth_by_rules=_worth_by_rules(at, org_id, row.name) if row else None,
    )


def _worth_by_rules(at: Session, org_id: uuid.UUID, name: str) -> str | None:
    clinic = organizations.get_or_none(at, org_id)
    worths = (clinic.lead_rules or {}).get("services") if clinic else None
    known = worths.items() if isinstance(worths, dict) else ()
    return next((str(worth) for each, worth in known if each.strip().casefold() == name.casefold()), None)


def _facts(at: Session, row: Service) -> dict[str, Any]:
    """What the form can change; where it stands among the others, and what it is to calendars, is no part."""
    left_out = {"position", "default_of"}
    return {name: fact for name, fact in service_changes.facts(at, row).items() if name not in left_out}


def _fields(row: Service | None, doing: set[str]) -> MultiDict[str, str]:
    """The fields as they are set, or as they usually are."""
    rules = {rule: getattr(row, rule) if row else usual for rule, usual in RULES.items()}
    notice = rules["min_notice_minutes"]
    unit = next(each for each, minutes in UNITS.items() if notice % minutes == 0)
    shown = {
        **{rule: rules[rule] for rule in ("minutes", "minutes_before", "minutes_after", "horizon_days")},
        "name": row.name if row else "",
        "words": ", ".join(row.words) if row else "",
        "step_minutes": rules["step_minutes"] if row else "",
        "notice": notice // UNITS[unit],
        "unit": unit if notice else "hours",
        "most_per_day": rules["most_per_day"] or "",
        "worth": (row and row.worth) or "",
    }
    given = MultiDict((name, str(value)) for name, value in shown.items())
    given.setlist("who", sorted(doing))
    for rule in ("by_phone", "by_link"):
        if rules[rule]:
            given.add(rule, "1")
    return given


def _again(service_id: str | None) -> ResponseReturnValue:
    """The form with what was typed, after it was refused; the next page says why."""

    def read(at: Session, org_id: uuid.UUID) -> Page | None:
        row = services.get_or_none(at, org_id, service_id) if service_id else None
        return _page(at, org_id, row) if row or not service_id else None

    page = in_clinic(read) or abort(HTTPStatus.NOT_FOUND)
    return _shown(page, request.form), HTTPStatus.BAD_REQUEST


def _shown(page: Page, refused: MultiDict[str, str] | None = None) -> str:
    return render_template(
        "dashboard/settings/service.html",
        page="services",
        form=page,
        given=page.given if refused is None else refused,
        is_refused=refused is not None,
        units=UNITS,
        worths=list(Worth),
    )
