"""Security headers of every answer: what a browser must not do with it.

A page that needs another value sets the header itself, and keeps it.
"""

from __future__ import annotations

from flask import Flask, Response, request

import settings

#: For JSON and everything else that is not a page: a browser loads and runs nothing from it.
_NOTHING = "default-src 'none'; frame-ancestors 'none'"

#: For a page: our own files only, and no inline script or style.
_OWN_FILES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_YEAR = 365 * 24 * 3600


def register(app: Flask) -> None:
    app.after_request(_add)


def _add(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("X-Frame-Options", "DENY")
    page = response.mimetype == "text/html"
    headers.setdefault("Content-Security-Policy", _OWN_FILES if page else _NOTHING)
    headers.setdefault("Cache-Control", "no-store")  # answers and pages hold names and numbers
    if request.is_secure and not settings.get().development:
        headers.setdefault("Strict-Transport-Security", f"max-age={_YEAR}")
    return response
