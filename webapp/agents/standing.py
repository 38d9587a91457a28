"""Whose request it is, by its head alone: the web server asks before it waits for a large body.

`webserver` knows how bytes come in; this module decides which of them are worth waiting for.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from flask import Request

import settings
from webapp import addresses, attacks, proxies
from webapp.agents import credentials, platforms
from webapp.agents.platform import Platform
from webapp.state import Application
from webapp.unit_of_work import Busy, DatabaseAway
from webserver.standing import Headers, Standing

log = logging.getLogger(__name__)

#: Bytes of a body that are of use: the most that are read, and one more to show that the body is larger.
MOST_OF_A_BODY = max(platform.most_of_a_body for platform in platforms.PLATFORMS) + 1


#: Judges the sender of a large body to a path, by the head as a WSGI environment; None for a path that it
#: does not know.
Judge = Callable[[str, dict[str, Any]], Standing | None]


class Door:
    """What the web server asks of one application (webserver.standing.Gate)."""

    MOST_OF_A_BODY = MOST_OF_A_BODY

    def __init__(self, app: Application, others: Sequence[Judge] = ()) -> None:
        """`others` judge what is sent elsewhere than to the agents' addresses."""
        self._state, self._others = app.state, others
        with self._state.at_work():
            self._proxies = settings.get().proxies_in_front
        secrets = (name.upper() for platform in platforms.PLATFORMS for name in platform.secret_headers)
        self._naming = {"AUTHORIZATION", credentials.CREDENTIAL_HEADER.upper(), *secrets}

    def key(self, headers: Headers, query: str) -> str | None:
        """A digest of the presented credential, which tells callers apart before any look-up. None if no
        credential is presented.
        """
        named = [f"{name}:{value}" for name, value in headers if name in self._naming]
        named += parse_qs(query).get("credential", []) if "credential=" in query else []
        return hashlib.blake2b("\n".join(named).encode(), digest_size=16).hexdigest() if named else None

    def network(self, headers: Headers | None, peer: str) -> str | None:
        """The client's network, as addresses.group names it; None if a proxy in front gives no address."""
        if not self._proxies:
            return addresses.group(peer)
        forwarded = ",".join(value for name, value in headers or () if name == "X-FORWARDED-FOR")
        address = proxies.said(proxies.listed(forwarded), self._proxies)
        return address and addresses.group(address)

    def turned_away(self, network: str) -> None:
        with self._state.at_work():
            attacks.count(attacks.Kind.REFUSED_CONNECTION, address=network)

    def judge(self, path: str, query: str, headers: Headers, network: str) -> Standing:
        """Look the credential up, which may wait for the database. The application, which gets the request
        next, counts a wrong one.
        """
        platform = next((each for each in platforms.PLATFORMS if each.is_asked_at(path)), None)
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": network,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
        }
        environ |= {f"HTTP_{name.replace('-', '_')}": value for name, value in headers}
        try:
            with self._state.at_work():
                if platform is not None:
                    return _judged(platform, Request(environ))
                found = (each(path, environ) for each in self._others)
                return next((each for each in found if each is not None), Standing.SMALL)
        except (credentials.Unauthorized, Busy, DatabaseAway):
            return Standing.REFUSED
        except Exception:
            log.exception("whose request it is could not be told")
            return Standing.REFUSED


def _judged(platform: Platform, request: Request) -> Standing:
    if credentials.by_headers(request, platform.secret_headers):
        return Standing.KNOWN
    match credentials.names_a_signer(request):
        case None:
            return Standing.UNNAMED
        case True:
            return Standing.SIGNED
        case False:
            return Standing.REFUSED
