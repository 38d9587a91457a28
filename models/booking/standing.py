"""Appointments that stand although the clinic's set-up would not offer them any more: outside somebody's
hours, with a person, room, device or service that is retired, or under a block.

Nothing is cancelled by a change. Each command that can leave such appointments behind asks here which they
are, so that somebody rings these patients.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import bookables, resources, services
from models.booking.appointments import EXPECTED, Appointment
from models.booking.blocks import Block
from models.booking.openings import Timetable
from models.booking.resources import A_DAY, Resource
from models.booking.services import Service


class Why(StrEnum):
    OUTSIDE_HOURS = "outside hours"
    RESOURCE_RETIRED = "retired"
    SERVICE_RETIRED = "service retired"
    NOT_THEIR_SERVICE = "does not do it any more"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Standing:
    """An appointment that stands. `resource` is the person, room or device for which it is so, and leads or
    takes part; `starts_at` is in that resource's zone.
    """

    appointment: Appointment
    starts_at: datetime
    resource: Resource
    why: tuple[Why, ...]


def find(
    session: Session,
    org_id: uuid.UUID,
    *,
    resource_ids: Collection[str] | None = None,
    service_id: str | None = None,
    days: Collection[date] | None = None,
    between: tuple[datetime, datetime] | None = None,
) -> list[Standing]:
    """The appointments to come that stand, in order, once for each resource for which it is so.

    Of these resources only, of this service only, within hours that begin on these local days, or taking up
    time in [begin, end).
    """
    clinic = _Clinic(session, org_id)
    query = select(Appointment).where(
        Appointment.org_id == org_id,
        Appointment.status.in_(EXPECTED),
        Appointment.scheduled_at > clinic.now,
    )
    if service_id is not None:
        query = query.where(Appointment.service_id == service_id)
    found = []
    for each in session.scalars(query.order_by(Appointment.scheduled_at, Appointment.id)):
        begin, end = clinic.taken(each)
        if between is not None and not (begin < between[1] and end > between[0]):
            continue
        for resource_id in (each.resource_id, *each.other_resources):
            resource = clinic.resources[resource_id]
            if resource_ids is not None and resource_id not in resource_ids:
                continue
            if days is not None and not clinic.is_on(each, resource, days):
                continue
            if why := tuple(clinic.why(each, resource)):
                found.append(
                    Standing(each, each.scheduled_at.astimezone(ZoneInfo(resource.time_zone)), resource, why)
                )
    return found


class _Clinic:
    """What the appointments of a clinic are held against; hours are read when they are first asked for."""

    def __init__(self, session: Session, org_id: uuid.UUID) -> None:
        self.now = clock.now(session)
        self.resources = {each.id: each for each in resources.list_of_clinic(session, org_id, retired=True)}
        self._services = {each.id: each for each in services.list_of_clinic(session, org_id, retired=True)}
        self._able = {
            each.id: {able.id for able in services.who_can_do(session, each)}
            for each in self._services.values()
        }
        blocks = select(Block).where(Block.org_id == org_id, Block.ends_at > self.now)
        self._blocks = list(session.scalars(blocks))
        self._timetables: dict[tuple[str, bool], Timetable] = {}
        self._session, self._org_id = session, org_id

    @staticmethod
    def taken(appointment: Appointment) -> tuple[datetime, datetime]:
        """The time that it takes up, with its buffers."""
        before, after = (
            timedelta(minutes=each) for each in (appointment.minutes_before, appointment.minutes_after)
        )
        return appointment.scheduled_at - before, appointment.ends_at + after

    def why(self, appointment: Appointment, resource: Resource) -> Iterator[Why]:
        if resource.retired_at:
            yield Why.RESOURCE_RETIRED
        elif not self._timetable(resource.id, leads=resource.id == appointment.resource_id).is_open(
            appointment.scheduled_at, appointment.ends_at
        ):
            yield Why.OUTSIDE_HOURS
        service: Service | None = self._services.get(appointment.service_id or "")
        if service and service.retired_at:
            yield Why.SERVICE_RETIRED
        elif service and resource.id == appointment.resource_id and resource.id not in self._able[service.id]:
            yield Why.NOT_THEIR_SERVICE
        begin, end = self.taken(appointment)
        if any(
            each.resource_id == resource.id and each.starts_at < end and each.ends_at > begin
            for each in self._blocks
        ):
            yield Why.BLOCKED

    def is_on(self, appointment: Appointment, resource: Resource, days: Collection[date]) -> bool:
        """Whether it begins on one of these days, or in hours that began on one and went on past its
        midnight.
        """
        local = appointment.scheduled_at.astimezone(ZoneInfo(resource.time_zone))
        day, before = local.date(), local.date() - timedelta(days=1)
        if day in days:
            return True
        minute = local.hour * 60 + local.minute
        return before in days and minute < self._reach(resource.id, before) - A_DAY

    def _reach(self, resource_id: str, day: date) -> int:
        """The minute at which the last of a day's hours ends, whatever of them is closed."""
        timetable = self._timetable(resource_id)
        opened = [
            period
            for dates in (timetable.clinic, timetable.own)
            if day in dates
            for period in dates[day].opened
        ]
        return max(
            (each.until for each in (*timetable.weekly.get(day.weekday(), ()), *opened)), default=A_DAY
        )

    def _timetable(self, resource_id: str, *, leads: bool = False) -> Timetable:
        key = (resource_id, leads)
        if key not in self._timetables:
            timetable = bookables.find_timetable(self._session, self._org_id, resource_id, leads=leads)
            if timetable is None:  # foreign keys keep every resource that is booked
                raise LookupError(resource_id)
            self._timetables[key] = timetable
        return self._timetables[key]
