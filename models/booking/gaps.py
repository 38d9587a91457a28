"""What of a clinic's set-up is allowed but offers nothing, each in a sentence that says what to change.

Nothing here is refused, because a clinic may be set up in any order, and because hours and closures change.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import bookables, resources, services
from models.booking.hours import WEEKDAY_NAMES
from models.booking.openings import Span, Timetable, instant
from models.booking.resources import Resource, ResourceHours, ResourceKind
from models.booking.services import UNNAMED, Service
from models.clinics import calendars

#: How far ahead openings are looked at, in days: every weekday, and the dates that differ soon.
_AHEAD = 28

_KINDS = tuple(ResourceKind)


class About(StrEnum):
    """What has to be changed."""

    PEOPLE = "people"
    SERVICES = "services"
    CALENDARS = "calendars"


def find(session: Session, org_id: uuid.UUID) -> list[str]:
    """The sentences, in the order: people, rooms, services, calendars."""
    return list(dict.fromkeys(says for _, says in find_with_subject(session, org_id)))


def find_with_subject(session: Session, org_id: uuid.UUID) -> list[tuple[About, str]]:
    """The same, each with what it is about."""
    clinic = _Clinic(session, org_id)
    found = [(About.PEOPLE, says) for says in (*clinic.people(), *clinic.rooms())]
    found += [(About.SERVICES, says) for says in clinic.services()]
    found += [(About.CALENDARS, says) for says in (*clinic.calendars(), *clinic.zones())]
    return list(dict.fromkeys(found))


def find_of(session: Session, org_id: uuid.UUID, resource_id: str) -> list[str]:
    """The sentences that are about this person, room or device."""
    clinic = _Clinic(session, org_id, only=resource_id)
    return list(dict.fromkeys((*clinic.people(), *clinic.rooms(), *clinic.zones())))


class _Clinic:
    def __init__(self, session: Session, org_id: uuid.UUID, *, only: str | None = None) -> None:
        self._only = only
        self._now: datetime = clock.now(session)
        every = resources.list_of_clinic(session, org_id, retired=True)
        self._every = {each.id: each for each in every}
        self._active = [each for each in every if not each.retired_at]
        self._times: dict[str, Timetable] = {
            each.id: found
            for each in self._active
            if (found := bookables.find_timetable(session, org_id, each.id)) is not None
        }
        self._services: list[tuple[Service, list[Resource]]] = [
            (each, [able for able in services.who_can_do(session, each) if not able.retired_at])
            for each in services.list_of_clinic(session, org_id)
        ]
        self._with_hours = set(
            session.scalars(select(ResourceHours.resource_id).where(ResourceHours.org_id == org_id))
        )
        self._calendars = calendars.list_of_clinic(session, org_id)

    def people(self) -> Iterator[str]:
        working = {each.id for _, able in self._services for each in _leaders(able)}
        for each in filter(self._is_meant, self._active):
            if each.id in working and not self._spans(each):
                yield f"{_named(each)} has no hours in the next four weeks and is not offered; set hours"

    def rooms(self) -> Iterator[str]:
        """Where a person works in a room that is closed then, every week or on a date."""
        dates = {day for times in self._times.values() for day in times.own}
        for person in filter(self._is_meant, self._active):
            times = self._times[person.id]
            first = self._now.astimezone(times.zone).date()
            coming = {first + timedelta(days=number) for number in range(_AHEAD)}
            closed: dict[tuple[str, int], list[tuple[date, bool]]] = {}
            for day in sorted(coming | {each for each in dates if each > first}):
                for period in times.periods(day):
                    if period.room in self._times:
                        begins, ends = (
                            instant(day, each, times.zone) for each in (period.begins, period.until)
                        )
                        is_open = self._times[period.room].is_open(begins, ends)
                        closed.setdefault((period.room, day.weekday()), []).append((day, is_open))
            for (room_id, weekday), found in closed.items():
                who, room = _named(person), _named(self._every[room_id])
                days = [day for day, is_open in found if not is_open]
                if len(days) == len(found) > 1:
                    yield (
                        f"{who} works in {room} on {WEEKDAY_NAMES[weekday]}s when it"
                        " is closed, and is not offered then; change the hours of one of them"
                    )
                else:
                    for day in dict.fromkeys(days):
                        yield (
                            f"{room} is closed on {day} when {who} works there"
                            " and is not offered then; close that time for the person too, or open it in"
                            " another room"
                        )

    def services(self) -> Iterator[str]:
        for service, able in self._services:
            leaders = _leaders(able)
            if not leaders:
                yield f"nobody does the service {service.id} any more; say who does, or retire it"
                continue
            rooms = {each.id for each in able if each.kind is ResourceKind.ROOM}
            spans = [
                span
                for each in leaders
                for span in self._spans(each)
                if not (
                    rooms and span.room and leaders[0].kind is ResourceKind.PERSON and span.room not in rooms
                )
            ]
            longest = max((span.ends - span.begins for span in spans), default=None)
            if longest is None:
                if any(self._spans(each) for each in leaders):
                    yield (
                        f"those who do the service {service.id} work in none of its rooms, so it is never"
                        " offered; add a room to it, or change the rooms of their hours"
                    )
            elif longest < timedelta(minutes=service.minutes):
                minutes = int(longest.total_seconds()) // 60
                yield (
                    f"the service {service.id} takes {service.minutes} minutes, and those who do it are open"
                    f" for at most {minutes} at a time, so it is never offered; shorten it, or lengthen their"
                    " hours"
                )

    def calendars(self) -> Iterator[str]:
        for each in self._calendars:
            whose = self._every.get(each.resource_id or "")
            if whose and whose.retired_at:
                yield (
                    f"the calendar {each.id} is of {_named(whose)}, who is retired, and offers everybody who"
                    " does the service; give it to somebody else"
                )

    def zones(self) -> Iterator[str]:
        zones = {each.time_zone for each in self._calendars}
        named = {each.resource_id for each in self._calendars}
        for service, able in self._services:
            for leader in filter(self._is_meant, _leaders(able)):
                if zones and leader.time_zone not in zones and leader.id not in named:
                    yield (
                        f"{_named(leader)} is in the zone {leader.time_zone}, which no calendar has, so"
                        f" {_called(service)} is not offered there; add a calendar of that zone"
                    )

    def _is_meant(self, resource: Resource) -> bool:
        return self._only in (None, resource.id)

    def _spans(self, resource: Resource) -> list[Span]:
        """Open time of the next weeks; none for a room or device that leads and has no hours."""
        if resource.kind is not ResourceKind.PERSON and resource.id not in self._with_hours:
            return []
        times = self._times[resource.id]
        first = self._now.astimezone(ZoneInfo(resource.time_zone)).date()
        return times.spans(first, first + timedelta(days=_AHEAD))


def _leaders(able: list[Resource]) -> list[Resource]:
    first = min((each.kind for each in able), key=_KINDS.index, default=None)
    return [each for each in able if each.kind is first]


def _named(resource: Resource) -> str:
    return resource.name if resource.name == resource.id else f"{resource.name} ({resource.id})"


def _called(service: Service) -> str:
    return "its appointment" if service.name == UNNAMED else service.name
