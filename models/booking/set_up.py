"""What a clinic sets up: people, rooms and devices, services, and calendars.

Each verb refuses what could never work, in a sentence (hours.Impossible); the transaction is rolled back.
What is allowed and offers nothing is for models/booking/gaps.py to say.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import available_timezones

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import hours, names, resources, retirement, services, set_up_change
from models.booking.hours import Hours, Impossible
from models.booking.resources import Resource, ResourceKind
from models.booking.services import LIMITS, RULES, UNNAMED, Service, ServiceResource
from models.clinics.calendars import Calendar

# --- people, rooms and devices --------------------------------------------------------------------


def add_resource(
    session: Session,
    *,
    org_id: uuid.UUID,
    kind: ResourceKind,
    name: str,
    time_zone: str,
    resource_id: str | None = None,
    opening: Hours | None = None,
) -> Resource:
    """Add a person, room or device; its id is made from the name if not given.

    Raises Impossible if the id is taken or the zone is none; without an id, also if there is one of the name.
    """
    names.assert_right(name)
    assert_zone(time_zone)
    if resource_id is None:
        there_are = resources.list_of_clinic(session, org_id, retired=True)
        if any(each.name == name and not each.retired_at for each in there_are):
            raise Impossible(f"there is a {name} already; give this {kind} another name")
        resource_id = names.free_id(name, {each.id for each in there_are}, otherwise=kind)
    if not resource_id.strip():
        raise Impossible("a person, room or device needs an id")
    if there := resources.get_or_none(session, org_id, resource_id):
        also = ", who is retired" if there.retired_at else ""
        raise Impossible(f"there is a {resource_id} already{also}")
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


def change_resource(
    session: Session, resource: Resource, *, name: str | None = None, time_zone: str | None = None
) -> None:
    """Change the name or the zone; hours go by the new zone, and what is booked stays at its instant."""
    if time_zone is not None:
        assert_zone(time_zone)
        resource.time_zone = time_zone
    if name is not None:
        names.assert_right(name)
        resource.name = name
    session.flush()


def assert_zone(time_zone: str) -> None:
    """Raises Impossible if it is no IANA name of a time zone."""
    if time_zone not in available_timezones():
        raise Impossible(f"{time_zone!r} is no time zone; they are written like Europe/London")


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

    `rules` are columns of services. Raises Impossible if nobody can do it, or if a rule is out of its range.
    One that is longer than any opening is added all the same, as hours may come later (models/booking/gaps.py
    says so).
    """
    there = services.list_of_clinic(session, org_id, retired=True)
    known = {each.id for each in there}
    if service_id in known:
        raise Impossible(f"there is a service {service_id} already")
    row = Service(
        org_id=org_id,
        id=service_id or names.free_id(name, known, otherwise="service"),
        position=max((each.position for each in there), default=0) + 1,
        created_at=clock.now(session),
    )
    _apply(row, name=name, **rules)
    session.add(row)
    session.flush()
    set_resources(session, org_id, row.id, resource_ids)
    return row


def change_service(session: Session, service: Service, **rules: Any) -> None:
    """Change the name or the rules that are not None. What is booked keeps its time and its length."""
    _apply(service, **rules)
    session.flush()


def _apply(service: Service, **rules: Any) -> None:
    """Raises Impossible for an empty name, and for a number out of its range."""
    given = {rule: value for rule, value in rules.items() if value is not None}
    if not given.get("name", "a name").strip():
        raise Impossible("a service needs a name")
    for rule, (least, most) in LIMITS.items():
        if rule in given and not least <= given[rule] <= most:
            raise Impossible(f"{rule.replace('_', ' ')} is from {least} to {most}, and not {given[rule]}")
    for rule, value in given.items():
        setattr(service, rule, value)


def assert_told_apart(session: Session, service: Service) -> None:
    """Raises Impossible if a service shares its name, or a word that callers say for it, with another."""
    set_up_change.lock_clinic(session, service.org_id)
    own = {_heard(each) for each in (service.name, *service.words)}
    for other in services.list_of_clinic(session, service.org_id):
        if other.id != service.id and own & {_heard(each) for each in (other.name, *other.words)}:
            raise Impossible(
                f"callers say the same for {service.id} and for {other.id}; give one of them another name or"
                " word"
            )


def _heard(words: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", words.casefold()))


def set_resources(session: Session, org_id: uuid.UUID, service_id: str, resource_ids: Iterable[str]) -> None:
    """Replace who and what can do a service. Those who are retired stay if they are named again.

    Raises Impossible if one is unknown, if none is left, or if of one kind only retired ones are.
    """
    wanted = sorted(set(resource_ids))
    if not wanted:
        raise Impossible("a service needs somebody who can do it, or a room or device")
    before = session.scalars(
        select(ServiceResource.resource_id).where(
            ServiceResource.org_id == org_id, ServiceResource.service_id == service_id
        )
    ).all()
    known = {
        each.id: each
        for each in resources.list_of_clinic(session, org_id, retired=True)
        if each.retired_at is None or each.id in before
    }
    if missing := [each for each in wanted if each not in known]:
        raise Impossible(f"there is no {missing[0]}; add the person, room or device first")
    there = {known[each].kind for each in wanted if known[each].retired_at is None}
    if gone := [known[each] for each in wanted if known[each].kind not in there]:
        raise Impossible(f"{gone[0].name} is retired; choose another {gone[0].kind} too, or leave it out")
    session.execute(
        delete(ServiceResource).where(
            ServiceResource.org_id == org_id, ServiceResource.service_id == service_id
        )
    )
    session.add_all(
        ServiceResource(org_id=org_id, service_id=service_id, resource_id=each) for each in wanted
    )
    session.flush()


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

    `room`: a room that each of the services needs; calendars with the same room exclude each other. `rules`
    are columns of services. A service of that name, room and rules is shared with the calendars that have it.
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
        elif there.kind is not ResourceKind.ROOM:
            raise Impossible(f"{room} is a {there.kind} and no room")
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
    name_services(session, calendar, service_names, room=room, **rules)
    return calendar


def add_calendar_of(
    session: Session,
    *,
    org_id: uuid.UUID,
    calendar_id: str,
    name: str,
    time_zone: str,
    service_id: str | None,
    resource_id: str | None,
    hold_minutes: int = 10,
) -> Calendar:
    """Add a calendar of somebody or something that is there, or of nobody in particular (None).

    Raises Impossible if there is no such service or resource, or if the one cannot do the other.
    """
    assert_zone(time_zone)
    calendar = Calendar(
        org_id=org_id, id=calendar_id, name=name, time_zone=time_zone, hold_minutes=hold_minutes
    )
    point(session, calendar, service_id=service_id, resource_id=resource_id)
    session.add(calendar)
    session.flush()
    return calendar


def point(session: Session, calendar: Calendar, *, service_id: str | None, resource_id: str | None) -> None:
    """Set the default service of a calendar, and whose it is. Raises Impossible as `add_calendar_of`."""
    org_id = calendar.org_id
    service = service_id and services.get_or_none(session, org_id, service_id)
    if not service or service.retired_at:
        raise Impossible(
            f"there is no service {service_id}" if service_id else "a calendar needs a default service"
        )
    if resource_id is not None:
        resource = resources.get_or_none(session, org_id, resource_id)
        if resource is None or resource.retired_at:
            raise Impossible(f"there is no {resource_id}")
        if resource_id not in _able(session, service):
            raise Impossible(
                f"{resource_id} does not do {service.id}; say with the service who can do it first"
            )
    calendar.service_id, calendar.resource_id = service.id, resource_id


def name_services(
    session: Session, calendar: Calendar, names: Sequence[str], *, room: str | None = None, **rules: Any
) -> None:
    """Let the person of a calendar do the services of these names alone; the first is the calendar's own.

    A service that the person does already stays as it is. One of other people with the same name, room and
    rules is shared; else one is added with these rules. What nobody does any more is retired.
    """
    org_id, person = calendar.org_id, _person(session, calendar)
    given = {**RULES, **{rule: value for rule, value in rules.items() if value is not None}}
    before = services.done_by(session, org_id, person)
    found = []
    for name in dict.fromkeys(names or [UNNAMED]):
        service = next((each for each in before if each.name == name), None)
        if service is None and (service := _like(session, org_id, name, room, given)):
            session.add(ServiceResource(org_id=org_id, service_id=service.id, resource_id=person))
            session.flush()
        found.append(
            service
            or add_service(
                session,
                org_id=org_id,
                name=name,
                resource_ids=filter(None, [person, room]),
                **given,
            )
        )
    calendar.service_id = found[0].id
    session.flush()
    for service in before:
        if service not in found:
            if _others(session, service, person):
                _leave(session, service, person)
            else:
                retirement.retire_service(session, service)


def change_services(session: Session, calendar: Calendar, **rules: Any) -> list[Service]:
    """Change these rules of every service that the person of a calendar does, for this person alone.

    A service that other people do as well stays as it is for them, and this person does one of the same name
    with the changed rules. Returns the services that were made for that, in order.
    """
    person, made = _person(session, calendar), []
    for service in services.done_by(session, calendar.org_id, person):
        own, others = service, _others(session, service, person)
        if others and any(value not in (None, getattr(service, rule)) for rule, value in rules.items()):
            able = [each for each in _able(session, service) if each not in others]
            _leave(session, service, person)
            same = {rule: getattr(service, rule) for rule in ("name", "words", "worth", *RULES)}
            own = add_service(session, org_id=calendar.org_id, resource_ids=able, **same)
            own.position = service.position
            made.append(own)
            if calendar.service_id == service.id:
                calendar.service_id = own.id
        change_service(session, own, **rules)
    session.flush()
    return made


def _person(session: Session, calendar: Calendar) -> str:
    """The id of the person whose calendar it is. Raises Impossible if it is none of a person."""
    whose = calendar.resource_id and resources.get_or_none(session, calendar.org_id, calendar.resource_id)
    if not whose or whose.kind is not ResourceKind.PERSON:
        raise Impossible(
            f"the calendar {calendar.id} is of no one person; change the services themselves, and who can do"
            " them"
        )
    return whose.id


def _leave(session: Session, service: Service, person: str) -> None:
    session.execute(
        delete(ServiceResource).where(
            ServiceResource.org_id == service.org_id,
            ServiceResource.service_id == service.id,
            ServiceResource.resource_id == person,
        )
    )
    session.flush()


def _like(
    session: Session, org_id: uuid.UUID, name: str, room: str | None, rules: Mapping[str, Any]
) -> Service | None:
    """A service of others with that name, the same room and the same rules."""
    for service in services.list_of_clinic(session, org_id):
        if service.name == name and all(getattr(service, rule) == value for rule, value in rules.items()):
            able = services.who_can_do(session, service)
            people = {each.id for each in able if each.kind is ResourceKind.PERSON}
            if people and {each.id for each in able} - people == ({room} if room else set()):
                return service
    return None


def _able(session: Session, service: Service) -> list[str]:
    """The ids of who and what can do a service."""
    return [each.id for each in services.who_can_do(session, service)]


def _others(session: Session, service: Service, person: str) -> list[str]:
    """The ids of the other people who can do a service."""
    return [
        each.id
        for each in services.who_can_do(session, service)
        if each.kind is ResourceKind.PERSON and each.id != person
    ]
