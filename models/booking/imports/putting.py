"""Puts a file into the diary, all of it in one transaction: under the same locks and the same constraint as
everything that takes time.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Table, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from models.base import clock, locks
from models.booking import holds, resources, services, set_up
from models.booking.appointments import Appointment, AppointmentStatus, BookedBy
from models.booking.blocks import Block
from models.booking.hours import Impossible
from models.booking.imports import judging
from models.booking.imports.columns import plain
from models.booking.imports.entries import File, State
from models.booking.imports.matching import MOST_NEW, NEW, Choices
from models.booking.imports.reports import NEW_ROOM, Planned, Report, lengths, name_of_new
from models.booking.resources import ResourceKind
from models.booking.services import UNNAMED, ServiceResource
from models.clinics import calendars
from models.clinics.calendars import Calendar
from models.clinics.contacts import Contact
from models.clinics.organizations import Organization
from models.messaging.messages import SmsMessage
from models.messaging.states import Cause, SmsKind, SmsStatus

T = TypeVar("T")

#: Rows of one statement, which must end well before the time limit of a statement.
_AT_ONCE = 250


class NotAsSeen(Exception):
    """Other rows are refused than the caller has agreed to; nothing was imported."""

    def __init__(self, report: Report) -> None:
        super().__init__("nothing was imported")
        self.report = report


def put(
    session: Session,
    clinic: Organization,
    file: File,
    choices: Choices,
    zone: ZoneInfo,
    *,
    booker: str,
    seen: str | None,
    most: int | None = None,
) -> Report:
    """Import what is not refused. `booker` answers for it. `seen` is Report.seen of the refusals that were
    agreed to, or None for any. `most` is how many may be imported at once.

    Waits for claims of the same people and rooms, at most the lock timeout each (LockNotAvailable after it).
    Raises NotAsSeen, and Impossible if something new cannot be made; then the transaction must not commit.
    """
    locks.take(session, func.hashtextextended(f"import/{clinic.id}", 0))
    first = judging.judge(session, clinic, file, choices, zone)
    _assert_seen(first, seen)
    if most is not None and len(first.planned) > most:
        raise Impossible(f"the file has more than {most:,} rows to import; export fewer months")
    choices = _Maker(session, clinic, zone).make(first, choices, lengths(file))
    _lock(session, clinic.id, choices, first)
    report = judging.judge(session, clinic, file, choices, zone)
    _assert_seen(report, seen)
    now = clock.now(session)
    _book(session, clinic.id, [*report.appointments, *report.past], booker, now)
    # Blocks take what is free, so that they come last.
    _insert(
        session,
        Block,
        [
            {
                "id": uuid.uuid4(),
                "org_id": clinic.id,
                "resource_id": each.resources[0],
                "starts_at": each.starts_at,
                "ends_at": each.ends_at,
                "reason": each.reason,
                "imported_id": each.imported_id,
            }
            for each in report.blocks
        ],
    )
    return report


def _assert_seen(report: Report, seen: str | None) -> None:
    if seen is not None and report.seen != seen:
        raise NotAsSeen(report)


def _lock(session: Session, org_id: uuid.UUID, choices: Choices, first: Report) -> None:
    """Lock everybody and everything that rows may take up, and clear the holds there that have run out."""
    known = {each.id for each in resources.list_of_clinic(session, org_id)}
    needed = select(ServiceResource.resource_id).where(ServiceResource.org_id == org_id)
    ids = {each for plan in first.planned for each in plan.resources}
    ids |= {*choices.people.values(), *choices.rooms.values(), *session.scalars(needed)}
    holds.lock_resources(session, org_id, sorted(ids & known))
    session.execute(_EXPIRE, {"org": org_id, "ids": sorted(ids & known)})


_EXPIRE = text("""
    UPDATE appointment_holds h SET status = 'expired', released_at = app_clock()
     WHERE h.org_id = :org AND h.status = 'held' AND NOT hold_is_live(h.status, h.expires_at, app_clock())
       AND all_resources(h.resource_id, h.other_resources) && CAST(:ids AS text[])
""")


# --- appointments ---------------------------------------------------------------------------------


def _book(
    session: Session, org_id: uuid.UUID, planned: Sequence[Planned], booker: str, now: datetime
) -> None:
    contacts = _contacts(session, org_id, planned, now)
    named = {each.id: each.name for each in services.list_of_clinic(session, org_id)}
    calendar_of = _calendars(session, org_id)
    booked, told = [], []
    for each in planned:
        appointment, message = uuid.uuid4(), uuid.uuid4()
        booked.append(
            {
                "id": appointment,
                "org_id": org_id,
                "calendar_id": calendar_of[each.resources[0]],
                "service_id": each.service,
                "resource_id": each.resources[0],
                "other_resources": list(each.resources[1:]),
                "scheduled_at": each.starts_at,
                "ends_at": each.ends_at,
                "minutes_before": each.minutes_before,
                "minutes_after": each.minutes_after,
                "status": _status(each, now),
                "contact_id": contacts[each.phone],
                "patient_name": each.entry.name,
                "patient_phone": each.phone,
                "service_type": named[each.service],
                "booked_by": BookedBy.IMPORT,
                "booker": booker,
                "imported_id": each.imported_id,
                "confirmation_message_id": message,
                "created_at": now,
            }
        )
        # The confirmation that every appointment has: it says why none is sent, and is never due. Its end is
        # the time that the patient knows, which a later message about a move repeats.
        told.append(
            {
                "id": message,
                "org_id": org_id,
                "kind": SmsKind.CONFIRMATION,
                "status": SmsStatus.EXPIRED,
                "cause": Cause.IMPORTED,
                "error_reason": Cause.IMPORTED.value,
                "to_phone": each.phone,
                "appointment_id": appointment,
                "next_attempt_at": now,
                "expires_at": each.starts_at,
                "created_at": now,
            }
        )
    _insert(session, Appointment, booked)
    _insert(session, SmsMessage, told)


def _status(plan: Planned, now: datetime) -> AppointmentStatus:
    if plan.entry.state is State.NO_SHOW and plan.starts_at <= now:
        return AppointmentStatus.NO_SHOW
    return AppointmentStatus.COMPLETED if plan.ends_at <= now else AppointmentStatus.CONFIRMED


def _contacts(
    session: Session, org_id: uuid.UUID, planned: Sequence[Planned], now: datetime
) -> dict[str, uuid.UUID]:
    """The contact of each number, made where there is none; in order, so no two writers block each other."""
    names: dict[str, str] = {}
    for each in planned:
        names.setdefault(each.phone, each.entry.name)
    found: dict[str, uuid.UUID] = {}
    for part in _parts(sorted(names)):
        rows = [
            {
                "org_id": org_id,
                "phone": each,
                "name": names[each],
                "booking_source": "import",
                "created_at": now,
            }
            for each in part
        ]
        session.execute(upsert(Contact).values(rows).on_conflict_do_nothing())
        query = select(Contact.phone, Contact.id).where(Contact.org_id == org_id, Contact.phone.in_(part))
        found |= {row.phone: row.id for row in session.execute(query)}
    return found


def _calendars(session: Session, org_id: uuid.UUID) -> dict[str, str]:
    """The calendar under which each person is booked: their own, else one of nobody, else any."""
    there = calendars.list_of_clinic(session, org_id)
    own = {each.resource_id: each.id for each in reversed(there) if each.resource_id}
    otherwise = next((each.id for each in there if each.resource_id is None), there[0].id if there else "")
    every = resources.list_of_clinic(session, org_id)
    return {each.id: own.get(each.id, otherwise) for each in every}


def _insert(session: Session, entity: type[Any], rows: Sequence[dict[str, Any]]) -> None:
    table: Table = entity.__table__
    for part in _parts(rows):
        session.execute(insert(table), part)


def _parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(rows), _AT_ONCE):
        yield rows[begin : begin + _AT_ONCE]


# --- what is new ----------------------------------------------------------------------------------


class _Maker:
    """Makes the people, rooms and services that rows name and the clinic does not have yet."""

    def __init__(self, session: Session, clinic: Organization, zone: ZoneInfo) -> None:
        self._session, self._clinic, self._zone = session, clinic, zone

    def make(self, first: Report, choices: Choices, minutes: dict[str, int]) -> Choices:
        """The choices with an id for everything that is new. Only what rows use is made."""
        org_id = self._clinic.id
        used = {each for plan in first.planned for each in plan.resources}
        wanted = {each for plan in first.planned if (each := plan.service)}
        new = sorted(each for each in used | wanted if each.startswith(NEW))
        if len(new) > MOST_NEW:
            raise Impossible(
                f"{len(new)} people, rooms and services would be new, and at most {MOST_NEW} can be; look"
                " whether the file has other words in these columns, or choose for each of them"
            )
        people = {
            name: self._resource(name, ResourceKind.PERSON) if f"{NEW}{name}" in used else chosen
            for name, chosen in choices.people.items()
            if chosen == NEW
        }
        rooms = {
            name: self._resource(name, ResourceKind.ROOM) if f"{NEW_ROOM}{name}" in used else chosen
            for name, chosen in choices.rooms.items()
            if chosen == NEW
        }
        does: dict[str, set[str]] = {}
        for plan in first.planned:
            if plan.service:
                person = plan.resources[0]
                person = people[name_of_new(person)] if person.startswith(NEW) else person
                does.setdefault(plan.service, set()).add(person)
        offered = {}
        for name, chosen in choices.services.items():
            if chosen == NEW and (able := does.get(f"{NEW}{name}")):
                offered[name] = set_up.add_service(
                    self._session,
                    org_id=org_id,
                    name=name or UNNAMED,
                    resource_ids=able,
                    minutes=minutes.get(name, 30),
                ).id
        self._let_do(does, set(people.values()))
        self._give_calendars(does, offered)
        return replace(
            choices,
            people={**choices.people, **people},
            services={**choices.services, **offered},
            rooms={**choices.rooms, **rooms},
        )

    def _resource(self, name: str, kind: ResourceKind) -> str:
        known = {each.id for each in resources.list_of_clinic(self._session, self._clinic.id, retired=True)}
        slug = re.sub(r"[^a-z0-9]+", "-", plain(name)).strip("-")[:40] or kind.value
        found, number = slug, 2
        while found in known:
            found, number = f"{slug}-{number}", number + 1
        set_up.add_resource(
            self._session,
            org_id=self._clinic.id,
            resource_id=found,
            kind=kind,
            name=name,
            time_zone=self._zone.key,
        )
        return found

    def _let_do(self, does: dict[str, set[str]], new: set[str]) -> None:
        """Let new people do the services of their rows that are there already."""
        for service, people in does.items():
            if not service.startswith(NEW):
                for person in people & new:
                    self._session.add(
                        ServiceResource(org_id=self._clinic.id, service_id=service, resource_id=person)
                    )
        self._session.flush()

    def _give_calendars(self, does: dict[str, set[str]], offered: dict[str, str]) -> None:
        """Give a calendar to everybody whom no calendar offers."""
        org_id = self._clinic.id
        there = calendars.list_of_clinic(self._session, org_id)
        if any(each.resource_id is None for each in there):
            return
        known, taken = {each.resource_id for each in there}, {each.id for each in there}
        named = {each.id: each.name for each in resources.list_of_clinic(self._session, org_id)}
        for service, people in sorted(does.items()):
            for person in sorted(people - known):
                known.add(person)
                calendar = Calendar(
                    org_id=org_id,
                    id=person if person not in taken else f"{person}-2",
                    name=named[person],
                    resource_id=person,
                    service_id=offered.get(name_of_new(service), service),
                    time_zone=self._zone.key,
                )
                self._session.add(calendar)
                self._session.flush()
