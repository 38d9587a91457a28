"""How the tests of reconciliation lose Twilio's answer, and send an SMS that gets no receipt."""

from __future__ import annotations

import base64
import urllib.request
from collections.abc import Callable
from urllib.parse import urlencode

from tests.factories import ACCOUNT_SID, AUTH_TOKEN
from tests.tasks.bookings import Booking

Faults = Callable[..., None]


def lost(
    booking: Booking, faults: Faults, kind: str = "drop-after-accept", message: str | None = None
) -> None:
    faults(kind)
    booking.deliver(message)
    assert booking.state("status", message) == "unknown"


def sent(booking: Booking) -> None:
    booking.deliver()
    assert booking.state() == "sent"


def post_directly(twilio: str, number: str, body: str) -> None:
    """Send an SMS of the same account that is not ours."""
    form = urlencode({"To": number, "From": "+447700900001", "Body": body}).encode()
    request = urllib.request.Request(f"{twilio}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json", form)
    token = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    request.add_header("Authorization", f"Basic {token}")
    urllib.request.urlopen(request).close()
