"""What the pages show of an appointment: what its SMS said, without the patient's name and number."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from models.base import clock, phones, times
from models.booking import appointments, availability, links, services
from models.booking.appointments import Appointment, AppointmentStatus
from models.booking.availability import Slot
from models.booking.bookables import Bookable
from models.booking.links import LinkOutcome, PatientLink
from models.clinics import calendars, organizations
from models.clinics.calendars import Calendar
from models.clinics.organizations import Organization
from models.notices import texts

#: The search for the next day with openings covers this many stretches of availability.LOOK_AHEAD.
_STRETCHES = 12


class NotThere(Exception):
    """The link, or the appointment that it is for, is not in the database any more."""


class State(StrEnum):
    """What has become of the appointment, as its link shows it."""

    STANDS = "stands"
    MOVED = "moved"
    CANCELLED = "cancelled"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Time:
    """The start of a slot in the clinic's zone, in words; `instant` is in UTC."""

    instant: str
    day: str
    clock: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One appointment, as a person with its link may see it."""

    state: State
    clinic: str
    telephone: str | None
    tel: str | None
    time: Time
    zone: str
    service: str | None
    reference: str
    #: The day on which it was cancelled or moved by this link, in words.
    used_on: str | None = None


@dataclass(frozen=True, slots=True)
class Openings:
    """The free slots of one day by part of the day, and the nearest days before and after it with any."""

    day: date
    words: str
    parts: tuple[tuple[str, tuple[Time, ...]], ...]
    before: date | None
    after: date | None
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Linked:
    """A link's rows, in an open transaction."""

    session: Session
    link: PatientLink
    appointment: Appointment
    calendar: Calendar
    clinic: Organization
    now: datetime

    def show(self) -> Shown:
        service = self.appointment.service_type
        zone = self.calendar.zone
        number = self.clinic.phone
        return Shown(
            state=self.state(),
            clinic=self.clinic.name,
            telephone=number and phones.readable(number),
            tel=number and (re.sub(r"[^\d+]", "", number) or None),
            time=time_of(self.appointment.scheduled_at, zone),
            zone=zone_name(zone),
            # Only a service of the clinic's list: the words from the call can be any text.
            service=service
            if service in services.names_of_clinic(self.session, self.appointment.org_id)
            else None,
            reference=texts.reference(self.appointment.id),
            used_on=times.spoken_day(self.link.used_at.astimezone(zone).date())
            if self.link.used_at
            else None,
        )

    def state(self) -> State:
        if self.link.outcome is LinkOutcome.MOVED or (
            self.appointment.confirmation_message_id != self.link.message_id
        ):
            return State.MOVED
        if self.appointment.status is AppointmentStatus.CANCELLED:
            return State.CANCELLED
        if self.appointment.status is not AppointmentStatus.CONFIRMED or (
            min(self.link.expires_at, self.appointment.scheduled_at) <= self.now
        ):
            return State.OVER
        return State.STANDS

    def openings(self, day: date | None) -> Openings:
        """The free slots of `day`; without a day, of the appointment's day or the next that has any.

        They are with the same person. There are none if the service is offered no more, or not by link.
        """
        room = appointments.find_bookable(self.session, self.appointment)
        if room is None or not room.by_link:
            own = self._own_day()
            return Openings(own, times.spoken_day(own), (), None, None, own, own)
        first = availability.today(room, self.now)
        last = first + timedelta(days=room.horizon_days)
        wanted = min(max(day or self._own_day(), first), last)
        free = self._free(room, wanted, 1).get(wanted, [])
        after = self._next_day(room, wanted, last)
        if day is None and not free and after:
            return self.openings(after)
        return Openings(
            day=wanted,
            words=times.spoken_day(wanted),
            parts=tuple(_by_part_of_day(free, room.zone)),
            before=self._previous_day(room, wanted, first),
            after=after,
            first=first,
            last=last,
        )

    def _own_day(self) -> date:
        return self.appointment.scheduled_at.astimezone(self.calendar.zone).date()

    def _free(self, room: Bookable, first: date, days: int) -> dict[date, list[Slot]]:
        return availability.find_free(self.session, room, first=first, days=days, now=self.now)

    def _next_day(self, room: Bookable, day: date, last: date) -> date | None:
        stretch = availability.LOOK_AHEAD
        for number in range(_STRETCHES):
            begin = day + timedelta(days=1) + number * stretch
            if begin > last:
                break
            if free := self._free(room, begin, stretch.days):
                return min(free)
        return None

    def _previous_day(self, room: Bookable, day: date, first: date) -> date | None:
        stretch = availability.LOOK_AHEAD
        for number in range(1, _STRETCHES + 1):
            end = day - (number - 1) * stretch
            begin = max(end - stretch, first)
            if begin >= end:
                break
            if free := self._free(room, begin, (end - begin).days):
                return max(free)
        return None


def read(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> Linked:
    """Read the rows of a link. Raises NotThere."""
    link = links.get_or_none(session, org_id, message_id)
    if link is not None:
        appointment = appointments.get_or_none(session, org_id, link.appointment_id)
        if appointment is not None:
            calendar = calendars.get_or_none(session, org_id, appointment.calendar_id)
            clinic = organizations.get_or_none(session, org_id)
            if calendar is not None and clinic is not None:
                now = clock.now(session)
                return Linked(session, link, appointment, calendar, clinic, now)
    raise NotThere


def time_of(moment: datetime, zone: ZoneInfo) -> Time:
    day = moment.astimezone(zone).date()
    _, _, clock = times.written(moment, zone).partition(" at ")
    return Time(times.instant(moment), f"{times.spoken_day(day)} {day.year}", clock)


def zone_name(zone: ZoneInfo) -> str:
    """The zone in words, such as "London time"."""
    place = zone.key.rpartition("/")[2].replace("_", " ")
    return f"{place} time" if "/" in zone.key else place


def _by_part_of_day(free: list[Slot], zone: ZoneInfo) -> Iterator[tuple[str, tuple[Time, ...]]]:
    hours = {"Morning": range(12), "Afternoon": range(12, 18), "Evening": range(18, 24)}
    for part, of_part in hours.items():
        starts = tuple(
            time_of(slot.starts_at, zone) for slot in free if slot.starts_at.astimezone(zone).hour in of_part
        )
        if starts:
            yield part, starts
