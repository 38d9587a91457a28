"""/dashboard/diary: the days of the clinic's people and rooms, one appointment, and blocks."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta
from http import HTTPStatus
from typing import Any

from flask import abort, flash, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import appointments, blocks, by_hand, feed_states, resources
from models.booking.appointments import AppointmentStatus
from models.booking.hours import Impossible
from models.booking.openings import instant
from models.clinics import calendars
from models.insight import diary as diaries
from models.insight.diary import Diary, Entry, EntryKind
from models.messaging import messages
from models.messaging.messages import Due
from models.messaging.states import SmsKind
from webapp.nudge import nudge
from webapp.staff import given
from webapp.staff.guard import blueprint, in_clinic, signed
from webapp.staff.shown import Words

#: What the desk notes, and the words of its button.
NOTES = {
    AppointmentStatus.ARRIVED: "Arrived",
    AppointmentStatus.COMPLETED: "Done",
    AppointmentStatus.NO_SHOW: "Did not come",
}


@blueprint.get("/diary")
def diary() -> ResponseReturnValue:
    found, now, everybody = _read()
    today = now.astimezone(found.zone).date()
    step = timedelta(days=found.days)
    return render_template(
        "dashboard/diary.html",
        diary=found,
        by_day=_by_day(found),
        names={each.id: each.name for each in everybody},
        everybody=[each for each in everybody if each.retired_at is None],
        today=today,
        last=found.first + step - timedelta(days=1),
        before=found.first - step,
        after=found.first + step,
        now=now,
        unread=in_clinic(feed_states.find_unread),
    )


@blueprint.get("/diary/entries")
def diary_entries() -> ResponseReturnValue:
    """The same for the columns, which a script draws: times by the clinic's clock, without a zone."""
    found, now, _ = _read()

    words: Words = g.words

    def local(moment: datetime) -> str:
        return moment.astimezone(found.zone).replace(tzinfo=None).isoformat(timespec="seconds")

    return jsonify(
        now=local(now),
        resources=[
            {
                "id": each.resource.id,
                "name": each.resource.name,
                "kind": each.resource.kind,
                "open": [[local(span.begins), local(span.ends)] for span in each.open],
            }
            for each in found.columns
        ],
        entries=[
            {
                "id": f"{each.kind}-{each.id}",
                "kind": each.kind,
                "resources": [each.first, *each.others],
                "start": local(each.starts_at),
                "at": words.clock(each.starts_at),
                "end": local(each.ends_at),
                "before": each.minutes_before,
                "after": each.minutes_after,
                "title": each.title if each.kind is EntryKind.BLOCK else words.person(each.title, each.phone),
                "service": each.service,
                "status": each.status,
                "sms": each.sms,
                "left": (each.expires_at - now).total_seconds() if each.expires_at else None,
                "overruled": each.overruled,
                "url": _url(each),
            }
            for each in found.entries
        ],
    )


def _url(entry: Entry) -> str | None:
    if entry.kind is EntryKind.APPOINTMENT:
        return url_for("dashboard.appointment", appointment_id=entry.id)
    return url_for("dashboard.block", block_id=entry.id) if entry.kind is EntryKind.BLOCK else None


def _read() -> tuple[Diary, datetime, list[resources.Resource]]:
    """The days of the address (`day`, `days`, `who`), the time, and all who ever worked there."""
    who = [each.replace("\x00", "") for each in request.args.getlist("who") if each]

    def read(at: Session, org_id: uuid.UUID) -> tuple[Diary, datetime, list[resources.Resource]]:
        zone, now = calendars.zone(at, org_id), clock.now(at)
        first = given.day("day", now.astimezone(zone).date())
        days = 7 if request.args.get("days") == "7" else 1
        if days == 7:
            first -= timedelta(days=first.weekday())
        found = diaries.read(at, org_id, zone=zone, first=first, days=days, only=who)
        return found, now, resources.list_of_clinic(at, org_id, retired=True)

    return in_clinic(read)


def _by_day(found: Diary) -> list[tuple[date, list[Entry]]]:
    """The entries of each day, in order; one that lasts for several days is on each of them."""
    days = [found.first + timedelta(days=number) for number in range(found.days)]
    bounds = [instant(day, 0, found.zone) for day in (*days, days[-1] + timedelta(days=1))]
    return [
        (day, [each for each in found.entries if each.starts_at < ends and each.ends_at > begins])
        for day, begins, ends in zip(days, bounds, bounds[1:], strict=False)
    ]


# --- one appointment ------------------------------------------------------------------------------


@blueprint.get("/diary/appointments/<uuid:appointment_id>")
def appointment(appointment_id: uuid.UUID) -> ResponseReturnValue:
    def read(at: Session, org_id: uuid.UUID) -> tuple[diaries.Appointed | None, datetime]:
        return diaries.find(at, org_id, appointment_id), clock.now(at)

    found, now = in_clinic(read)
    if found is None:
        abort(HTTPStatus.NOT_FOUND)
    notes = {
        status: word
        for status, word in NOTES.items()
        if status.value != found.status and by_hand.may_note(status, found.starts_at, now)
    }
    return render_template("dashboard/appointment.html", found=found, now=now, notes=notes, lit="diary")


_NOT_NOTED = {
    by_hand.Noted.CANCELLED: "the appointment was cancelled",
    by_hand.Noted.TOO_EARLY: "the appointment has not begun. A patient who is early can be noted as arrived,"
    " at most twelve hours before",
}


@blueprint.post("/diary/appointments/<uuid:appointment_id>/note")
def note(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Note whether the patient came; "confirmed" takes a note back."""
    said = request.form.get("status", "")
    if said not in set(by_hand.NOTES):
        abort(HTTPStatus.BAD_REQUEST)

    noted = in_clinic(lambda at, org_id: by_hand.note(at, org_id, appointment_id, AppointmentStatus(said)))
    if noted is None:
        abort(HTTPStatus.NOT_FOUND)
    if noted in _NOT_NOTED:
        flash(f"Nothing was noted: {_NOT_NOTED[noted]}.", "not_done")
    return _to(appointment_id)


@blueprint.post("/diary/appointments/<uuid:appointment_id>/cancel")
def cancel(appointment_id: uuid.UUID) -> ResponseReturnValue:
    """Cancel an appointment that has not begun. The patient gets an SMS about it."""

    def work(at: Session, org_id: uuid.UUID) -> tuple[appointments.Change, uuid.UUID]:
        return appointments.cancel(at, org_id=org_id, appointment_id=appointment_id), org_id

    change, org_id = in_clinic(work, happened=_is_cancelled)
    if change.code == "unknown_appointment":
        abort(HTTPStatus.NOT_FOUND)
    if change.message_id:
        nudge(Due(org_id, change.message_id, SmsKind.CANCELLATION))
    if change.success:
        flash("Cancelled. The time is free again, and the patient gets a text.", "done")
    else:
        flash(f"Not cancelled: {WHY_NOT.get(change.code or '', change.error)}.", "not_done")
    return _to(appointment_id)


def _is_cancelled(at: Session, outcome: tuple[appointments.Change, uuid.UUID]) -> bool:
    change, org_id = outcome
    return change.message_id is not None and messages.get_or_none(at, org_id, change.message_id) is not None


#: Why a booking, a move or a cancellation was refused, by the code of the database.
WHY_NOT = {
    "slot_taken": "that time is taken",
    "slot_in_the_past": "that time has passed",
    "too_far": "that is more than ten years ahead",
    "outside_hours": "nobody who can do it works then",
    "nobody_does_it": "nobody can do it",
    "same_time": "it is already at that time",
    "appointment_begun": "it has begun",
    "appointment_cancelled": "it was cancelled before",
    "appointment_arrived": "the patient is here already",
    "appointment_completed": "it is over",
    "appointment_no_show": "it is noted that the patient did not come",
    "day_is_full": "the clinic's limit for that day has been reached",
}


def _to(appointment_id: uuid.UUID) -> ResponseReturnValue:
    return redirect(url_for("dashboard.appointment", appointment_id=appointment_id), HTTPStatus.SEE_OTHER)


# --- blocks ---------------------------------------------------------------------------------------


@blueprint.get("/diary/block")
def new_block() -> ResponseReturnValue:
    return _block_form({})


@blueprint.post("/diary/block")
def make_block() -> ResponseReturnValue:
    """Block a time of one person, room or device. What is booked in it stands, and is named."""
    form = request.form

    def make(at: Session, org_id: uuid.UUID) -> blocks.Blocked | str:
        resource = resources.get_or_none(at, org_id, form.get("who", "").replace("\x00", ""))
        if resource is None:
            return "Choose whose time it is."
        zone = calendars.zone(at, org_id)
        begin, end = (_local(form.get(day, ""), form.get(clock_, "")) for day, clock_ in _ENDS)
        if begin is None or end is None:
            return "Give a day and a time for the beginning and the end."
        try:
            return blocks.make(
                at,
                org_id=org_id,
                resource_id=resource.id,
                starts_at=blocks.moment(begin, zone),
                ends_at=blocks.moment(end, zone, is_end=True),
                reason=form.get("reason", "").replace("\x00", "")[:200],
                form=given.row_id("once"),
            )
        except ValueError as problem:
            return f"Not blocked: {problem}."

    made = in_clinic(make, happened=_is_there)
    if isinstance(made, str):
        flash(made, "not_done")
        return _block_form(form.to_dict()), HTTPStatus.BAD_REQUEST
    flash("Blocked. Nobody can book that time any more.", "done")
    return redirect(url_for("dashboard.block", block_id=made.block_id), HTTPStatus.SEE_OTHER)


def _is_there(at: Session, made: blocks.Blocked | str) -> bool:
    return not isinstance(made, str) and blocks.get_or_none(at, signed().org_id, made.block_id) is not None


_ENDS = (("from_day", "from_time"), ("until_day", "until_time"))


def _local(day: str, clock_: str) -> datetime | None:
    try:
        when = datetime.combine(date.fromisoformat(day), time.fromisoformat(clock_))
    except ValueError:
        return None
    return when if not when.tzinfo and 2000 <= when.year <= 2100 else None


def _block_form(values: dict[str, str]) -> str:
    def read(at: Session, org_id: uuid.UUID) -> tuple[list[resources.Resource], date]:
        zone = calendars.zone(at, org_id)
        return resources.list_of_clinic(at, org_id), clock.now(at).astimezone(zone).date()

    every, today = in_clinic(read)
    return render_template(
        "dashboard/block_form.html",
        once=uuid.uuid4(),
        resources=every,
        day=given.day("day", today),
        given=values,
        lit="diary",
    )


@blueprint.get("/diary/blocks/<uuid:block_id>")
def block(block_id: uuid.UUID) -> ResponseReturnValue:
    def read(at: Session, org_id: uuid.UUID) -> dict[str, Any] | None:
        found = blocks.get_or_none(at, org_id, block_id)
        if found is None:
            return None
        span = (at, org_id, found.resource_id, found.starts_at, found.ends_at)
        resource = resources.get_or_none(at, org_id, found.resource_id)
        return {
            "found": found,
            "met": blocks.find_met(*span),
            "held": blocks.find_held(*span),
            "name": resource.name if resource else found.resource_id,
        }

    shown = in_clinic(read)
    if shown is None:
        abort(HTTPStatus.NOT_FOUND)
    return render_template("dashboard/block.html", **shown, lit="diary")


@blueprint.post("/diary/blocks/<uuid:block_id>/remove")
def remove_block(block_id: uuid.UUID) -> ResponseReturnValue:
    def is_gone(at: Session, removed: object) -> bool:
        return bool(removed) and blocks.get_or_none(at, signed().org_id, block_id) is None

    try:
        removed = in_clinic(lambda at, org_id: blocks.remove(at, org_id, block_id), happened=is_gone)
    except Impossible as problem:
        flash(f"Not removed: {problem}.", "not_done")
        return redirect(url_for("dashboard.block", block_id=block_id), HTTPStatus.SEE_OTHER)
    flash(
        "Removed. The time can be booked again." if removed else "It was removed before.",
        "done" if removed else "not_done",
    )
    return redirect(url_for("dashboard.diary", day=request.form.get("day") or None), HTTPStatus.SEE_OTHER)
