"""Known devices: on a browser where a person has signed in before, strangers' tries do not slow them down.

The signed cookie names the people who have signed in on the browser, each with their session_epoch. So a
change of the password and "sign out everywhere" make a device unknown. The cookie gives no access.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from flask import request
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response

import settings
from models.clinics.staff import StaffUser

#: As long as browsers keep a cookie.
LONGEST = timedelta(days=400)

#: People who can share one known browser, as at a reception desk.
MOST_PEOPLE = 10

_BROWSERS = (
    ("Edge", r"\bEdgA?/|\bEdgiOS/"),
    ("Opera", r"\bOPR/"),
    ("Samsung Internet", r"\bSamsungBrowser/"),
    ("Firefox", r"\bFirefox/|\bFxiOS/"),
    ("Chrome", r"\bChrome/|\bCriOS/|\bHeadlessChrome/"),
    ("Safari", r"\bSafari/"),
)
_SYSTEMS = (
    ("iPhone", r"\biPhone\b"),
    ("iPad", r"\biPad\b"),
    ("Android", r"\bAndroid\b"),
    ("Windows", r"\bWindows\b"),
    ("Mac", r"\bMacintosh\b"),
    ("Chromebook", r"\bCrOS\b"),
    ("Linux", r"\bLinux\b"),
)


@dataclass(frozen=True, slots=True)
class Device:
    """The browser of this request; `known` has the session_epoch of each person, by staff id."""

    id: str
    known: dict[str, int] = field(default_factory=dict)

    def knows(self, user: StaffUser | None) -> bool:
        return user is not None and self.known.get(str(user.id)) == user.session_epoch


def cookie_name() -> str:
    return settings.get().cookie_name("holdline-device")


def current() -> Device:
    """The device of this request's cookie; a new one if the cookie is missing, forged or too old."""
    try:
        read = _serializer().loads(
            request.cookies.get(cookie_name(), ""), max_age=int(LONGEST.total_seconds())
        )
        return Device(str(read["id"]), {str(who): int(epoch) for who, epoch in read["known"].items()})
    except (BadData, AttributeError, KeyError, TypeError, ValueError):
        return Device(secrets.token_urlsafe(12))


def remember(response: Response, device: Device, user: StaffUser) -> None:
    """Make this browser a known device of this person."""
    others = [(who, epoch) for who, epoch in device.known.items() if who != str(user.id)]
    known = dict([*others, (str(user.id), user.session_epoch)][-MOST_PEOPLE:])
    response.set_cookie(
        cookie_name(),
        _serializer().dumps({"id": device.id, "known": known}),
        max_age=LONGEST,
        path="/",
        secure=not settings.get().development,
        httponly=True,
        samesite="Lax",
    )


def described() -> str:
    """The browser and system in words, such as "Firefox on Windows", from the User-Agent header."""
    says = request.headers.get("User-Agent", "")[:500]
    browser = next((name for name, pattern in _BROWSERS if re.search(pattern, says)), "A browser")
    system = next((name for name, pattern in _SYSTEMS if re.search(pattern, says)), None)
    return f"{browser} on {system}" if system else browser


def _serializer() -> URLSafeTimedSerializer:
    """Signs with the current SECRET_KEY, and also accepts the signatures of former ones."""
    config = settings.get()
    keys = [config.subkey("device", key_id) for key_id in reversed(config.key_ids)]
    return URLSafeTimedSerializer(keys, salt="holdline-device")
