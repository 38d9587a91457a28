"""Where the web departs from its settings: a sentence for each case, which gunicorn logs as it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator

import settings
from runtime import web_address
from runtime.web_capacity import MOST_WEB_PROCESSES


def find(config: settings.Settings) -> Iterator[str]:
    for name in settings.Settings.model_fields:
        value = os.environ.get(name.upper(), "")
        if settings.is_ignored(name, value):
            yield f"{name.upper()} is ignored: {value!r} is not a number."
    if config.host and not web_address.is_listened_on(config.host):
        yield (
            f"HOST is ignored, and the web listens on {config.listen_host}: it is not an IP"
            " address; tools such as conda set it to a name."
        )
    if config.proxy_is_overlooked:
        yield (
            "PUBLIC_BASE_URL is https://, so a proxy stands in front, but PROXIES is 0: all clients"
            " behind it count as one address. Set PROXIES to the number of proxies."
        )
    if config.web_concurrency != config.web_processes:
        yield (
            f"WEB_CONCURRENCY is {config.web_concurrency}, and {config.web_processes} is used: it can be 1 to"
            f" {MOST_WEB_PROCESSES}, because the web processes share the connections to PostgreSQL."
        )
    if config.threads_of_web != config.web_threads:
        yield (
            f"Each web process has {config.threads_of_web} threads and not {config.web_threads}, for"
            f" {config.web_pool} connections to PostgreSQL: with more, some would wait in vain."
        )
