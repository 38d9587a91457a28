"""/dashboard/settings/calendars, busy times from elsewhere: calendars of people that become blocks here."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from http import HTTPStatus

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.base import clock
from models.booking import feed_readings, feed_states, feeds, resources
from models.booking.feed_readings import Due
from models.booking.hours import Impossible
from models.booking.set_up_change import SetUpChange
from models.clinics import organizations
from models.clinics.calendar_feeds import LATEST, SOONEST, USUAL
from webapp.nudge import nudge
from webapp.staff import given
from webapp.staff.guard import in_clinic
from webapp.staff.settings.owners import blueprint, change

#: As the CHECK of organizations has it.
MOST_HOURS = 336


def context() -> dict[str, object]:
    """What this part of the page shows, with what was typed if it was refused."""

    def read(at: Session, org_id: uuid.UUID) -> dict[str, object]:
        met: dict[uuid.UUID, list[object]] = {}
        for feed_id, appointment in feed_states.find_met(at, org_id):
            met.setdefault(feed_id, []).append(appointment)
        return {
            "feeds": [
                {
                    "state": each,
                    "address": feeds.masked(each.feed),
                    "problem": each.feed.problem and feed_states.SENTENCES[each.feed.problem],
                    "met": met.get(each.feed.id, []),
                }
                for each in feed_states.states(at, org_id)
            ],
            "feed_owners": resources.list_of_clinic(at, org_id),
            "feed_hours": feed_states.limit_hours(at, org_id),
            "now": clock.now(at),
        }

    return in_clinic(read) | {
        "given": request.form,
        "soonest": SOONEST,
        "usual": USUAL,
        "latest": LATEST,
        "most_hours": MOST_HOURS,
    }


@blueprint.post("/calendars/feeds")
def add_feed() -> ResponseReturnValue:
    """Add the address of a calendar. A worker tries it at once."""

    def add(at: Session, org_id: uuid.UUID, made: SetUpChange) -> Due:
        feed = feeds.add(
            at,
            org_id=org_id,
            resource_id=given.text("who", 200),
            address=request.form.get("address", "").replace("\x00", ""),
            label=given.text("label", 200),
            every_minutes=_number("every_minutes"),
        )
        made.done()
        return Due(org_id, feed.id)

    return _answer(
        change(add, "Added. It is being read now; open this page again in a moment.", happened=_is_there)
    )


def _is_there(at: Session, due: Due) -> bool:
    return feeds.get_or_none(at, due.org_id, due.feed_id) is not None


@blueprint.post("/calendars/feeds/<uuid:feed_id>/read")
def read_feed(feed_id: uuid.UUID) -> ResponseReturnValue:
    due = in_clinic(lambda at, org_id: feed_readings.ask_for(at, org_id, feed_id))
    if due is None:
        abort(HTTPStatus.NOT_FOUND)
    nudge(due)
    flash("It is being read now; open this page again in a moment.", "done")
    return _back()


@blueprint.post("/calendars/feeds/<uuid:feed_id>/change")
def change_feed(feed_id: uuid.UUID) -> ResponseReturnValue:
    return _changed(
        feed_id,
        lambda at, org_id: feeds.change(
            at, org_id, feed_id, label=given.text("label", 200), every_minutes=_number("every_minutes")
        ),
        "Changed.",
    )


@blueprint.post("/calendars/feeds/<uuid:feed_id>/turn")
def turn_feed(feed_id: uuid.UUID) -> ResponseReturnValue:
    is_on = request.form.get("on") == "1"
    said = "Turned on. It is being read now." if is_on else "Turned off. Its busy times can be booked again."
    return _changed(feed_id, lambda at, org_id: feeds.change(at, org_id, feed_id, is_on=is_on), said)


@blueprint.post("/calendars/feeds/<uuid:feed_id>/remove")
def remove_feed(feed_id: uuid.UUID) -> ResponseReturnValue:
    return _changed(
        feed_id,
        lambda at, org_id: feeds.remove(at, org_id, feed_id),
        "Removed. Its busy times can be booked again.",
    )


@blueprint.post("/calendars/feed-limit")
def change_feed_limit() -> ResponseReturnValue:
    def limit(at: Session, org_id: uuid.UUID, made: SetUpChange) -> int:
        hours = _number("hours")
        if not 1 <= hours <= MOST_HOURS:
            raise Impossible(f"give a number of hours from 1 to {MOST_HOURS}, which are 14 days")
        clinic = organizations.get_or_none(at, org_id)
        if clinic:
            clinic.feed_limit_hours = hours
        made.done()
        return hours

    return _refused() if change(limit, "Changed.") is None else _back()


def _changed(
    feed_id: uuid.UUID, work: Callable[[Session, uuid.UUID], object], said: str
) -> ResponseReturnValue:
    """Change one feed, which must be of this clinic, and have a worker look at it."""

    def within(at: Session, org_id: uuid.UUID, made: SetUpChange) -> Due:
        if feeds.get_or_none(at, org_id, feed_id) is None:
            abort(HTTPStatus.NOT_FOUND)
        work(at, org_id)
        made.done()
        return Due(org_id, feed_id)

    return _answer(change(within, said))


def _answer(due: Due | None) -> ResponseReturnValue:
    if due is None:
        return _refused()
    nudge(due)  # of one that is off or gone, the worker finds nothing to do
    return _back()


def _refused() -> ResponseReturnValue:
    """The page with what was typed; `change` has said what is wrong."""
    return render_template("dashboard/settings/calendars.html", **context()), HTTPStatus.BAD_REQUEST


def _back() -> ResponseReturnValue:
    return redirect(url_for("dashboard.settings.calendars") + "#feeds-in", HTTPStatus.SEE_OTHER)


def _number(name: str) -> int:
    """A whole number of the form; 0, which no rule allows, if it is none."""
    typed = request.form.get(name, "").strip()
    return int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 9 else 0
