"""GET /calendar/<token>.ics: a published calendar, for the program that was given its link.

Every link that does not work is answered alike, whether it was revoked, never existed or is no link at all.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from models.base.session import Door
from models.booking import published, published_events
from models.booking.published import Found
from models.booking.published_events import Published
from webapp import guesses, shares
from webapp.guesses import TooMany, UnknownLink
from webapp.limits import Limiter
from webapp.state import per_app
from webapp.turns import NoTurn, Turns
from webapp.unit_of_work import (
    Busy,
    DatabaseAway,
    in_system_transaction,
    in_transaction,
    repeatable,
)

log = logging.getLogger(__name__)
blueprint = Blueprint("feeds", __name__, url_prefix=published.PATH.rstrip("/"))

#: The actor in the audit log.
ACTOR = "published calendar"

_HEADERS = {
    # Each reading asks here again, so that a revoked calendar is gone at once.
    "Cache-Control": "private, no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
}

#: Readings of one calendar: thirty at once, since all devices of a clinic may wake up together, and then one
#: every two seconds.
requests = per_app(lambda: Limiter(0.5, burst=60.0))

#: A calendar of ten thousand entries takes two seconds of a processor to write, which callers need, too: one
#: is written at a time. Those that wait keep a thread each.
_writing = per_app(lambda: Turns(1, waiting=3))
LONGEST_WAIT = 10.0


@blueprint.get("/<path:name>")
def calendar(name: str) -> ResponseReturnValue:
    found = guesses.find(lambda: _find(name))
    if not requests().allow(found.calendar_id):
        raise TooMany
    if not shares.admit(found.org_id):
        raise Busy
    reader = request.headers.get("User-Agent", "")
    read = in_transaction(
        found.org_id, lambda session: _read(session, found, reader), actor=ACTOR, happened=repeatable
    )
    if read is None:
        raise UnknownLink
    version = read.version
    # A proxy that compresses an answer marks the version as a weak one.
    if request.if_none_match.contains_weak(version):
        response = Response(status=HTTPStatus.NOT_MODIFIED)
    else:
        response = Response(_written(read), content_type="text/calendar; charset=utf-8")
        response.headers["Content-Disposition"] = "inline; filename=calendar.ics"
    response.set_etag(version)
    return response


def _find(name: str) -> Found | None:
    """Looks into the database for any name, so that the time of an answer tells nothing either."""
    token = name.removesuffix(published.SUFFIX)
    return in_system_transaction(Door.PUBLISHED_CALENDAR, lambda session: published.find(session, token))


def _read(session: Session, found: Found, reader: str) -> Published | None:
    read = published_events.read(session, found)
    if read is not None:
        published.note_reading(session, found, reader)
    return read


def _written(read: Published) -> bytes:
    try:
        with _writing().turn(longest=LONGEST_WAIT):
            return published_events.write(read)
    except NoTurn:
        raise Busy from None


# --- what went wrong ----------------------------------------------------------------------------


def _plain(sentence: str, status: int, *, after: int | None = None) -> Response:
    response = Response(f"{sentence}\n", status=status, content_type="text/plain; charset=utf-8")
    if after:
        response.headers["Retry-After"] = str(after)
    response.headers.update(_HEADERS)
    return response


@blueprint.errorhandler(UnknownLink)
def _unknown(_: UnknownLink) -> ResponseReturnValue:
    return _plain(
        "There is no calendar at this address. The clinic may have revoked it.", HTTPStatus.NOT_FOUND
    )


@blueprint.errorhandler(TooMany)
def _too_many(_: TooMany) -> ResponseReturnValue:
    return _plain("Too many requests. Ask again later.", HTTPStatus.TOO_MANY_REQUESTS, after=60)


@blueprint.errorhandler(Busy)
@blueprint.errorhandler(DatabaseAway)
def _later(_: Exception) -> ResponseReturnValue:
    return _plain("The calendar cannot be read now. Ask again.", HTTPStatus.SERVICE_UNAVAILABLE, after=60)


@blueprint.errorhandler(HTTPException)
def refused(error: HTTPException) -> Response:
    """The answer to a program whose request failed, also below /calendar where there is nothing."""
    status = error.code or HTTPStatus.BAD_REQUEST
    if status == HTTPStatus.NOT_FOUND:
        return _plain(
            "There is no calendar at this address. The clinic may have revoked it.", HTTPStatus.NOT_FOUND
        )
    response = _plain(f"{error.name}.", status)
    if "Allow" in error.get_response().headers:
        response.headers["Allow"] = error.get_response().headers["Allow"]
    return response


@blueprint.errorhandler(Exception)
def _failed(error: Exception) -> ResponseReturnValue:
    # Flask's own log line would have the path, and with it the token.
    log.error("a published calendar failed", exc_info=error)
    return _plain("Something went wrong on our side.", HTTPStatus.INTERNAL_SERVER_ERROR)


@blueprint.before_request
def _bound_the_body() -> None:
    request.max_content_length = 0


@blueprint.after_request
def _add_headers(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response
