"""What a clinic sets up: people, rooms and devices, services, and calendars.

Each verb refuses what could never work, in a sentence (hours.Impossible).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import available_timezones

from sqlalchemy import delete
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import hours, resources, services
from models.booking.hours import Hours, Impossible
from models.booking.resources import Resource, ResourceKind
from models.booking.services import UNNAMED, Service, ServiceResource
from models.clinics.calendars import Calendar

#: The rules of a calendar's services where nothing else is said.
RULES = {"minutes": 30, "step_minutes": 30, "min_notice_minutes": 0, "horizon_days": 90}


# --- people, rooms and devices --------------------------------------------------------------------


def add_resource(
    session: Session,
    *,
    org_id: uuid.UUID,
    resource_id: str,
    kind: ResourceKind,
    name: str,
    time_zone: str,
    opening: Hours | None = None,
) -> Resource:
    """Add a person, room or device. Raises Impossible if the id is taken or the zone is none."""
    if not resource_id.strip() or not name.strip():
        raise Impossible("a person, room or device needs an id and a name")
    if time_zone not in available_timezones():
        raise Impossible(f"{time_zone!r} is no time zone; they are written like Europe/London")
    if resources.get_or_none(session, org_id, resource_id):
        raise Impossible(f"there is a {resource_id} already")
    row = Resource(
        org_id=org_id,
        id=resource_id,
        kind=kind,
        name=name,
        time_zone=time_zone,
        created_at=clock.now(session),
    )
    session.add(row)
    session.flush()
    if opening is not None:
        hours.replace(session, org_id, resource_id, opening)
    return row


# --- services -------------------------------------------------------------------------------------


def add_service(
    session: Session,
    *,
    org_id: uuid.UUID,
    name: str,
    resource_ids: Iterable[str],
    service_id: str | None = None,
    **rules: Any,
) -> Service:
    """Add a service that these people, rooms and devices can do; its id is made from the name if not given.

    `rules` are columns of services. Raises Impossible if nobody can do it, or if it is longer than any opening.
    """
    if not name.strip():
        raise Impossible("a service needs a name")
    there = services.list_of_clinic(session, org_id, retired=True)
    known = {each.id for each in there}
    if service_id in known:
        raise Impossible(f"there is a service {service_id} already")
    row = Service(
        org_id=org_id,
        id=service_id or _free_id(name, known),
        name=name,
        position=max((each.position for each in there), default=0) + 1,
        created_at=clock.now(session),
        **{rule: value for rule, value in rules.items() if value is not None},
    )
    session.add(row)
    session.flush()
    set_resources(session, org_id, row.id, resource_ids)
    return row


def set_resources(session: Session, org_id: uuid.UUID, service_id: str, resource_ids: Iterable[str]) -> None:
    """Replace who and what can do a service. Raises Impossible if one is unknown, or if none is left."""
    wanted = sorted(set(resource_ids))
    if not wanted:
        raise Impossible("a service needs somebody who can do it, or a room or device")
    known = {each.id for each in resources.list_of_clinic(session, org_id)}
    if missing := [each for each in wanted if each not in known]:
        raise Impossible(f"there is no {missing[0]}; add the person, room or device first")
    session.execute(
        delete(ServiceResource).where(
            ServiceResource.org_id == org_id, ServiceResource.service_id == service_id
        )
    )
    session.add_all(
        ServiceResource(org_id=org_id, service_id=service_id, resource_id=each) for each in wanted
    )
    session.flush()


def _free_id(name: str, known: set[str]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "service"
    found, number = slug, 2
    while found in known:
        found, number = f"{slug}-{number}", number + 1
    return found


# --- calendars ------------------------------------------------------------------------------------


def add_calendar(
    session: Session,
    *,
    org_id: uuid.UUID,
    calendar_id: str,
    name: str,
    time_zone: str,
    opening: Hours,
    service_names: Sequence[str] = (),
    room: str | None = None,
    hold_minutes: int = 10,
    **rules: Any,
) -> Calendar:
    """Add a calendar with one person of the same id, who has these hours and does these services.

    `room`: a room that each of the services needs; calendars with the same room exclude each other. `rules` are
    columns of services. A service of that name, room and rules is shared with the calendars that have it.
    """
    person = add_resource(
        session,
        org_id=org_id,
        resource_id=calendar_id,
        kind=ResourceKind.PERSON,
        name=name,
        time_zone=time_zone,
        opening=opening,
    )
    if room is not None:
        there = resources.get_or_none(session, org_id, room)
        if there is None:
            add_resource(
                session,
                org_id=org_id,
                resource_id=room,
                kind=ResourceKind.ROOM,
                name=room,
                time_zone=time_zone,
            )
        elif there.kind is ResourceKind.PERSON:
            raise Impossible(f"{room} is a person and no room")
    calendar = Calendar(
        org_id=org_id,
        id=calendar_id,
        name=name,
        resource_id=person.id,
        time_zone=time_zone,
        hold_minutes=hold_minutes,
    )
    session.add(calendar)
    session.flush()
    set_services(session, calendar, service_names, room=room, **rules)
    return calendar


def set_services(
    session: Session, calendar: Calendar, names: Sequence[str], *, room: str | None = None, **rules: Any
) -> None:
    """Let the person of a calendar do these services and no others; the first is the calendar's own.

    A service that only this person does is changed; one of other people with the same name, room and rules is
    shared; else a new one is made. What nobody does any more is retired. Raises Impossible if the calendar is of
    nobody in particular.
    """
    org_id, person = calendar.org_id, calendar.resource_id
    if person is None:
        raise Impossible(f"the calendar {calendar.id} is of several people; change their services instead")
    given = RULES | {rule: value for rule, value in rules.items() if value is not None}
    before = {
        each.id: each for each in services.list_of_clinic(session, org_id) if person in _able(session, each)
    }
    session.execute(
        delete(ServiceResource).where(ServiceResource.org_id == org_id, ServiceResource.resource_id == person)
    )
    found = []
    for name in dict.fromkeys(names or [UNNAMED]):
        service = _own(session, before.values(), name) or _like(session, org_id, name, room, given)
        if service is None:
            service = add_service(session, org_id=org_id, name=name, resource_ids=[person], **given)
        else:
            session.add(ServiceResource(org_id=org_id, service_id=service.id, resource_id=person))
        if service.id in before or not _able(session, service):
            for rule, value in given.items():
                setattr(service, rule, value)
        if room and room not in _able(session, service):
            session.add(ServiceResource(org_id=org_id, service_id=service.id, resource_id=room))
        session.flush()
        found.append(service)
    calendar.service_id = found[0].id
    for service in before.values():
        if service not in found and not _people(session, service):
            service.retired_at = clock.now(session)
    session.flush()


def _own(session: Session, before: Iterable[Service], name: str) -> Service | None:
    """The service of that name that nobody else does."""
    return next((each for each in before if each.name == name and not _people(session, each)), None)


def _like(
    session: Session, org_id: uuid.UUID, name: str, room: str | None, rules: Mapping[str, Any]
) -> Service | None:
    """A service of others with that name, the same room and the same rules."""
    for service in services.list_of_clinic(session, org_id):
        if service.name == name and all(getattr(service, rule) == value for rule, value in rules.items()):
            able = _able(session, service)
            if able and set(able) - set(_people(session, service)) == ({room} if room else set()):
                return service
    return None


def _able(session: Session, service: Service) -> list[str]:
    """The ids of who and what can do a service."""
    return [each.id for each in services.who_can_do(session, service)]


def _people(session: Session, service: Service) -> list[str]:
    return [each.id for each in services.who_can_do(session, service) if each.kind is ResourceKind.PERSON]
