"""What a request gets that belongs to no page: a stable code and a sentence, as JSON."""

from __future__ import annotations

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, InternalServerError

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large", 500: "internal_error"}


def register(app: Flask) -> None:
    app.register_error_handler(HTTPException, _as_json)


def _as_json(error: HTTPException) -> ResponseReturnValue:
    response = error.get_response()
    status = response.status_code
    # The sentence is ours: an exception's own text may hold what nobody should read.
    say = "Something went wrong on our side." if isinstance(error, InternalServerError) else error.description
    body = jsonify(success=False, error=error.name, code=_CODES.get(status, "http_error"), say=say)
    body.status_code = status
    for name in ("Allow", "Location"):
        if name in response.headers:
            body.headers[name] = response.headers[name]
    return body
