"""/dashboard: the pages for signed-in staff. Each request is for one clinic, the one in its cookie."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TypeVar

from flask import (
    Flask,
    Response,
    abort,
    flash,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from models.calls import call_backs
from models.clinics import calendars
from models.clinics.staff import StaffRole
from models.insight import clinic_limits, day_figures, first_steps, lead_record, reports
from models.leads.scoring import Band
from models.notices import retries
from webapp.nudge import nudge
from webapp.staff import (
    account,
    addresses,
    booking,
    csv_files,
    diary,
    holds,
    invitation,
    judgements,
    live_pages,
    patients,
    people,
    settings,
    sign_in,
)
from webapp.staff.guard import blueprint, for_every_page, in_clinic, signed
from webapp.unit_of_work import Busy, DatabaseAway, OutcomeUnknown

log = logging.getLogger(__name__)
#: The other modules with pages: importing them has added these to the blueprint.
_OTHERS = (account, booking, diary, holds, invitation, judgements, live_pages, patients, sign_in)
blueprint.register_blueprint(settings.blueprint)
T = TypeVar("T")
R = TypeVar("R", reports.CallRow, reports.Trouble)

PERIODS = (7, 30, 90)

#: How many rows of a file are read in one transaction.
BATCH = 1000


def register(app: Flask) -> None:
    people.register(app)
    app.register_blueprint(blueprint)


@blueprint.get("", strict_slashes=False)
def home() -> ResponseReturnValue:
    """The live page; for the owner of a clinic in which nothing can be booked yet, what to set up first."""
    if signed().role is StaffRole.OWNER and not in_clinic(first_steps.is_bookable):
        return redirect(url_for("dashboard.settings.overview"), HTTPStatus.SEE_OTHER)
    return redirect(url_for("dashboard.live_page"), HTTPStatus.SEE_OTHER)


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
    """The band in the address, and whether it asks only for leads that wait for a call-back."""
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
    """Note the call-back. If two people press it, it is noted once, for the first of them."""

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
    """Try a message again. Repeated presses send nothing twice (models/notices/retries.py)."""

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

    def count(at: Session, org_id: uuid.UUID) -> tuple[day_figures.Figures, list[lead_record.Month]]:
        zone = calendars.zone(at, org_id)
        return day_figures.read(at, org_id, days=days, zone=zone), lead_record.by_month(at, org_id, zone=zone)

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
        lambda at, org_id: day_figures.read(at, org_id, days=days, zone=calendars.zone(at, org_id))
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

    The first batch is read before the answer begins, so that it is still 503 without a database.
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
        text = "It may have been done: please look before you do it again."
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
        "Please try again in a moment. If it happens again, please tell your clinic's Holdline operator.",
    ),
}


@blueprint.errorhandler(HTTPException)
def refused(error: HTTPException) -> Response:
    """The page for a request that failed, also where no page of the dashboard was asked for."""
    status = HTTPStatus(error.code or HTTPStatus.BAD_REQUEST)
    if status is HTTPStatus.NOT_FOUND and request.url_rule:
        title, text = (
            "Not here",
            "Your clinic has nothing here. Perhaps it was removed, or erased.",
        )
    elif status is HTTPStatus.NOT_FOUND:
        title, text = "No such page", "There is no page at this address. Perhaps a part of it is missing."
    else:
        # Only our own words: the library's descriptions are for developers.
        said = error.description if error.description != type(error).description else None
        title, text = _TEXTS.get(status, ("That did not work", said or _NOTHING_DONE))
    page = _plain(title, text, status)
    for name in ("Allow", "Retry-After"):
        if name in error.get_response().headers:
            page.headers[name] = error.get_response().headers[name]
    return page


def _plain(title: str, text: str, status: HTTPStatus) -> Response:
    """A page with one message. Outside the blueprint the signed-in person is looked up here."""
    context = for_every_page()
    if "signed" not in g:
        try:
            context["signed"] = people.current()
        except (Busy, DatabaseAway):
            context["signed"] = None
    page = Response(render_template("dashboard/plain.html", title=title, text=text, **context), status)
    if request.method == "POST" and "HX-Request" in request.headers:
        # htmx asked for a part of a page: have it load the whole page, which shows the message.
        flash(f"{title}: {text}", "not_done")
        page.headers["HX-Refresh"] = "true"
    return _add_headers(page)


@blueprint.after_request
def _add_headers(response: Response) -> Response:
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    return response
