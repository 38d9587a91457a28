"""/dashboard/live: what happens at the clinic now, as a page, a fragment and a stream."""

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
