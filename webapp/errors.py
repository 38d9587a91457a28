"""Answers to requests that failed: a code and a sentence for a program, a page for a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, InternalServerError

Page = Callable[[HTTPException], ResponseReturnValue]

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large", 500: "internal_error"}

#: Only programs ask below this path, whatever their Accept header says.
_FOR_PROGRAMS = "/api"


def register(app: Flask, pages: Mapping[str, Page], *, elsewhere: Page) -> None:
    """Answer every HTTPException. Below each path of `pages`, where only people ask, its page always answers;
    for all other paths `elsewhere` answers browsers.
    """
    app.register_error_handler(HTTPException, partial(_answer, pages, elsewhere))


def _answer(pages: Mapping[str, Page], elsewhere: Page, error: HTTPException) -> ResponseReturnValue:
    if error.code is not None and error.code < 400:
        return error.get_response()  # a redirect
    for path, page in pages.items():
        if _is_below(path):
            return page(error)
    if _is_below(_FOR_PROGRAMS) or not wants_a_page():
        return _as_json(error)
    return elsewhere(error)


def _is_below(path: str) -> bool:
    return request.path == path or request.path.startswith(f"{path}/")


def wants_a_page() -> bool:
    """Whether a browser asks, and not a program that accepts any type."""
    accepted = request.accept_mimetypes
    return accepted.quality("text/html") > accepted.quality("application/json")


def _as_json(error: HTTPException) -> ResponseReturnValue:
    response = error.get_response()
    status = response.status_code
    # Our own sentence: the exception's text may hold what a client must not read.
    say = "Something went wrong on our side." if isinstance(error, InternalServerError) else error.description
    body = jsonify(success=False, error=error.name, code=_CODES.get(status, "http_error"), say=say)
    body.status_code = status
    if "Allow" in response.headers:
        body.headers["Allow"] = response.headers["Allow"]
    return body
