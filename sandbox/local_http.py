"""Requests to this machine's own ports."""

from __future__ import annotations

from typing import Any

import requests


def request(method: str, url: str, *, timeout: float, **options: Any) -> requests.Response:
    """Send one request past any proxy. `timeout` is in seconds; raises requests.RequestException."""
    with requests.Session() as session:
        session.trust_env = False  # a proxy cannot reach this machine's own ports
        return session.request(method, url, timeout=timeout, **options)


def reason(error: Exception) -> str:
    """Why no answer came, in a few words."""
    match error:
        case requests.Timeout():
            return "no answer in time"
        case requests.ConnectionError():
            return "no connection"
        case _:
            return repr(error)
