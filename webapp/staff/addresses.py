"""The query of a page's address: the place in a list, and the list from which a call was opened."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import abort, request, url_for

from models.base import times
from models.insight import live
from models.insight.reports import After

#: The pages from which a call can be opened, by the value of `from`: their endpoint and name.
_FROM = {"live": ("live_page", "Live"), "leads": ("leads", "Leads"), "calls": ("calls", "Calls")}

#: The arguments that say where in its list a page is.
_KEPT = ("band", "waiting", "before", "last", "most")


def kept() -> dict[str, Any]:
    """The arguments that lead to the same place in a list again."""
    return {name: request.args[name] for name in _KEPT if name in request.args}


def here(page: str) -> dict[str, Any]:
    """For a template: the arguments of its links to calls, with which the way back leads to this page."""
    return {"here": {"from": page, **kept()}}


def came() -> dict[str, Any]:
    """For the page of a call: the address and name of the page where it was opened, and what to pass on."""
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
    """The id, if the database can hold it; aborts with 404 for a NUL, which it cannot."""
    if "\x00" in call_id:
        abort(HTTPStatus.NOT_FOUND)
    return call_id


def most() -> int:
    """How many rows of each list the live page is to show."""
    return max(1, min(request.args.get("most", type=int) or live.SHOWN, live.MOST))


def after() -> After | None:
    """Where the previous page ended. None without a time, or if it has no zone or is out of range."""
    moment = times.parsed(request.args.get("before", ""))
    return After(moment, request.args.get("last", "").replace("\x00", "")) if moment else None
