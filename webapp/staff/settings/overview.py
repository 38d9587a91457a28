"""/dashboard/settings: what a clinic does first, what offers nothing now, and the appointments that stand."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from itertools import groupby

from flask import render_template
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.booking import gaps, services, standing
from models.booking.appointments import Appointment, AppointmentStatus
from models.booking.gaps import About
from models.booking.resources import ResourceKind
from models.booking.standing import Standing, Why
from models.insight import first_steps
from models.insight.first_steps import OPTIONAL, Step
from webapp.staff import shown
from webapp.staff.guard import in_clinic
from webapp.staff.settings.owners import blueprint

#: What to do in each step, why, and on which page of the settings; without a page an operator does it.
STEPS: dict[Step, tuple[str, str, str | None]] = {
    Step.PEOPLE: ("Add people and rooms", "Who and what patients are booked with.", "people"),
    Step.HOURS: ("Give everybody hours", "A person without hours is never offered.", "people"),
    Step.SERVICES: ("Add services", "What can be booked, how long it takes, and who does it.", "services"),
    Step.CALENDAR: (
        "Add a calendar for calls",
        "The agent books by it. One for anyone will do at first.",
        "phone",
    ),
    Step.HOLIDAYS: ("Close public holidays", "Callers are offered nothing on a closed day.", "closures"),
    Step.IMPORT: ("Import your old diary", "So that no caller is offered a time that is taken.", "importing"),
    Step.FEEDS: (
        "Connect other calendars",
        "So that no caller is offered a time that is taken in Google or Outlook.",
        "calendars",
    ),
    Step.ALERT_PHONE: ("Say who is told of hot leads", "They get a text after the call.", "clinic"),
    Step.TEAM: ("Let colleagues sign in", "Each with their own password and role.", "team"),
    Step.SMS: (
        "Connect SMS",
        "Without it no caller gets a code or a text. The operator of Holdline does it: flask twilio set.",
        None,
    ),
    Step.VOICE: (
        "Connect the voice platform",
        "Without it no call gets through. The operator of Holdline does it: flask credential add.",
        None,
    ),
}

#: The page on which to change what offers nothing.
_CHANGED_ON = {
    About.PEOPLE: ("people", "People and rooms"),
    About.SERVICES: ("services", "Services"),
    About.CALENDARS: ("phone", "Telephone"),
}


@blueprint.get("", strict_slashes=False)
def overview() -> ResponseReturnValue:
    def read(at: Session, org_id: uuid.UUID) -> tuple[dict[Step, bool], list[tuple[About, str]], int]:
        stands = {each.appointment.id for each in standing.find(at, org_id)}
        return first_steps.find_done(at, org_id), gaps.find_with_subject(at, org_id), len(stands)

    done, found, stands = in_clinic(read)
    return render_template(
        "dashboard/settings/overview.html",
        steps=[(step, is_done, *STEPS[step]) for step, is_done in done.items()],
        next_step=first_steps.find_next(done),
        optional=OPTIONAL,
        gaps=[(shown.sentence(says), *_CHANGED_ON[about]) for about, says in found],
        stands=stands,
    )


@dataclass(frozen=True)
class Shown:
    """One appointment that stands, and why, in sentences."""

    appointment: Appointment
    service: str | None
    why: list[str]
    may_be_moved: bool


@blueprint.get("/standing", endpoint="standing")
def standing_list() -> ResponseReturnValue:
    """The appointments that stand although nothing would offer them any more."""

    def read(at: Session, org_id: uuid.UUID) -> list[Shown]:
        names = {each.id: each.name for each in services.list_of_clinic(at, org_id, retired=True)}
        found = groupby(standing.find(at, org_id), key=lambda each: each.appointment.id)
        return [_shown(list(same), names) for _, same in found]

    return render_template("dashboard/settings/standing.html", found=in_clinic(read), page="overview")


def _shown(same: list[Standing], names: dict[str, str]) -> Shown:
    appointment = same[0].appointment
    service = names.get(appointment.service_id or "") or appointment.service_type
    return Shown(
        appointment,
        service,
        list(dict.fromkeys(_sentence(each, why, service) for each in same for why in each.why)),
        appointment.status is AppointmentStatus.CONFIRMED,
    )


def _sentence(each: Standing, why: Why, service: str | None) -> str:
    name = each.resource.name
    what = service or "the service"
    match why:
        case Why.OUTSIDE_HOURS:
            works = "does not work" if each.resource.kind is ResourceKind.PERSON else "is closed"
            return f"{name} {works} then."
        case Why.RESOURCE_RETIRED:
            return f"{name} is retired."
        case Why.SERVICE_RETIRED:
            return f"{what[:1].upper()}{what[1:]} is retired."
        case Why.NOT_THEIR_SERVICE:
            return f"{name} does not do {what} any more."
        case Why.BLOCKED:
            return f"The time of {name} is blocked."
