"""What production requires of a setting beyond its form: unguessable secrets, TLS, waits that end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runtime import weak_secrets, web_address


def listed(value: str) -> list[str]:
    """The parts between the commas, stripped, without empty ones."""
    return [each.strip() for each in value.split(",") if each.strip()]


def _of_a_key(value: str) -> None:
    if weakness := weak_secrets.of_a_key(value):
        raise ValueError(f"in production it must be a secret of your own, and this one {weakness}")


def _of_former_keys(value: str) -> None:
    for each in listed(value):
        if weakness := weak_secrets.of_a_key(each):
            raise ValueError(
                f"in production none of them may be a key that can be guessed, and one of them {weakness}"
            )


def _of_a_token(value: str) -> None:
    if value and (weakness := weak_secrets.of_a_password(value)):
        raise ValueError(f"in production it must not be guessed, and this one {weakness}")


def _of_logins(value: str) -> None:
    for each in listed(value):
        user, _, password = each.partition(":")
        if weakness := weak_secrets.of_a_password(password, user):
            raise ValueError(f"in production the password must not be guessed, and this one {weakness}")


def _of_an_address(value: str) -> None:
    if value and not web_address.is_private(value):
        raise ValueError(
            "in production it must be https://: without TLS anybody on the way reads and changes what is"
            " sent. http:// is for a stand-in on this machine (localhost, 127.0.0.1)"
        )


def _of_a_longest_wait(value: float) -> None:
    if value == 0:
        raise ValueError(
            "in production it must be more than 0: with 0 a request may keep its connection for ever"
        )


def _of_feed_loopback(value: bool) -> None:  # noqa: FBT001 (the value of the setting)
    if value:
        raise ValueError(
            "in production it must not be set: the address of a calendar could then reach what runs on this"
            " machine"
        )


#: The rule for each field, by name. A rule raises ValueError, and is given only values of the right form.
RULES: Mapping[str, Callable[[Any], None]] = {
    "secret_key": _of_a_key,
    "former_secret_keys": _of_former_keys,
    "metrics_token": _of_a_token,
    "flower_basic_auth": _of_logins,
    "public_base_url": _of_an_address,
    "twilio_api_base_url": _of_an_address,
    "vapi_api_base_url": _of_an_address,
    "sentry_dsn": _of_an_address,
    "otel_exporter_otlp_endpoint": _of_an_address,
    "feed_loopback": _of_feed_loopback,
    "lock_timeout": _of_a_longest_wait,
    "statement_timeout": _of_a_longest_wait,
}
