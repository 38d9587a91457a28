"""The client's address of a request, behind as many reverse proxies as the setting PROXIES says.

Each proxy appends to X-Forwarded-For the address that it was reached from. So the last entries, one for each
of our proxies, are true, and everything before them is what the client wrote.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from webapp import addresses

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

#: Seconds between two log lines that say the same.
_TOLD_EVERY = 3600.0

_SCHEME = re.compile(r"https?", re.IGNORECASE)


class BehindProxies:
    """Puts the address and scheme of the client into each request, as if the request had come directly.

    With no proxy in front the headers are the client's own words, and are ignored.
    """

    def __init__(self, app: WSGIApplication, proxies: int) -> None:
        self._app = app
        self._proxies = proxies
        self._lock = threading.Lock()
        self._quiet_until: dict[str, float] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        forwarded = listed(environ.get("HTTP_X_FORWARDED_FOR"))
        peer = addresses.read(str(environ.get("REMOTE_ADDR") or ""))
        if self._proxies:
            environ["REMOTE_ADDR"] = self._client(forwarded, peer)
            if scheme := self._scheme(listed(environ.get("HTTP_X_FORWARDED_PROTO"))):
                environ["wsgi.url_scheme"] = scheme
        else:
            environ["REMOTE_ADDR"] = peer or ""
            if forwarded:
                self._tell(
                    "a request says that it came through a proxy, and PROXIES is 0: if there is one,"
                    " everybody behind it is counted as one address"
                )
        return self._app(environ, start_response)

    def _client(self, forwarded: list[str], peer: str | None) -> str:
        address = said(forwarded, self._proxies)
        if address is None and forwarded:
            self._tell("no address can be read from X-Forwarded-For, and the proxy's own is counted instead")
        return address or peer or ""

    def _scheme(self, forwarded: list[str]) -> str | None:
        """The scheme that our outermost proxy named. If a proxy replaces the header that the proxy before it
        wrote, there are fewer entries than proxies.
        """
        schemes = [entry.lower() for entry in forwarded[-self._proxies :] if _SCHEME.fullmatch(entry)]
        return schemes[0] if schemes else None

    def _tell(self, what: str) -> None:
        """Log a warning at most once an hour, so that clients who send such requests cannot fill the log."""
        with self._lock:
            now = time.monotonic()
            if now < self._quiet_until.get(what, 0.0):
                return
            self._quiet_until[what] = now + _TOLD_EVERY
        log.warning("%s", what)


def said(forwarded: list[str], proxies: int) -> str | None:
    """The address in the entry of our outermost proxy. If that entry is not an address, the next proxy's is
    read; entries that the client wrote are never read. None if no entry is an address.
    """
    return next((found for entry in forwarded[-proxies:] if (found := addresses.read(entry))), None)


def listed(header: object) -> list[str]:
    """The entries of a header. The web server joins several headers of the same name with commas."""
    return [each for each in (part.strip(' \t"') for part in str(header or "").split(",")) if each]
