"""The variables that platforms and containers put into the environment on their own."""

from __future__ import annotations

from collections.abc import MutableMapping

#: These would override Celery's configuration, so that a process publishes where no other listens.
_IGNORED = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")

#: The variables in _IGNORED that were set and have been taken out of the environment.
ignored: list[str] = []

#: How many entries at the end of X-Forwarded-For each platform writes, by a variable that it sets. Render has
#: Cloudflare before its own proxy; Fly adds the app's address after the client's.
PROXIES_OF_PLATFORMS = {
    "DYNO": 1,  # Heroku
    "RENDER": 2,
    "FLY_APP_NAME": 2,
    "RAILWAY_ENVIRONMENT_ID": 1,
    "K_SERVICE": 1,  # Cloud Run
    "WEBSITE_SITE_NAME": 1,  # Azure App Service, which writes ports, too
}


def tidy(environment: MutableMapping[str, str]) -> None:
    """Take out what would override Celery's configuration, and set WEB_CONCURRENCY to what was asked for."""
    if (asked := environment.pop("WEB_CONCURRENCY_ASKED", None)) is not None:  # see the Procfile
        environment["WEB_CONCURRENCY"] = asked
    ignored.extend(name for name in _IGNORED if environment.pop(name, None))


def names_a_service(value: str) -> bool:
    """Whether Kubernetes set it: for a service x it sets X_PORT to an address like tcp://… everywhere."""
    return value.startswith(("tcp://", "udp://", "sctp://"))
