"""/dashboard/live: what is happening at the clinic, as a page, as a fragment, and as a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from flask import (
    Response,
    abort,
    render_template,
    request,
    stream_with_context,
)
from flask.typing import ResponseReturnValue

import settings
from models.insight import live
from webapp.staff import addresses, feed, people
from webapp.staff.guard import blueprint, in_clinic, signed
from webapp.staff.people import Signed
from webapp.state import carried, per_app
from webapp.unit_of_work import Busy, DatabaseAway, in_transaction


@blueprint.get("/live")
def live_page() -> ResponseReturnValue:
    return render_template("dashboard/live.html", **_live_facts(_state(addresses.most())))


@blueprint.get("/live/state")
def live_state() -> ResponseReturnValue:
    """The same as a fragment, for browsers without a stream. It answers 304 while nothing has changed."""
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
    """Server-sent events. Each is the whole state, so a lost or repeated event does no harm.

    If every stream is taken, a new browser gets the state once, and one that comes back (with Last-Event-ID)
    gets 503.
    """
    place = _places().take(signed().org_id)
    if place is None and "Last-Event-ID" not in request.headers:
        return live_state()
    if place is None:
        abort(HTTPStatus.SERVICE_UNAVAILABLE, "Every stream is taken; ask again without Last-Event-ID.")
    response = Response(stream_with_context(_events(signed(), place)), mimetype="text/event-stream")
    # This also gives the place back if the answer is never read, as for HEAD.
    response.call_on_close(place.give_back)
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _events(who: Signed, place: feed.Place) -> Iterator[str]:
    # The version that was sent, and the one that led to reading it: what was read may be newer.
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
                # Asked after reading, so that nothing committed after the session ended is shown.
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
    """The variables of the live page. `more` is the number of rows it offers, None if it shows all it can."""
    more = min(addresses.most() * 4, live.MOST)
    more_or_none = more if more > addresses.most() else None
    return {"live": now, "more": more_or_none, "kept": addresses.kept(), **addresses.here("live")}


@per_app
def watch() -> feed.Watch:
    """The versions that the streams wait for."""
    return feed.Watch(carried(lambda org_id: in_transaction(org_id, lambda at: live.version(at, org_id))))


@per_app
def _places() -> feed.Places:
    return feed.Places(min(feed.MOST_STREAMS, settings.get().threads_of_web // 4))
