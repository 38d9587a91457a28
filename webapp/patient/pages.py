"""GET /a/<token> and what a patient can do from there. GET changes nothing, since scanners follow links, too.

The link is the only credential, so there is no session that another site's page could use.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import TypeVar

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from models.base import times
from models.base.session import Door
from models.booking import appointments, links
from models.booking.appointments import AppointmentStatus
from models.booking.links import Found, LinkOutcome
from models.messaging import limits, opt_outs
from models.messaging.messages import Due
from models.messaging.states import SmsKind
from webapp import guesses, shares
from webapp.guesses import TooMany, UnknownLink
from webapp.limits import Limiter
from webapp.nudge import nudge
from webapp.patient.shown import Linked, NotThere, Openings, Shown, State, Time, read, time_of
from webapp.state import per_app
from webapp.unit_of_work import (
    Busy,
    DatabaseAway,
    OutcomeUnknown,
    in_system_transaction,
    in_transaction,
    repeatable,
)

log = logging.getLogger(__name__)
blueprint = Blueprint("patient", __name__, url_prefix="/a", template_folder="templates")
T = TypeVar("T")

#: The actor in the audit log.
ACTOR = "patient link"

#: For this long after a move the same request counts as a repeat of it.
REPEATED = timedelta(minutes=10)

MOST_BYTES = 4096  # of a request's body; the longest form that these pages send holds one time

_HEADERS = {
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}

#: Pages a second of one link; not of one address, behind which there may be a whole mobile network.
requests = per_app(lambda: Limiter(2.0))


# --- the pages ----------------------------------------------------------------------------------


@blueprint.get("/<token>", strict_slashes=False)
def appointment(token: str) -> ResponseReturnValue:
    shown = _at(token, lambda linked: linked.show())
    return _page("appointment.html", token, shown) if shown.state is State.STANDS else _ended(token, shown)


@blueprint.get("/<token>/cancel")
def ask_to_cancel(token: str) -> ResponseReturnValue:
    shown = _at(token, lambda linked: linked.show())
    return _page("cancel.html", token, shown) if shown.state is State.STANDS else _ended(token, shown)


@blueprint.get("/<token>/move")
def choose(token: str) -> ResponseReturnValue:
    shown, openings = _at(token, lambda linked: _with_openings(linked, _day(request.args.get("day"))))
    if openings is None:
        return _ended(token, shown)
    return _page("move.html", token, shown, openings=openings)


@blueprint.post("/<token>/cancel")
def cancel(token: str) -> ResponseReturnValue:
    """Cancel. A repeat changes nothing, and shows that the appointment is cancelled."""
    done = _at(token, _cancel)
    if done.due is None:
        return _ended(token, done.shown)
    nudge(done.due)
    return _page("cancelled.html", token, done.shown, text=done.text.value)


@blueprint.post("/<token>/move")
def move(token: str) -> ResponseReturnValue:
    """Move. A repeat changes nothing: a request for the time of the last move gets the same answer again."""
    slot = times.parsed(request.form.get("slot", ""))
    if slot is None:
        return choose(token)
    done = _at(token, lambda linked: _move(linked, slot))
    if done.new_time:
        if done.due:
            nudge(done.due)
        return _page("moved.html", token, done.shown, new_time=done.new_time, text=done.text.value)
    if done.openings is None:
        return _ended(token, done.shown)
    return _page(
        "move.html",
        token,
        done.shown,
        status=HTTPStatus.CONFLICT,
        openings=done.openings,
        problem="too_often" if done.code == "too_many_moves" else "gone",
    )


# --- what they do -------------------------------------------------------------------------------


def _with_openings(linked: Linked, day: date | None) -> tuple[Shown, Openings | None]:
    shown = linked.show()
    return shown, linked.openings(day) if shown.state is State.STANDS else None


class Text(StrEnum):
    """When the patient gets the SMS about the change."""

    SOON = "soon"
    LATER = "later"  # this number was sent many SMS
    NEVER = "never"  # this number opted out


@dataclass(frozen=True, slots=True)
class _Cancelled:
    """`due` is the message about the cancellation, if this request made it."""

    shown: Shown
    due: Due | None = None
    text: Text = Text.SOON


def _cancel(linked: Linked) -> _Cancelled:
    if linked.state() is not State.STANDS:
        return _Cancelled(linked.show())
    change = appointments.cancel(
        linked.session,
        org_id=linked.link.org_id,
        appointment_id=linked.appointment.id,
        message_id=linked.link.message_id,
    )
    due = Due(linked.link.org_id, change.message_id, SmsKind.CANCELLATION) if change.message_id else None
    return _Cancelled(_as_it_is_now(linked).show(), due, _text(linked))


def _text(linked: Linked) -> Text:
    number = linked.appointment.patient_phone
    if opt_outs.stands(linked.session, linked.link.org_id, number):
        return Text.NEVER
    return Text.LATER if limits.will_wait(linked.session, linked.clinic, number) else Text.SOON


@dataclass(frozen=True, slots=True)
class _Moved:
    """`new_time` if the appointment is at the wanted time; else `openings`, if it can still be moved."""

    shown: Shown
    new_time: Time | None = None
    due: Due | None = None
    text: Text = Text.SOON
    openings: Openings | None = None
    code: str | None = None


def _move(linked: Linked, slot: datetime) -> _Moved:
    shown = linked.show()
    if _moved_there_just_now(linked, slot):
        return _moved_to(linked, slot, shown, None)
    if shown.state is not State.STANDS:
        return _Moved(shown)
    change = appointments.move(
        linked.session,
        org_id=linked.link.org_id,
        appointment_id=linked.appointment.id,
        starts_at=slot,
        message_id=linked.link.message_id,
        most_moves=linked.clinic.moves_per_appointment_a_day,
    )
    if change.success and change.message_id:
        return _moved_to(linked, slot, shown, change.message_id)
    now = _as_it_is_now(linked)  # another browser with the same link may have been faster, or a double tap
    if _moved_there_just_now(now, slot):
        return _moved_to(now, slot, shown, None)
    if now.state() is not State.STANDS:
        return _Moved(now.show())
    near = min(max(slot, now.now), now.now + timedelta(days=10_000))  # a later time may be past the last date
    day = near.astimezone(linked.calendar.zone).date()
    return _Moved(shown, openings=now.openings(day), code=change.code)


def _moved_to(linked: Linked, slot: datetime, shown: Shown, message_id: uuid.UUID | None) -> _Moved:
    org_id = linked.link.org_id
    return _Moved(
        shown,
        time_of(slot, linked.calendar.zone),
        Due(org_id, message_id, SmsKind.CONFIRMATION) if message_id else None,
        text=_text(linked),
    )


def _moved_there_just_now(linked: Linked, slot: datetime) -> bool:
    """Whether this is a repeat of a move whose answer was lost. Only for REPEATED: an old link must not show
    later where the appointment is.
    """
    row, used_at = linked.appointment, linked.link.used_at
    return (
        linked.link.outcome is LinkOutcome.MOVED
        and used_at is not None
        and linked.now - used_at < REPEATED
        and row.scheduled_at == slot
        and row.status is AppointmentStatus.CONFIRMED
    )


def _as_it_is_now(linked: Linked) -> Linked:
    """Read the rows again, after an SQL function or another request has changed them."""
    linked.session.refresh(linked.link)
    linked.session.refresh(linked.appointment)
    return read(linked.session, linked.link.org_id, linked.link.message_id)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


# --- whose link it is ---------------------------------------------------------------------------


def _at(token: str, work: Callable[[Linked], T]) -> T:
    """Run `work` on the rows of a link, in one transaction of its clinic.

    Raises UnknownLink, NotThere, TooMany, Busy or DatabaseAway.
    """
    found = guesses.find(lambda: _find(token))
    if not requests().allow(found.message_id):
        raise TooMany
    if not shares.admit(found.org_id):
        raise Busy
    return in_transaction(
        found.org_id,
        lambda session: work(read(session, found.org_id, found.message_id)),
        actor=ACTOR,
        happened=repeatable,
    )


def _find(token: str) -> Found | None:
    plain = links.as_typed(token)
    if plain is None:
        return None
    return in_system_transaction(Door.PATIENT_LINK, lambda session: links.find(session, plain))


# --- how they look ------------------------------------------------------------------------------


def _page(
    template: str, token: str, shown: Shown, *, status: int = HTTPStatus.OK, **facts: object
) -> ResponseReturnValue:
    page = render_template(
        f"patient/{template}", token=token, shown=shown, spoken_day=times.spoken_day, **facts
    )
    return page, status


def _ended(token: str, shown: Shown) -> ResponseReturnValue:
    return _page("ended.html", token, shown, status=HTTPStatus.GONE)


def _plain(what: str, status: int) -> Response:
    """A page without an appointment. Below a link, or in answer to a form, it leads back to the link."""
    below, _, deeper = request.path.removeprefix(f"{blueprint.url_prefix}/").partition("/")
    known = what != "unknown" or request.url_rule is None  # else the link was looked up, and does not exist
    elsewhere = deeper or request.method not in {"GET", "HEAD"}
    token = links.as_typed(below) if known and elsewhere else None
    return _add_headers(
        Response(render_template("patient/plain.html", what=what, token=token), status=status)
    )


@blueprint.errorhandler(UnknownLink)
@blueprint.errorhandler(NotThere)
def _unknown(_: Exception) -> ResponseReturnValue:
    return _plain("unknown", HTTPStatus.NOT_FOUND)


@blueprint.errorhandler(TooMany)
def _too_many(_: TooMany) -> ResponseReturnValue:
    response = _plain("too_many", HTTPStatus.TOO_MANY_REQUESTS)
    response.headers["Retry-After"] = "6"
    return response


@blueprint.errorhandler(Busy)
@blueprint.errorhandler(DatabaseAway)
def _later(error: Exception) -> ResponseReturnValue:
    what = "unseen" if isinstance(error, OutcomeUnknown) else "later"
    response = _plain(what, HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["Retry-After"] = "5"
    return response


@blueprint.errorhandler(HTTPException)
def refused(error: HTTPException) -> Response:
    """The page for a patient whose request failed, also below /a where there is no page."""
    status = error.code or HTTPStatus.BAD_REQUEST
    response = _plain("unknown" if status == HTTPStatus.NOT_FOUND else "later", status)
    if "Allow" in error.get_response().headers:
        response.headers["Allow"] = error.get_response().headers["Allow"]
    return response


@blueprint.errorhandler(Exception)
def _failed(error: Exception) -> ResponseReturnValue:
    # Flask's own log line would have the path, and with it the token.
    log.error("a patient's page failed: %s", request.endpoint, exc_info=error)
    return _plain("later", HTTPStatus.INTERNAL_SERVER_ERROR)


@blueprint.before_request
def _bound_the_body() -> None:
    request.max_content_length = MOST_BYTES


@blueprint.after_request
def _add_headers(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response
