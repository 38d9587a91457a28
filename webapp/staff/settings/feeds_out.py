"""The half of /dashboard/settings/calendars in which an owner publishes a diary for other programs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from flask import abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from models.booking import published, resources
from models.booking.published import PublishedCalendar
from models.booking.resources import Resource
from models.booking.set_up_change import SetUpChange
from webapp.staff import given
from webapp.staff.guard import in_clinic
from webapp.staff.settings.owners import blueprint, change
from webapp.staff.shown import Words

#: In the form, in place of a resource: no resource has an empty id.
_EVERYBODY = ""


@dataclass(frozen=True, slots=True)
class FeedsOut:
    """What the page shows of the published calendars."""

    calendars: Sequence[tuple[PublishedCalendar, str]]
    resources: Sequence[Resource]
    words: Words
    #: The id of the calendar that the form would make, so that one that is sent twice makes one.
    once: uuid.UUID


@blueprint.context_processor
def _for_the_page() -> dict[str, object]:
    """A function, so that only the page that shows them reads them."""
    return {"feeds_out": _feeds_out}


def _feeds_out() -> FeedsOut:
    calendars, known = in_clinic(
        lambda at, org_id: (
            published.list_of_clinic(at, org_id),
            resources.list_of_clinic(at, org_id, retired=True),
        )
    )
    names = {each.id: each.name for each in known}
    return FeedsOut(
        calendars=[(each, _name(names, each)) for each in calendars],
        resources=[each for each in known if each.retired_at is None],
        words=g.words,
        once=uuid.uuid4(),
    )


def _name(names: dict[str, str], calendar: PublishedCalendar) -> str:
    return names[calendar.resource_id] if calendar.resource_id else "The whole clinic"


@blueprint.post("/calendars/published")
def publish_calendar() -> ResponseReturnValue:
    """Publish a calendar. This answer shows its link, which is never shown again."""
    who, form = request.form.get("who", _EVERYBODY), request.form.get("says")
    if form not in ("busy", "names"):
        flash("Nothing was changed: choose what the calendar says.", "not_done")
        return _back()

    def publish(at: Session, org_id: uuid.UUID, _: SetUpChange) -> tuple[PublishedCalendar, str | None]:
        return published.publish(
            at, org_id, resource_id=who or None, with_names=form == "names", once=given.row_id("once")
        )

    made = change(
        publish,
        "The calendar is published.",
        happened=lambda at, made: made[1] is None or published.find(at, made[1]) is not None,
    )
    if made is None:
        return _back()
    calendar, token = made
    if token is None:
        flash(
            "Its link was shown once, and cannot be shown again. If it is lost, press “New link”.", "not_done"
        )
        return _back()
    return _shown(token, with_names=calendar.with_names)


@blueprint.post("/calendars/published/<uuid:calendar_id>/renew")
def renew_calendar(calendar_id: uuid.UUID) -> ResponseReturnValue:
    """Make another link for a calendar; the old one no longer works."""

    def renew(at: Session, org_id: uuid.UUID) -> tuple[str, bool] | None:
        token = published.renew(at, org_id, calendar_id)
        calendar = token and published.get_or_none(at, org_id, calendar_id)
        return (token, calendar.with_names) if token and calendar else None

    renewed = in_clinic(renew, happened=lambda at, it: it is None or published.find(at, it[0]) is not None)
    if renewed is None:
        abort(HTTPStatus.NOT_FOUND, "This calendar is no longer published.")
    flash("The calendar has a new link, and the old one no longer works.", "done")
    return _shown(renewed[0], with_names=renewed[1])


@blueprint.post("/calendars/published/<uuid:calendar_id>/revoke")
def revoke_calendar(calendar_id: uuid.UUID) -> ResponseReturnValue:
    if not in_clinic(
        lambda at, org_id: published.revoke(at, org_id, calendar_id),
        happened=lambda at, _: published.get_or_none(at, g.signed.org_id, calendar_id) is None,
    ):
        abort(HTTPStatus.NOT_FOUND, "This calendar is no longer published.")
    flash("The link no longer works. Other programs keep what they have already read.", "done")
    return _back()


def _shown(token: str, *, with_names: bool) -> str:
    return render_template(
        "dashboard/settings/published_link.html",
        address=published.address(token),
        webcal=published.webcal(token),
        with_names=with_names,
    )


def _back() -> Response:
    return redirect(url_for("dashboard.settings.calendars"), HTTPStatus.SEE_OTHER)
