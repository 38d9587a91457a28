"""Asks the workers over Redis which queues they serve; for commands only, because requests must not wait."""

from __future__ import annotations

import redis
from celery import Celery
from kombu.exceptions import OperationalError as BrokerError

import celeryconfig
import settings

#: Seconds that all workers together have to answer.
PATIENCE = 1.0


class RedisAway(Exception):
    """Redis does not answer, so no worker could be asked."""


def queues_served() -> set[str]:
    """The queues that at least one worker serves. Raises RedisAway."""
    with _asking() as app:
        try:
            answers = app.control.inspect(timeout=PATIENCE).active_queues()
        except (OSError, BrokerError, redis.RedisError) as error:
            raise RedisAway from error
    return {queue["name"] for queues in (answers or {}).values() for queue in queues}


def _asking() -> Celery:
    app = Celery("holdline-doctor", set_as_current=False)
    config = settings.get()
    celeryconfig.configure(app, config)
    app.conf.broker_pool_limit = 0  # the product's limit may be too small to ask and listen at once
    timeout = config.broker_timeout
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "socket_timeout": timeout + PATIENCE,
        "socket_connect_timeout": timeout,
        "retry_on_timeout": False,
        "max_retries": 0,
    }
    return app
