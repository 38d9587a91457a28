"""What platforms and containers put into the environment on their own."""

from __future__ import annotations

#: How many entries at the end of X-Forwarded-For each platform writes, by a variable that it sets. Render has
#: Cloudflare before its own proxy; Fly adds the address of the app behind that of the client.
PROXIES_OF_PLATFORMS = {
    "DYNO": 1,  # Heroku
    "RENDER": 2,
    "FLY_APP_NAME": 2,
    "RAILWAY_ENVIRONMENT_ID": 1,
    "K_SERVICE": 1,  # Cloud Run
    "WEBSITE_SITE_NAME": 1,  # Azure App Service, which writes ports, too
}


def names_a_service(value: str) -> bool:
    """Whether Kubernetes set it: for a service x it sets X_PORT to such an address in every container."""
    return value.startswith(("tcp://", "udp://", "sctp://"))
