"""/dashboard: signing in, and the pages for whoever is. Each request is one clinic's, the cookie's own."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, TypeVar

from flask import (
    Flask,
    Response,
    abort,
    flash,
    g,
    redirect,
    render_template,
    request,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

import settings
from models.calls import call_backs
from models.clinics import calendars
from models.insight import clinic_limits, lead_record, live, reports
from models.leads.scoring import Band
from models.notices import retries
from webapp.nudge import nudge
from webapp.staff import account, addresses, csv_files, feed, holds, judgements, people, sign_in
from webapp.staff.guard import blueprint, for_every_page, in_clinic, signed
from webapp.staff.people import Signed
from webapp.state import carried, per_app
from webapp.unit_of_work import Busy, DatabaseAway, OutcomeUnknown, in_transaction

log = logging.getLogger(__name__)
#: The other modules with pages: importing them has added these to the blueprint.
_OTHERS = (account, holds, judgements, sign_in)
T = TypeVar("T")
R = TypeVar("R", reports.CallRow, reports.Trouble)

PERIODS = (7, 30, 90)

#: Rows of a file that are read in one transaction.
BATCH = 1000


def register(app: Flask) -> None:
    people.register(app)
    app.register_blueprint(blueprint)


# --- live ---------------------------------------------------------------------------------------


@blueprint.get("", strict_slashes=False)
def home() -> ResponseReturnValue:
    return redirect(url_for("dashboard.live_page"), HTTPStatus.SEE_OTHER)


@blueprint.get("/live")
def live_page() -> ResponseReturnValue:
    return render_template("dashboard/live.html", **_live_facts(_state(addresses.most())))


@blueprint.get("/live/state")
def live_state() -> ResponseReturnValue:
    """The same as a fragment, for whoever has no stream: 304 while nothing changed."""
    version = in_clinic(live.version)
    if request.if_none_match.contains_weak(version):
        response = Response(status=HTTPStatus.NOT_MODIFIED)
    else:
        now = _state(addresses.most())
        version = now.version
        response = Response(render_template("dashboard/live_parts.html", **_live_facts(now)))
    response.set_etag(version, weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@blueprint.get("/live/stream")
def live_stream() -> ResponseReturnValue:
    """Server-sent events, each of them the whole state: none can be missed, and none counts twice.

    Where every stream is taken it is the state alone, once; whoever had a stream is told that there is none.
    """
    place = _places().take(signed().org_id)
    if place is None and "Last-Event-ID" not in request.headers:
        return live_state()
    if place is None:
        abort(HTTPStatus.SERVICE_UNAVAILABLE, "Every stream is taken; ask again without Last-Event-ID.")
    response = Response(stream_with_context(_events(signed(), place)), mimetype="text/event-stream")
    # Also when it was never begun to be read, as for HEAD.
    response.call_on_close(place.give_back)
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _events(who: Signed, place: feed.Place) -> Iterator[str]:
    #: The version that was sent, and the one after which it was: what is read may be newer still.
    sent = seen = request.headers.get("Last-Event-ID")
    browser = request.environ.get("gunicorn.socket")
    spoke = time.monotonic()
    ends = spoke + feed.LONGEST
    try:
        yield "retry: 1000\n\n"
        with watch().watching(who.org_id):
            while time.monotonic() < ends and not feed.went_away(browser):
                until = min(spoke + feed.COMMENT_EVERY, ends) - time.monotonic()
                changed = watch().wait(who.org_id, seen, max(0, min(feed.MISSED_AFTER, until)))
                if not changed and time.monotonic() < spoke + feed.COMMENT_EVERY:
                    continue
                now = _state(addresses.most()) if changed else None
                # After reading: what was committed once the session had ended is never shown.
                if not people.still(who):
                    return
                spoke = time.monotonic()
                if changed:
                    seen = changed
                    if now and now.version != sent:
                        sent = now.version
                        fragment = render_template("dashboard/live_parts.html", **_live_facts(now))
                        yield _event(now.version, fragment)
                else:
                    yield ": nothing new\n\n"
    except (Busy, DatabaseAway):
        return  # the browser comes back in a second
    finally:
        place.give_back()


def _event(version: str, fragment: str) -> str:
    data = "\n".join(f"data: {line}" for line in fragment.splitlines())
    return f"id: {version}\n{data}\n\n"


def _state(most: int) -> live.Live:
    return in_clinic(lambda at, org_id: live.read(at, org_id, most=most))


def _live_facts(now: live.Live) -> dict[str, Any]:
    """What the live page says; `more` is how many rows it offers to show next, if it can show more."""
    more = min(addresses.most() * 4, live.MOST)
    more_or_none = more if more > addresses.most() else None
    return {"live": now, "more": more_or_none, "kept": addresses.kept(), **addresses.here("live")}


@per_app
def watch() -> feed.Watch:
    """Which version of its clinic each stream waits for."""
    return feed.Watch(carried(lambda org_id: in_transaction(org_id, lambda at: live.version(at, org_id))))


@per_app
def _places() -> feed.Places:
    return feed.Places(min(feed.MOST_STREAMS, settings.get().threads_of_web // 4))


# --- leads and calls ----------------------------------------------------------------------------


@blueprint.get("/leads")
def leads() -> ResponseReturnValue:
    band, waiting = _lead_filter()
    rows, more = _page(
        lambda at, org_id, after, most: reports.list_leads(
            at, org_id, band=band, waiting=waiting, after=after, most=most
        )
    )
    return render_template(
        "dashboard/leads.html",
        rows=rows,
        more=more,
        band=band,
        waiting=waiting,
        bands=list(Band),
        **addresses.here("leads"),
    )


def _lead_filter() -> tuple[str | None, bool]:
    """Of which band, and whether only those that nobody rang back."""
    band = request.args.get("band")
    return band if band in set(Band) else None, "waiting" in request.args


@blueprint.get("/leads/<path:call_id>")
def lead(call_id: str) -> ResponseReturnValue:
    found = in_clinic(lambda at, org_id: reports.find_call(at, org_id, addresses.known(call_id)))
    if found is None:
        abort(HTTPStatus.NOT_FOUND)
    return render_template("dashboard/lead.html", found=found, row=found.row, **addresses.came())


@blueprint.post("/leads/<path:call_id>/called-back")
def called_back(call_id: str) -> ResponseReturnValue:
    """Pressed twice it is noted once, with who was first."""

    def note(at: Session, org_id: uuid.UUID) -> object:
        if "undo" in request.form:
            return call_backs.take_back(at, org_id, addresses.known(call_id))
        return call_backs.record(at, org_id, addresses.known(call_id), by=signed().name)

    if in_clinic(note) is None:
        abort(HTTPStatus.NOT_FOUND)
    return redirect(
        url_for("dashboard.lead", call_id=call_id, **addresses.came()["here"]), HTTPStatus.SEE_OTHER
    )


@blueprint.get("/calls")
def calls() -> ResponseReturnValue:
    rows, more = _page(lambda at, org_id, after, most: reports.list_calls(at, org_id, after=after, most=most))
    return render_template("dashboard/calls.html", rows=rows, more=more, **addresses.here("calls"))


def _page(find: Callable[[Session, uuid.UUID, reports.After | None, int], list[T]]) -> tuple[list[T], bool]:
    """The rows of one page, and whether others follow."""
    after = addresses.after()
    rows = in_clinic(lambda at, org_id: find(at, org_id, after, reports.PAGE + 1))
    return rows[: reports.PAGE], len(rows) > reports.PAGE


# --- messages -----------------------------------------------------------------------------------


@blueprint.get("/messages")
def messages() -> ResponseReturnValue:
    health, low = in_clinic(
        lambda at, org_id: (reports.sms_health(at, org_id), clinic_limits.find_low(at, org_id))
    )
    rows, more = _page(
        lambda at, org_id, after, most: reports.list_trouble(at, org_id, after=after, most=most)
    )
    return render_template(
        "dashboard/messages.html", health=health, low=low, rows=rows, more=more, here=addresses.kept()
    )


@blueprint.post("/messages/<uuid:message_id>/retry")
def retry(message_id: uuid.UUID) -> ResponseReturnValue:
    """Cannot send twice, however often it is pressed: see models/notices/retries.py."""

    def again(at: Session, org_id: uuid.UUID) -> retries.Retry | None:
        if not reports.is_a_message(at, org_id, message_id):
            return None
        return retries.retry(at, org_id, message_id)

    done = in_clinic(again)
    if done is None:
        abort(HTTPStatus.NOT_FOUND)
    if done.due:
        nudge(done.due)
    flash(("Done: " if done.done else "Not sent again: ") + done.why, "done" if done.done else "not_done")
    return redirect(url_for("dashboard.messages", **addresses.kept()), HTTPStatus.SEE_OTHER)


# --- figures and files --------------------------------------------------------------------------


@blueprint.get("/reports")
def figures() -> ResponseReturnValue:
    days = _days()

    def count(at: Session, org_id: uuid.UUID) -> tuple[reports.Figures, list[lead_record.Month]]:
        zone = calendars.zone(at, org_id)
        return reports.figures(at, org_id, days=days, zone=zone), lead_record.by_month(at, org_id, zone=zone)

    found, record = in_clinic(count)
    return render_template(
        "dashboard/reports.html",
        figures=found,
        days=days,
        periods=PERIODS,
        record=record,
    )


@blueprint.get("/reports.csv")
def figures_csv() -> ResponseReturnValue:
    days = _days()
    found = in_clinic(
        lambda at, org_id: reports.figures(at, org_id, days=days, zone=calendars.zone(at, org_id))
    )
    return csv_files.answer("daily-report", csv_files.DAYS, map(csv_files.day, found.days))


@blueprint.get("/leads.csv")
def leads_csv() -> ResponseReturnValue:
    band, waiting = _lead_filter()
    rows = _every(
        lambda at, org_id, after, most: reports.list_leads(
            at, org_id, band=band, waiting=waiting, after=after, most=most
        )
    )
    return csv_files.answer("leads", csv_files.LEADS, map(csv_files.lead, rows))


@blueprint.get("/calls.csv")
def calls_csv() -> ResponseReturnValue:
    rows = _every(lambda at, org_id, after, most: reports.list_calls(at, org_id, after=after, most=most))
    return csv_files.answer("calls", csv_files.CALLS, map(csv_files.call, rows))


@blueprint.get("/messages.csv")
def messages_csv() -> ResponseReturnValue:
    rows = _every(lambda at, org_id, after, most: reports.list_trouble(at, org_id, after=after, most=most))
    return csv_files.answer("messages", csv_files.MESSAGES, map(csv_files.message, rows))


def _every(find: Callable[[Session, uuid.UUID, reports.After | None, int], list[R]]) -> Iterator[R]:
    """Every row of a list, however long it is, without holding a transaction or all of them at once.

    The first are read before the answer begins, so that a database that is away is still said with 503.
    """
    who = signed()

    def batches(rows: list[R]) -> Iterator[R]:
        while rows:
            yield from rows
            if len(rows) < BATCH or not people.still(who):
                return
            after = reports.After(rows[-1].created_at, str(rows[-1].id))
            rows = _batch(find, after)

    return batches(_batch(find, None))


def _batch(
    find: Callable[[Session, uuid.UUID, reports.After | None, int], list[R]], after: reports.After | None
) -> list[R]:
    return in_clinic(lambda at, org_id: find(at, org_id, after, BATCH))


def _days() -> int:
    days = request.args.get("days", "")
    return int(days) if days in {str(period) for period in PERIODS} else PERIODS[0]


# --- what goes wrong ----------------------------------------------------------------------------


@blueprint.errorhandler(Busy)
@blueprint.errorhandler(DatabaseAway)
def _later(error: Exception) -> ResponseReturnValue:
    title, text = "Just a moment", "Please try again in a moment."
    if isinstance(error, OutcomeUnknown):
        title = "We could not see whether that was done"
        text = "It may have been: look before you do it again."
    page = _plain(title, text, HTTPStatus.SERVICE_UNAVAILABLE)
    page.headers["Retry-After"] = "5"
    return page


_NOTHING_DONE = "Nothing was changed. Please go back and try again."
_TEXTS = {
    HTTPStatus.UNAUTHORIZED: ("Signed out", "Please sign in again."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "Too long",
        "That is more than this form takes. Nothing was changed.",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "Something went wrong on our side",
        "Please try again in a moment. If it stays so, tell whoever runs Holdline for your clinic.",
    ),
}


@blueprint.errorhandler(HTTPException)
def refused(error: HTTPException) -> Response:
    """What a person is told of a request that came to nothing, also where no page of ours was asked for."""
    status = HTTPStatus(error.code or HTTPStatus.BAD_REQUEST)
    if status is HTTPStatus.NOT_FOUND and request.url_rule:
        title, text = "Not here", "There is no such call or message in your clinic."
    elif status is HTTPStatus.NOT_FOUND:
        title, text = "No such page", "There is no page at this address. Perhaps a part of it is missing."
    else:
        # Only words of our own: what the library says of itself is for those who build pages.
        said = error.description if error.description != type(error).description else None
        title, text = _TEXTS.get(status, ("That did not work", said or _NOTHING_DONE))
    page = _plain(title, text, status)
    for name in ("Allow", "Retry-After"):
        if name in error.get_response().headers:
            page.headers[name] = error.get_response().headers[name]
    return page


def _plain(title: str, text: str, status: HTTPStatus) -> Response:
    """A page that says one thing. Outside the blueprint nothing was asked yet of who is signed in."""
    context = for_every_page()
    if "signed" not in g:
        try:
            context["signed"] = people.current()
        except (Busy, DatabaseAway):
            context["signed"] = None
    page = Response(render_template("dashboard/plain.html", title=title, text=text, **context), status)
    if request.method == "POST" and "HX-Request" in request.headers:
        # A part of a page was asked for: the page is loaded again, and says it.
        flash(f"{title}: {text}", "not_done")
        page.headers["HX-Refresh"] = "true"
    return _add_headers(page)


@blueprint.after_request
def _add_headers(response: Response) -> Response:
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    return response
