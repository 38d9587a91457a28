"""P8: what a clinic has in its tables is what is offered: random clinics, written as rows and read again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from models.base.session import Door, system_transaction
from models.booking import availability, bookables
from models.booking.openings import A_DAY, Different, Period, Timetable
from models.booking.resources import HoursException, Resource, ResourceHours, ResourceKind
from models.booking.services import Service, ServiceResource
from models.clinics import calendars
from models.clinics.calendars import Calendar
from tests.factories import create_clinic
from tests.models.booking import random_clinics, slow_availability
from tests.models.booking.random_clinics import Clinic
from tests.models.booking.test_availability_is_right import as_found, as_said

ALWAYS = dict.fromkeys(range(7), (Period(0, A_DAY, 0),))
RULES = ("minutes", "minutes_before", "minutes_after", "step_minutes", "min_notice_minutes", "horizon_days")


@pytest.mark.parametrize("number", range(20))
def test_a_clinic_offers_what_its_rows_say(number: int) -> None:
    now = datetime.now(UTC)
    made = random_clinics.make(number, day=now.date() + timedelta(days=4))
    bookable = replace(made.bookable, minutes=min(made.bookable.minutes, 240), min_notice_minutes=30)
    clinic = replace(made, bookable=bookable)
    org_id = uuid.UUID(create_clinic(calendars=()))
    with system_transaction(Door.OPERATOR) as session:
        write(session, org_id, clinic)
    with system_transaction(Door.OPERATOR) as session:
        calendar = calendars.get_or_none(session, org_id, "cal-1")
        assert calendar is not None
        read = bookables.find(session, calendar)
        assert read is not None
        expected = as_said(
            each
            for each in slow_availability.offered_on(bookable, clinic.day)
            if slow_availability.is_ahead(bookable, each.start, now)
        )
        found = availability.find_free(session, read, first=clinic.day, days=1, now=now)
    assert as_found(found.get(clinic.day, [])) == expected


def write(session: Session, org_id: uuid.UUID, clinic: Clinic) -> None:
    bookable = clinic.bookable
    able = dict(bookable.needs)
    kinds = {each: kind for kind, ids in able.items() for each in ids}
    led_by = ResourceKind(bookable.leaders[0].partition("-")[0])
    for each, timetable in bookable.timetables.items():
        kind = kinds.get(each) or (ResourceKind.ROOM if each == "side-room" else led_by)
        session.add(
            Resource(
                org_id=org_id,
                id=each,
                kind=kind,
                name=each,
                time_zone=timetable.zone.key,
                created_at=clinic.now,
            )
        )
    session.add(
        Resource(
            org_id=org_id,
            id="retired-room",
            kind=ResourceKind.ROOM,
            name="Retired",
            time_zone="UTC",
            retired_at=clinic.now,
            created_at=clinic.now,
        )
    )
    rules = {rule: getattr(bookable, rule) for rule in RULES}
    session.add(Service(org_id=org_id, id="service", name="Service", created_at=clinic.now, **rules))
    session.flush()
    for each in (*bookable.leaders, *(each for ids in able.values() for each in ids)):
        session.add(ServiceResource(org_id=org_id, service_id="service", resource_id=each))
    of_clinic: Mapping[date, Different] = {}
    for table in bookable.timetables.values():
        write_hours(session, org_id, table, leads=table.id in bookable.leaders)
        write_exceptions(session, org_id, table.id, table.own, clinic.now)
        of_clinic = table.clinic or of_clinic
    write_exceptions(session, org_id, None, of_clinic, clinic.now)
    session.add(
        Calendar(
            org_id=org_id,
            id="cal-1",
            name="cal-1",
            resource_id=bookable.leaders[0] if len(bookable.leaders) == 1 else None,
            service_id="service",
            time_zone=bookable.zone.key,
            created_at=clinic.now,
        )
    )


def write_hours(session: Session, org_id: uuid.UUID, timetable: Timetable, *, leads: bool) -> None:
    if timetable.weekly == ALWAYS and not timetable.clinic and not leads:
        return  # a room or device without hours is always open
    for weekday, periods in timetable.weekly.items():
        for each in periods:
            session.add(
                ResourceHours(
                    org_id=org_id,
                    resource_id=timetable.id,
                    weekday=weekday,
                    from_minute=each.begins,
                    until_minute=each.until,
                    room_id=each.room,
                )
            )


def write_exceptions(
    session: Session,
    org_id: uuid.UUID,
    resource_id: str | None,
    dates: Mapping[date, Different],
    now: datetime,
) -> None:
    for day, different in dates.items():
        rows: list[tuple[bool, int | None, int | None, str | None]] = [
            *((True, each.begins, each.until, each.room) for each in different.opened),
            *((False, begins, until, None) for begins, until in different.closed),
            *([(False, None, None, None)] if different.closed_all_day else []),
        ]
        for is_open, begins, until, room in rows:
            session.add(
                HoursException(
                    org_id=org_id,
                    resource_id=resource_id,
                    day=day,
                    is_open=is_open,
                    from_minute=begins,
                    until_minute=until,
                    room_id=room,
                    created_at=now,
                )
            )
