"""What a clinic does first, step by step, and which steps are done, as its rows have it."""

from __future__ import annotations

import uuid
from enum import StrEnum

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from models.base import clock
from models.booking.appointments import Appointment, BookedBy
from models.booking.resources import HoursException, Resource, ResourceHours, ResourceKind
from models.booking.services import Service, ServiceResource
from models.clinics import organizations
from models.clinics.calendar_feeds import CalendarFeed
from models.clinics.calendars import Calendar
from models.clinics.organizations import IntegrationSettings
from models.clinics.staff import StaffUser


class Step(StrEnum):
    """In the order in which they are done."""

    PEOPLE = "people"
    HOURS = "hours"
    SERVICES = "services"
    CALENDAR = "calendar"
    HOLIDAYS = "holidays"
    IMPORT = "import"
    FEEDS = "feeds"
    ALERT_PHONE = "alert_phone"
    TEAM = "team"
    SMS = "sms"
    VOICE = "voice"


#: What many clinics do without. The others come first.
OPTIONAL = frozenset({Step.IMPORT, Step.FEEDS, Step.TEAM})


def find_done(session: Session, org_id: uuid.UUID) -> dict[Step, bool]:
    """Every step in its order, and whether it is done."""
    active = (Resource.org_id == org_id, Resource.retired_at.is_(None))
    works = exists().where(ResourceHours.org_id == org_id, ResourceHours.resource_id == Resource.id)
    opens = exists().where(
        HoursException.org_id == org_id, HoursException.resource_id == Resource.id, HoursException.is_open
    )
    has_hours = exists().where(*active, works | opens)
    idle = exists().where(*active, Resource.kind == ResourceKind.PERSON, ~works, ~opens)
    # Rows of joins, so that a service counts only if one who is not retired does it.
    able = (
        select(Service.id)
        .join(
            ServiceResource,
            (ServiceResource.org_id == Service.org_id) & (ServiceResource.service_id == Service.id),
        )
        .join(
            Resource,
            (Resource.org_id == ServiceResource.org_id) & (Resource.id == ServiceResource.resource_id),
        )
        .where(*active, Service.org_id == org_id, Service.retired_at.is_(None))
        .exists()
    )
    settings = IntegrationSettings
    conditions: dict[Step, ColumnElement[bool]] = {
        Step.PEOPLE: exists().where(*active),
        Step.HOURS: has_hours & ~idle,
        Step.SERVICES: able,
        Step.CALENDAR: exists().where(Calendar.org_id == org_id, Calendar.service_id.is_not(None)),
        Step.HOLIDAYS: exists().where(
            HoursException.org_id == org_id,
            HoursException.resource_id.is_(None),
            ~HoursException.is_open,
            HoursException.day >= clock.now(session).date(),
        ),
        Step.IMPORT: exists().where(Appointment.org_id == org_id, Appointment.booked_by == BookedBy.IMPORT),
        Step.FEEDS: exists().where(CalendarFeed.org_id == org_id, CalendarFeed.is_on),
        Step.ALERT_PHONE: exists().where(
            settings.org_id == org_id, settings.hot_lead_alert_phone.is_not(None)
        ),
        Step.TEAM: select(func.count() > 1)
        .select_from(StaffUser)
        .where(StaffUser.org_id == org_id, StaffUser.disabled_at.is_(None))
        .scalar_subquery(),
        Step.SMS: organizations.can_text(org_id),
        Step.VOICE: organizations.lets_calls_in(org_id),
    }
    row = session.execute(select(*(each.label(step) for step, each in conditions.items()))).one()
    return {step: bool(row._mapping[step.value]) for step in Step}


def is_bookable(session: Session, org_id: uuid.UUID) -> bool:
    """Whether there is what a call needs: people or rooms, a service that one of them does, a calendar."""
    done = find_done(session, org_id)
    return all(done[step] for step in (Step.PEOPLE, Step.SERVICES, Step.CALENDAR))


def find_next(done: dict[Step, bool]) -> Step | None:
    """The step to do now: the first that is missing, and what may be left out after all others."""
    missing = [step for step, is_done in done.items() if not is_done]
    return next((step for step in missing if step not in OPTIONAL), None) or next(iter(missing), None)
