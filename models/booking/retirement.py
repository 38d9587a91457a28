"""Retiring a person, room, device or service: it is offered no more, and what is booked stands."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import resources, services
from models.booking.hours import Impossible
from models.booking.resources import HoursException, Resource, ResourceHours
from models.booking.services import Service
from models.clinics.calendars import Calendar


def retire_resource(session: Session, resource: Resource) -> None:
    """Book nothing more with a person, room or device; what is booked stands.

    Raises Impossible if a service would be left without one of this kind, and if people work in the room.
    """
    for service in services.lock_done_by(session, resource.org_id, resource.id):
        assert_not_the_only_one(session, resource, service)
    if working := _who_works_in(session, resource):
        raise Impossible(
            f"the hours of {', '.join(working)} name the room {resource.id}; give them another room first"
        )
    resource.retired_at = resource.retired_at or clock.now(session)
    session.flush()


def assert_not_the_only_one(session: Session, resource: Resource, service: Service) -> None:
    """Raises Impossible if a service would have none of this kind without this person, room or device."""
    others = [
        each
        for each in services.who_can_do(session, service)
        if each.kind is resource.kind and each.id != resource.id and not each.retired_at
    ]
    if not others:
        raise Impossible(
            f"{resource.id} is the only {resource.kind} of the service {service.id}; give the service"
            " another one, or retire it first"
        )


def retire_service(session: Session, service: Service) -> None:
    """Offer a service no more; what is booked stands.

    Raises Impossible if a calendar means it where none is named: callers would be offered nothing there.
    """
    meant = session.scalars(
        select(Calendar.id)
        .where(Calendar.org_id == service.org_id, Calendar.service_id == service.id)
        .order_by(Calendar.id)
    ).all()
    if meant:
        raise Impossible(
            f"{service.id} is the default service of the calendar {', '.join(meant)}; give it another default"
            " first"
        )
    service.retired_at = service.retired_at or clock.now(session)
    session.flush()


def take_back(session: Session, row: Resource | Service) -> None:
    """Offer it again, with the hours and rules that it had.

    Raises Impossible for a service whose people, rooms or devices of one kind have all been retired since.
    """
    if isinstance(row, Service):
        able = services.who_can_do(session, row)
        there = {each.kind for each in able if not each.retired_at}
        if gone := [each for each in able if each.kind not in there]:
            raise Impossible(
                f"{row.id} needs a {gone[0].kind}, and none is left (retired:"
                f" {', '.join(each.id for each in gone)}); take one back first"
            )
    row.retired_at = None
    session.flush()


def _who_works_in(session: Session, room: Resource) -> list[str]:
    """The ids of those whose hours name the room, or who are open in it on a date to come."""
    weekly = select(ResourceHours.resource_id).where(
        ResourceHours.org_id == room.org_id, ResourceHours.room_id == room.id
    )
    dated = select(HoursException.resource_id).where(
        HoursException.org_id == room.org_id,
        HoursException.room_id == room.id,
        HoursException.day >= clock.now(session).date(),
    )
    active = {each.id for each in resources.list_of_clinic(session, room.org_id)}
    return sorted({each for query in (weekly, dated) for each in session.scalars(query) if each in active})
