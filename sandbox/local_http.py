"""Requests to this machine's own ports."""

from __future__ import annotations

from typing import Any

import requests


def request(method: str, url: str, *, timeout: float, **options: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # a proxy has no way to this machine's own ports
        return session.request(method, url, timeout=timeout, **options)


def reason(error: Exception) -> str:
    match error:
        case requests.Timeout():
            return "no answer in time"
        case requests.ConnectionError():
            return "no connection"
        case _:
            return repr(error)
