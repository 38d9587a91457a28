"""/dashboard/diary/new and …/move: the desk books and moves by hand."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.base import clock, phones, times
from models.base.erased import is_erased
from models.booking import (
    appointments,
    availability,
    blocks,
    bookables,
    by_hand,
    resources,
    rules,
    services,
)
from models.booking.appointments import Appointment
from models.booking.availability import Slot
from models.booking.bookables import Bookable
from models.booking.by_hand import Done, InTheWay, NotDone
from models.booking.openings import instant
from models.booking.resources import ResourceKind
from models.clinics import calendars, organizations
from models.clinics.calendars import Calendar
from models.clinics.staff import StaffRole
from models.insight import patients
from models.messaging.messages import Due
from models.messaging.states import SmsKind
from webapp.nudge import nudge
from webapp.staff import given, sought
from webapp.staff.diary import WHY_NOT
from webapp.staff.guard import blueprint, in_clinic, signed

_LONGEST_NAME = 120

#: The choice of the list that stands for the time that was written.
OTHER = "other"

#: In the address: the next free time from now on, for a patient who stands at the desk.
NEXT = "next"


@dataclass
class Form:
    """What the page shows: the choices, what was given, the free times of the day, and what is wrong."""

    day: date
    #: The clinic's, in which the page shows times and reads them.
    zone: ZoneInfo
    services: list[services.Service]
    people: list[resources.Resource]
    service: str | None
    person: str | None
    free: list[Slot]
    nearest: list[Slot]
    bookable: Bookable | None
    wrong: str | None = None
    in_the_way: tuple[InTheWay, ...] = ()
    code: str | None = None
    appointment: Appointment | None = None
    names: dict[str, str] = field(default_factory=dict)
    #: An earlier appointment of the patient, whose name and number are filled in; no address has them.
    like: Appointment | None = None
    #: The patients who were looked for; None if none were.
    found: patients.Search | None = None
    #: The last visit of the patient of `like`.
    last: patients.LastVisit | None = None


@blueprint.get("/diary/new")
def new_appointment() -> ResponseReturnValue:
    return _shown(in_clinic(_form))


@blueprint.post("/diary/new/patient")
def seek_for_booking() -> ResponseReturnValue:
    """Look for a patient who was here before; what was chosen stays."""
    chosen: dict[str, Any] = {
        name: given.text(name, 200) or None for name in ("service", "person", "day", "time")
    }
    there = url_for("dashboard.new_appointment", sought=sought.to_address(), **chosen)
    return redirect(there, HTTPStatus.SEE_OTHER)


@blueprint.post("/diary/new")
def book() -> ResponseReturnValue:
    """Book by hand. If the time is taken, say what is in the way and offer the nearest that are free."""

    def work(at: Session, org_id: uuid.UUID) -> Done | Form:
        form = _form(at, org_id)
        starts_at = _starts_at(form)
        name = given.text("name", _LONGEST_NAME)
        clinic = organizations.get_or_none(at, org_id)
        number = None
        try:
            if clinic:
                number = phones.e164(given.text("phone", 40), region=clinic.region, sandbox=clinic.sandbox)
        except phones.ImpossibleNumber as problem:
            form.wrong = f"That telephone number cannot be right: {problem}."
        if not name:
            form.wrong = "Give the patient's name."
        elif starts_at is None or form.bookable is None:
            form.wrong = "Choose a service and a time."
        if form.wrong or number is None or starts_at is None or form.bookable is None:
            return form
        done = by_hand.book(
            at,
            form.bookable,
            starts_at,
            patient_name=name,
            patient_phone=number,
            booker=signed().actor,
            outside_hours="outside" in request.form,
            overrule=_overrule(),
            form=given.row_id("once"),
        )
        if isinstance(done, Done) and clinic and not rules.can_be_texted(clinic, number):
            done = replace(done, is_texted=False)
        return done if isinstance(done, Done) else _refused(at, form, done, starts_at)

    return _answer(in_clinic(work, happened=_is_there), "Booked.")


@blueprint.get("/diary/appointments/<uuid:appointment_id>/move")
def move_form(appointment_id: uuid.UUID) -> ResponseReturnValue:
    return _shown(in_clinic(lambda at, org_id: _form(at, org_id, _known(at, org_id, appointment_id))))


@blueprint.post("/diary/appointments/<uuid:appointment_id>/move")
def move(appointment_id: uuid.UUID) -> ResponseReturnValue:
    def work(at: Session, org_id: uuid.UUID) -> Done | Form:
        found = _known(at, org_id, appointment_id)
        form = _form(at, org_id, found)
        starts_at = _starts_at(form)
        if starts_at is None or form.bookable is None:
            form.wrong = "Choose a time."
            return form
        done = by_hand.move(at, found, form.bookable, starts_at, outside_hours="outside" in request.form)
        return done if isinstance(done, Done) else _refused(at, form, done, starts_at)

    return _answer(in_clinic(work, happened=_is_there), "Moved.")


def _is_there(at: Session, outcome: Done | Form) -> bool:
    """Whether what was done is committed; what was only shown may be made again."""
    if isinstance(outcome, Form):
        return False
    found = appointments.get_or_none(at, signed().org_id, outcome.appointment_id)
    return found is not None and found.confirmation_message_id == outcome.message_id


def _known(at: Session, org_id: uuid.UUID, appointment_id: uuid.UUID) -> Appointment:
    found = appointments.get_or_none(at, org_id, appointment_id)
    if found is None:
        abort(HTTPStatus.NOT_FOUND)
    return found


def _form(at: Session, org_id: uuid.UUID, moved: Appointment | None = None) -> Form:
    """The form as it was asked for, with the free times of its day."""
    zone, now = calendars.zone(at, org_id), clock.now(at)
    every = services.list_of_clinic(at, org_id)
    known = resources.list_of_clinic(at, org_id)
    service = moved.service_id if moved else given.text("service", 200) or (every[0].id if every else None)
    person = given.text("person", 200) or None
    if moved and "person" not in request.values:
        person = moved.resource_id
    calendar = _calendar(at, org_id, person)
    bookable = (
        bookables.find(
            at,
            calendar,
            service_id=service,
            person=person,
            anyone=True,
            retired=_may_be_retired(at, moved),
            at_desk=True,
        )
        if calendar
        else None
    )
    like = _like(at, org_id)
    looked_for = sought.words()
    otherwise = (moved.scheduled_at if moved else now).astimezone(zone).date()
    form = Form(
        day=given.day("day", otherwise),
        zone=zone,
        services=every,
        people=[each for each in known if each.kind is ResourceKind.PERSON],
        service=service,
        person=person,
        free=[],
        nearest=[],
        bookable=bookable,
        appointment=moved,
        names={each.id: each.name for each in known},
        like=like,
        found=patients.search(at, org_id, looked_for, skip=_skip()) if looked_for else None,
        last=patients.last_visit(at, org_id, like.patient_phone, name=like.patient_name) if like else None,
    )
    if bookable is None:
        return form
    if moved:
        form.bookable = bookable = appointments.as_long_as(bookable, moved)
    desk = _for_the_desk(bookable)
    if _is_walk_in():
        for slot in availability.find_nearest(at, desk, wanted=now, now=now, count=1):
            form.day = slot.starts_at.astimezone(zone).date()
    # Days are those of the clinic's clock, and a person's calendar may have another one.
    around = availability.find_free(at, desk, first=form.day - timedelta(days=1), days=3, now=now)
    form.free = [
        slot
        for slots in around.values()
        for slot in slots
        if slot.starts_at.astimezone(zone).date() == form.day
    ]
    if not form.free:
        wanted = instant(form.day, 12 * 60, zone)
        form.nearest = availability.find_nearest(at, desk, wanted=max(wanted, now), now=now)
    return form


def _is_walk_in() -> bool:
    """Whether the next free time is asked for, and not the times of a day."""
    return request.args.get("time") == NEXT and "day" not in request.args


def _like(at: Session, org_id: uuid.UUID) -> Appointment | None:
    """An earlier appointment of a patient who was not erased."""
    appointment_id = given.row_id("like")
    found = appointments.get_or_none(at, org_id, appointment_id) if appointment_id else None
    return found if found and not is_erased(found.patient_phone) else None


def _may_be_retired(at: Session, moved: Appointment | None) -> bool:
    """Whether the appointment may be moved although its service is offered no more: as long as there is one
    of each kind that the service needs.
    """
    service = services.get_or_none(at, moved.org_id, moved.service_id) if moved and moved.service_id else None
    if service is None or service.retired_at is None:
        return False
    able = services.who_can_do(at, service)
    return {each.kind for each in able} == {each.kind for each in able if not each.retired_at}


def _skip() -> int:
    return request.args.get("skip", type=int) or 0


def _for_the_desk(bookable: Bookable) -> Bookable:
    """The same without the rules that the desk may judge for itself."""
    return replace(bookable, min_notice_minutes=0, horizon_days=by_hand.HORIZON_DAYS, most_per_day=None)


def _calendar(at: Session, org_id: uuid.UUID, person: str | None) -> Calendar | None:
    """The calendar of a person, else the clinic's first."""
    every = calendars.list_of_clinic(at, org_id)
    return next(
        (each for each in every if person and each.resource_id == person), every[0] if every else None
    )


def _starts_at(form: Form) -> datetime | None:
    """The chosen time by the clinic's clock: one that is free nearby, one of the list, or a written one."""
    if nearby := times.parsed(request.form.get("nearby", "")):
        return nearby
    listed = request.form.get("time", OTHER)
    try:
        chosen = time.fromisoformat(request.form.get("other", "").strip() if listed == OTHER else listed)
    except ValueError:
        return None
    when = datetime.combine(form.day, chosen.replace(tzinfo=None))
    try:
        return blocks.moment(when, form.zone)
    except ValueError:  # the clocks skip it
        return None


def _overrule() -> str | None:
    """The reason for which it may lie beside another; only owners may give one."""
    reason = given.text("overrule", 200)
    if reason and signed().role is not StaffRole.OWNER:
        abort(HTTPStatus.FORBIDDEN, "Only an owner may book beside another appointment.")
    return reason or None


def _refused(at: Session, form: Form, done: NotDone, starts_at: datetime) -> Form:
    form.code = done.code
    form.wrong = f"Not done: {WHY_NOT.get(done.code, 'it cannot be booked')}."
    form.in_the_way = done.in_the_way
    if form.bookable:
        desk = _for_the_desk(form.bookable)
        form.nearest = availability.find_nearest(at, desk, wanted=starts_at, now=clock.now(at))
    return form


def _answer(outcome: Done | Form, said: str) -> ResponseReturnValue:
    if isinstance(outcome, Form):
        return _shown(outcome), HTTPStatus.CONFLICT if outcome.code else HTTPStatus.BAD_REQUEST
    nudge(Due(signed().org_id, outcome.message_id, SmsKind.CONFIRMATION))
    texted = "The patient gets a text." if outcome.is_texted else "No text reaches the patient."
    flash(f"{said} {texted}", "done")
    return redirect(
        url_for("dashboard.appointment", appointment_id=outcome.appointment_id), HTTPStatus.SEE_OTHER
    )


def _wanted(form: Form) -> tuple[str, str]:
    """The choice of the list that is checked, and the written time: the time that was asked for, or none."""
    asked = request.values.get("time", "")
    free = [f"{slot.starts_at.astimezone(form.zone):%H:%M}" for slot in form.free]
    if asked == NEXT:
        return (free[0] if free and _is_walk_in() else ""), ""
    if asked in free:
        return asked, ""
    written = request.values.get("other", "") if asked in ("", OTHER) else asked
    return (OTHER if written else ""), written


def _shown(form: Form) -> str:
    return render_template(
        "dashboard/booking.html",
        form=form,
        given=request.values,
        wanted=_wanted(form),
        once=uuid.uuid4(),
        may_overrule=signed().role is StaffRole.OWNER,
        lit="diary",
    )
