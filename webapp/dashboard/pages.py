"""/dashboard: signing in, and the pages for whoever is. Each request is one clinic's, the cookie's own."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import TypeVar

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    flash,
    g,
    redirect,
    render_template,
    request,
    session,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

import settings
from models import call_backs, live, reports, sms_retry
from models.lead_scoring import Band
from webapp.dashboard import csv_files, feed, people
from webapp.dashboard.attempts import Attempts
from webapp.dashboard.people import Signed
from webapp.dashboard.shown import Words
from webapp.nudge import nudge
from webapp.unit_of_work import Busy, DatabaseAway, OutcomeUnknown, in_transaction, repeatable

log = logging.getLogger(__name__)
blueprint = Blueprint("dashboard", __name__, url_prefix="/dashboard", template_folder="templates")
T = TypeVar("T")

#: What a person sees who is not signed in.
OPEN = {"dashboard.sign_in", "dashboard.ask_to_sign_in"}

#: What a script asks for: it cannot follow to a page.
_FOR_SCRIPTS = {"dashboard.live_state", "dashboard.live_stream"}

MOST_BYTES = 16 * 1024
PERIODS = (7, 30, 90)

attempts = Attempts()


def register(app: Flask) -> None:
    people.register(app)
    app.register_blueprint(blueprint)


# --- who asks -----------------------------------------------------------------------------------


@blueprint.before_request
def _check() -> ResponseReturnValue | None:
    """Signed in, and a form of ours: nothing below is reached otherwise."""
    request.max_content_length = MOST_BYTES
    if request.endpoint not in OPEN:
        g.signed = people.current()
        if g.signed is None:
            if request.endpoint in _FOR_SCRIPTS:
                return Response(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Refresh": "true"})
            return redirect(url_for("dashboard.ask_to_sign_in"), HTTPStatus.SEE_OTHER)
    if request.method not in {"GET", "HEAD", "OPTIONS"} and not people.token_is_right():
        abort(HTTPStatus.BAD_REQUEST, "This form is too old. Go back, load the page again and try once more.")
    return None


def _signed() -> Signed:
    signed: Signed = g.signed
    return signed


def _read(work: Callable[[Session, uuid.UUID], T]) -> T:
    """Do something in one transaction of this person's clinic, whose zone the page is in from here on."""
    signed = _signed()

    def within(at: Session) -> T:
        g.words = Words(live.zone(at, signed.org_id))
        return work(at, signed.org_id)

    return in_transaction(signed.org_id, within, actor=signed.actor, happened=repeatable)


@blueprint.get("/sign-in")
def ask_to_sign_in() -> ResponseReturnValue:
    if people.current():
        return redirect(url_for("dashboard.home"), HTTPStatus.SEE_OTHER)
    return render_template("dashboard/sign_in.html")


@blueprint.post("/sign-in")
def sign_in() -> ResponseReturnValue:
    """The same words whether the address is nobody's, the password is wrong, or the person disabled."""
    email, password = request.form.get("email", ""), request.form.get("password", "")
    if not attempts.allow(email.strip().lower(), request.remote_addr or ""):
        page = Response(render_template("dashboard/sign_in.html", problem="too_many", email=email))
        page.status_code = HTTPStatus.TOO_MANY_REQUESTS
        page.headers["Retry-After"] = "900"
        return page
    user = people.find(email, password)
    if user is None:
        page_text = render_template("dashboard/sign_in.html", problem="wrong", email=email)
        return page_text, HTTPStatus.FORBIDDEN
    attempts.forget(user.email)
    people.begin(user, password)
    return redirect(url_for("dashboard.home"), HTTPStatus.SEE_OTHER)


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    people.end(_signed(), everywhere="everywhere" in request.form)
    return redirect(url_for("dashboard.ask_to_sign_in"), HTTPStatus.SEE_OTHER)


# --- live ---------------------------------------------------------------------------------------


@blueprint.get("")
def home() -> ResponseReturnValue:
    return redirect(url_for("dashboard.live_page"), HTTPStatus.SEE_OTHER)


@blueprint.get("/live")
def live_page() -> ResponseReturnValue:
    _, now = _state()
    return render_template("dashboard/live.html", live=now)


@blueprint.get("/live/state")
def live_state() -> ResponseReturnValue:
    """The same as a fragment, for whoever has no stream: 304 while nothing changed."""
    version = _read(live.version)
    if request.if_none_match.contains_weak(version):
        response = Response(status=HTTPStatus.NOT_MODIFIED)
    else:
        version, now = _state()
        response = Response(render_template("dashboard/live_parts.html", live=now))
    response.set_etag(version, weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@blueprint.get("/live/stream")
def live_stream() -> ResponseReturnValue:
    """Server-sent events, each of them the whole state: none can be missed, and none counts twice.

    Where every stream is taken it is the state alone, once; whoever had a stream is told that there is none.
    """
    place = _places().take()
    if place is None and "Last-Event-ID" not in request.headers:
        return live_state()
    if place is None:
        abort(HTTPStatus.SERVICE_UNAVAILABLE, "Every stream is taken; ask again without Last-Event-ID.")
    response = Response(stream_with_context(_events(_signed(), place)), mimetype="text/event-stream")
    # Also when it was never begun to be read, as for HEAD.
    response.call_on_close(place.give_back)
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _events(signed: Signed, place: feed.Place) -> Iterator[str]:
    #: The version that was sent, and the one after which it was: what is read may be newer still.
    sent = seen = request.headers.get("Last-Event-ID")
    epoch = int(session["epoch"])
    browser = request.environ.get("gunicorn.socket")
    spoke = time.monotonic()
    ends = spoke + feed.LONGEST
    try:
        yield "retry: 1000\n\n"
        with watch.watching(signed.org_id):
            while time.monotonic() < ends and not feed.went_away(browser):
                until = min(spoke + feed.COMMENT_EVERY, ends) - time.monotonic()
                changed = watch.wait(signed.org_id, seen, max(0, min(feed.MISSED_AFTER, until)))
                if not changed and time.monotonic() < spoke + feed.COMMENT_EVERY:
                    continue
                if not people.still(signed, epoch):
                    return
                spoke = time.monotonic()
                if changed:
                    seen = changed
                    version, now = _state()
                    if version != sent:
                        sent = version
                        yield _event(sent, render_template("dashboard/live_parts.html", live=now))
                else:
                    yield ": nothing new\n\n"
    except (Busy, DatabaseAway):
        return  # the browser comes back in a second
    finally:
        place.give_back()


def _event(version: str, fragment: str) -> str:
    data = "\n".join(f"data: {line}" for line in fragment.splitlines())
    return f"id: {version}\n{data}\n\n"


def _state() -> tuple[str, live.Live]:
    """The version is read first: whatever is committed in between is shown, and then shown again."""
    return _read(lambda at, org_id: (live.version(at, org_id), live.read(at, org_id)))


watch = feed.Watch(lambda org_id: in_transaction(org_id, lambda at: live.version(at, org_id)))


@cache
def _places() -> feed.Places:
    return feed.Places(min(feed.MOST_STREAMS, settings.get().threads_of_web // 4))


# --- leads and calls ----------------------------------------------------------------------------


@blueprint.get("/leads")
def leads() -> ResponseReturnValue:
    band, waiting = _lead_filter()
    rows = _read(
        lambda at, org_id: reports.list_leads(at, org_id, band=band, waiting=waiting, before=_before())
    )
    return render_template("dashboard/leads.html", rows=rows, band=band, waiting=waiting, bands=list(Band))


def _lead_filter() -> tuple[str | None, bool]:
    """Of which band, and whether only those that nobody rang back."""
    band = request.args.get("band")
    return band if band in set(Band) else None, "waiting" in request.args


@blueprint.get("/leads/<path:call_id>")
def lead(call_id: str) -> ResponseReturnValue:
    found = _read(lambda at, org_id: reports.find_call(at, org_id, _known(call_id)))
    if found is None:
        abort(HTTPStatus.NOT_FOUND)
    return render_template("dashboard/lead.html", found=found, row=found.row)


@blueprint.post("/leads/<path:call_id>/called-back")
def called_back(call_id: str) -> ResponseReturnValue:
    """Pressed twice it is noted once, with who was first."""

    def note(at: Session, org_id: uuid.UUID) -> object:
        if "undo" in request.form:
            return call_backs.take_back(at, org_id, _known(call_id))
        return call_backs.record(at, org_id, _known(call_id), by=_signed().name)

    if _read(note) is None:
        abort(HTTPStatus.NOT_FOUND)
    return redirect(url_for("dashboard.lead", call_id=call_id), HTTPStatus.SEE_OTHER)


@blueprint.get("/calls")
def calls() -> ResponseReturnValue:
    rows = _read(lambda at, org_id: reports.list_calls(at, org_id, before=_before()))
    return render_template("dashboard/calls.html", rows=rows)


def _known(call_id: str) -> str:
    """An id that the database could have: it takes no NUL."""
    if "\x00" in call_id:
        abort(HTTPStatus.NOT_FOUND)
    return call_id


def _before() -> datetime | None:
    """Where the page before ended. One without a zone, or of no year that there is, is none."""
    try:
        moment = datetime.fromisoformat(request.args.get("before", ""))
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


# --- messages -----------------------------------------------------------------------------------


@blueprint.get("/messages")
def messages() -> ResponseReturnValue:
    health, rows = _read(
        lambda at, org_id: (
            reports.sms_health(at, org_id),
            reports.list_trouble(at, org_id, before=_before()),
        )
    )
    return render_template("dashboard/messages.html", health=health, rows=rows)


@blueprint.post("/messages/<uuid:message_id>/retry")
def retry(message_id: uuid.UUID) -> ResponseReturnValue:
    """Cannot send twice, however often it is pressed: see models/sms_retry.py."""

    def again(at: Session, org_id: uuid.UUID) -> sms_retry.Retry | None:
        if not reports.is_a_message(at, org_id, message_id):
            return None
        return sms_retry.retry(at, org_id, message_id)

    done = _read(again)
    if done is None:
        abort(HTTPStatus.NOT_FOUND)
    if done.due:
        nudge(done.due)
    flash(("Done: " if done.done else "Not sent again: ") + done.why, "done" if done.done else "not_done")
    return redirect(url_for("dashboard.messages"), HTTPStatus.SEE_OTHER)


# --- figures and files --------------------------------------------------------------------------


@blueprint.get("/reports")
def figures() -> ResponseReturnValue:
    days = _days()
    found = _read(lambda at, org_id: reports.figures(at, org_id, days=days, zone=live.zone(at, org_id)))
    return render_template("dashboard/reports.html", figures=found, days=days, periods=PERIODS)


@blueprint.get("/reports.csv")
def figures_csv() -> ResponseReturnValue:
    days = _days()
    found = _read(lambda at, org_id: reports.figures(at, org_id, days=days, zone=live.zone(at, org_id)))
    header = (
        "date",
        "appointments_created",
        "confirmations_sent",
        "confirmation_rate",
        "appointments_moved",
        "appointments_cancelled",
    )
    return csv_files.answer(
        "daily-report",
        header,
        (
            (day.day, day.appointments, day.confirmed, day.rate, day.moved, day.cancelled)
            for day in found.days
        ),
    )


@blueprint.get("/leads.csv")
def leads_csv() -> ResponseReturnValue:
    band, waiting = _lead_filter()
    rows = _read(
        lambda at, org_id: reports.list_leads(at, org_id, band=band, waiting=waiting, most=reports.MOST)
    )
    header = (
        "call",
        "at",
        "name",
        "phone",
        "score",
        "band",
        "service",
        "reasons",
        "called_back_at",
        "called_back_by",
    )
    return csv_files.answer(
        "leads",
        header,
        (
            (
                row.id,
                row.created_at.isoformat(),
                row.name,
                row.phone,
                row.score,
                row.band,
                row.service,
                "; ".join(f"{reason.get('why')} ({reason.get('points')})" for reason in row.reasons or ()),
                row.called_back_at.isoformat() if row.called_back_at else None,
                row.called_back_by,
            )
            for row in rows
        ),
    )


@blueprint.get("/calls.csv")
def calls_csv() -> ResponseReturnValue:
    rows = _read(lambda at, org_id: reports.list_calls(at, org_id, most=reports.MOST))
    header = ("call", "at", "name", "phone", "seconds", "outcome", "score", "cost_usd")
    return csv_files.answer(
        "calls",
        header,
        (
            (
                row.id,
                row.created_at.isoformat(),
                row.name,
                row.phone,
                row.duration,
                Words.outcome(row.booked, row.status, row.ended_reason),
                row.score,
                row.cost,
            )
            for row in rows
        ),
    )


@blueprint.get("/messages.csv")
def messages_csv() -> ResponseReturnValue:
    rows = _read(lambda at, org_id: reports.list_trouble(at, org_id, most=reports.MOST))
    header = ("message", "at", "kind", "to", "name", "trouble", "attempt", "code", "why")
    return csv_files.answer(
        "messages",
        header,
        (
            (
                row.id,
                row.created_at.isoformat(),
                row.kind,
                row.to_phone,
                row.name,
                row.trouble,
                row.attempt,
                row.error_code,
                row.error_reason or row.cause,
            )
            for row in rows
        ),
    )


def _days() -> int:
    days = request.args.get("days", "")
    return int(days) if days in {str(period) for period in PERIODS} else PERIODS[0]


# --- what goes wrong ----------------------------------------------------------------------------


@blueprint.context_processor
def _for_every_page() -> dict[str, object]:
    return {
        "signed": g.get("signed"),
        "words": g.get("words"),
        "token": people.token,
        "page_size": reports.PAGE,
    }


@blueprint.errorhandler(Busy)
@blueprint.errorhandler(DatabaseAway)
def _later(error: Exception) -> ResponseReturnValue:
    title, text = "Just a moment", "Please try again in a moment."
    if isinstance(error, OutcomeUnknown):
        title, text = (
            "We could not see whether that was done",
            "It may have been: look before you do it again.",
        )
    page = render_template("dashboard/plain.html", title=title, text=text)
    return Response(page, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"})


@blueprint.errorhandler(HTTPException)
def _refused(error: HTTPException) -> ResponseReturnValue:
    status = error.code or HTTPStatus.BAD_REQUEST
    texts = {
        HTTPStatus.NOT_FOUND: ("Not here", "There is no such call or message in your clinic."),
        HTTPStatus.UNAUTHORIZED: ("Signed out", "Please sign in again."),
    }
    title, text = texts.get(HTTPStatus(status), ("That did not work", error.description or ""))
    page = Response(render_template("dashboard/plain.html", title=title, text=text), status)
    for name in ("Allow", "Retry-After"):
        if name in error.get_response().headers:
            page.headers[name] = error.get_response().headers[name]
    return page


@blueprint.after_request
def _add_headers(response: Response) -> Response:
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    return response
