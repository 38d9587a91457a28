"""/dashboard/settings/people: the list of people, rooms and devices, and adding one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from http import HTTPStatus

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.booking import hours, names, resources, services, set_up
from models.booking.hours import Impossible
from models.booking.resources import Resource, ResourceKind
from models.booking.set_up_change import SetUpChange, lock_clinic
from models.clinics import zones
from webapp.staff import given
from webapp.staff.guard import in_clinic, signed
from webapp.staff.settings import person, said, weekly
from webapp.staff.settings.owners import blueprint, change

#: The other modules with pages of one person, room or device: importing them has added these.
_OTHERS = (person, weekly)

_TITLES = {
    ResourceKind.PERSON: "People",
    ResourceKind.ROOM: "Rooms",
    ResourceKind.DEVICE: "Devices",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One of the list: when it works and what it does, in words."""

    resource: Resource
    hours: str
    services: str


@blueprint.get("/people")
def people() -> ResponseReturnValue:
    return _list()


@blueprint.post("/people")
def add_resource() -> ResponseReturnValue:
    """Add a person, room or device; its page says what is missing until it is offered."""
    name = person.typed_name()
    kind = request.form.get("kind", "")

    def work(at: Session, org_id: uuid.UUID, made: SetUpChange) -> str:
        if kind not in set(ResourceKind):
            raise Impossible("choose a person, a room or a device")
        lock_clinic(at, org_id)  # of two people who add at once, the second sees the first's name and id
        row = set_up.add_resource(
            at, org_id=org_id, kind=ResourceKind(kind), name=name, time_zone=given.text("zone", 80)
        )
        made.done()
        made.notes.clear()  # the page that follows says what is missing
        return row.id

    def is_there(at: Session, resource_id: str) -> bool:
        return resources.get_or_none(at, signed().org_id, resource_id) is not None

    added = change(work, f"{name} was added.", happened=is_there)
    if added is None:
        return _list(), HTTPStatus.BAD_REQUEST
    return person.to_page(added)


def _list() -> str:
    def read(at: Session, org_id: uuid.UUID) -> tuple[list[Line], str]:
        every = resources.list_of_clinic(at, org_id, retired=True)
        known = {each.id: each.name for each in every}
        lines = [
            Line(
                each,
                said.week(hours.read(at, org_id, each.id), known),
                ", ".join(service.name for service in services.done_by(at, org_id, each.id)),
            )
            for each in every
        ]
        return lines, zones.proposed(at, org_id)

    lines, zone = in_clinic(read)
    return render_template(
        "dashboard/settings/people.html",
        groups=[
            (title, [each for each in lines if each.resource.kind is kind and not each.resource.retired_at])
            for kind, title in _TITLES.items()
        ],
        retired=[each for each in lines if each.resource.retired_at],
        kinds=list(ResourceKind),
        zones=zones.choices(),
        zone=request.form.get("zone", zone),
        given=request.form,
        longest=names.LONGEST,
    )
