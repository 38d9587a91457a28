"""The signed requests of the sandbox, which go to loopback addresses only."""

import ipaddress
import secrets
from contextlib import suppress
from urllib.parse import urldefrag, urlsplit

import requests
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped,unused-ignore]

from sandbox.twilio.refusals import RefusedError

Form = dict[str, str]

CALLBACK_TIMEOUT = (5, 15)  # seconds to connect and to answer, as Twilio has them


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def read_callback(written: str) -> str:
    try:
        parts = urlsplit(written)
        valid = (
            parts.scheme in ("http", "https")
            and parts.hostname
            and "_" not in parts.hostname
            and parts.port != 0
        )
    except ValueError:
        valid = False
    if not valid:
        raise RefusedError(21609, written)
    if not is_loopback(written):
        raise RefusedError(
            21609, message=f"The sandbox calls loopback addresses only, which {written} is not."
        )
    return written


def call(url: str, form: Form, token: str) -> int | None:
    """Post one signed webhook. Returns the status code of the answer, or None if no answer came.

    Like Twilio by default, it tries again only if the connection failed, with the same idempotency token.
    """
    address = urldefrag(url).url  # the fragment holds Twilio's retry settings: never sent, never signed
    headers = {
        "X-Twilio-Signature": RequestValidator(token).compute_signature(address, form),
        "I-Twilio-Idempotency-Token": secrets.token_hex(16),
    }
    with requests.Session() as session:
        session.trust_env = False  # neither proxy nor .netrc: this call stays on the machine
        for _ in range(2):
            try:
                return session.post(
                    address, data=form, headers=headers, timeout=CALLBACK_TIMEOUT, allow_redirects=False
                ).status_code
            except requests.RequestException as error:
                if not isinstance(error, requests.ConnectionError):
                    break
    return None
