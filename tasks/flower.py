"""The Celery app as Flower runs it (`celery -A tasks.flower flower`), with corrections to Flower 2.2."""

from __future__ import annotations

import os
import sys
from typing import Any

from flower import command
from flower.app import Flower
from flower.inspector import Inspector
from flower.utils.broker import RedisBase
from flower.views import BaseHandler
from flower.views.monitor import Metrics
from kombu.utils.url import maybe_sanitize_url
from redis import asyncio as redis
from tornado.options import Error as OptionError
from tornado.web import authenticated

import settings
from tasks.app import app

__all__ = ["app"]

_config = settings.get()

# Flower reads every variable that begins with FLOWER_, and ends in a traceback if it cannot use one, such as
# the FLOWER_PORT that Kubernetes sets for a service called flower.
os.environ |= {"FLOWER_PORT": str(_config.port_of_flower), "FLOWER_ADDRESS": _config.listen_host}
try:
    command.apply_env_options()
except (KeyError, ValueError, OptionError) as error:
    sys.exit(f"Flower cannot start, a variable that begins with FLOWER_ is not what it takes: {error}")
if not _config.flower_basic_auth:
    sys.exit("Flower cannot start without a password: set FLOWER_BASIC_AUTH to user:password")

# Flower itself asks for no password on /metrics, which names each task and worker.
Metrics.get = authenticated(Metrics.get)

# Flower takes the transport's name for the scheme of the broker's address, and knows no `thrifty_redis`.
Flower.broker_uri_with_password = property(lambda _: app.conf.broker_url)
Flower.broker_uri = property(lambda _: maybe_sanitize_url(app.conf.broker_url))


class Queues(RedisBase):  # type: ignore[misc]
    """Redis for Flower's page of queues. Flower's own client reads the address of Redis in another way."""

    def __init__(self, handler: Any) -> None:  # noqa: ANN401 -- Flower has no types
        super().__init__(app.conf.broker_url, broker_options=handler.capp.conf.broker_transport_options)
        self.redis = redis.Redis(**_config.redis.client(patience=2.0))


def _queues(handler: BaseHandler) -> Queues:
    return Queues(handler)


BaseHandler.get_broker = _queues

# Flower listens to events, switches them on, and asks the workers four questions at once, each on its own
# connection. Celery's pool of two is too small for that; and small plans allow 20 connections in all.
app.conf.broker_pool_limit = 4
Inspector.max_concurrency = 1

# Flower asks the workers what they serve once, when it starts, and then only when a person presses a button.
# Of workers that start later it knows only the events, and shows neither them nor their queues.
_start = Flower.start


def _start_and_ask_whoever_is_heard(self: Flower) -> None:
    heard = self.events.on_event

    def hear(event: dict[str, Any]) -> None:
        heard(event)
        self.io_loop.add_callback(ask, event["hostname"])

    def ask(worker: str) -> None:
        if "active_queues" not in self.workers.get(worker, {}):
            self.update_workers(worker)  # one question at a time; the next heartbeat asks again

    self.events.on_event = hear
    _start(self)


Flower.start = _start_and_ask_whoever_is_heard
