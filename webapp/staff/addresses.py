"""What the address of a page says: where in a list it is, and from which list a call was opened."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import abort, request, url_for

from models.base import times
from models.insight import live
from models.insight.reports import After

#: The pages from which a call may be opened, by what stands in its address: the endpoint, and its name.
_FROM = {"live": ("live_page", "Live"), "leads": ("leads", "Leads"), "calls": ("calls", "Calls")}

#: What says where in its list a page is.
_KEPT = ("band", "waiting", "before", "last", "most")


def kept() -> dict[str, Any]:
    """What an address needs to lead to the same place in a list again."""
    return {name: request.args[name] for name in _KEPT if name in request.args}


def here(page: str) -> dict[str, Any]:
    """For a template: what its links to calls take along, so that the way back leads here."""
    return {"here": {"from": page, **kept()}}


def came() -> dict[str, Any]:
    """For the page of a call: the way back to where it was opened, its name, and what to pass on."""
    page = request.args.get("from", "")
    endpoint, name = _FROM.get(page, _FROM["leads"])
    passed_on = {"from": page, **kept()} if page in _FROM else {}
    return {
        "back": url_for(f"dashboard.{endpoint}", **kept()),
        "back_to": name,
        "lit": endpoint,
        "here": passed_on,
    }


def known(call_id: str) -> str:
    """An id that the database could have: it takes no NUL."""
    if "\x00" in call_id:
        abort(HTTPStatus.NOT_FOUND)
    return call_id


def most() -> int:
    """How many rows of each list of the live page are asked for."""
    return max(1, min(request.args.get("most", type=int) or live.SHOWN, live.MOST))


def after() -> After | None:
    """Where the page before ended. A time without a zone, or of no year that there is, is none."""
    moment = times.parsed(request.args.get("before", ""))
    return After(moment, request.args.get("last", "").replace("\x00", "")) if moment else None
