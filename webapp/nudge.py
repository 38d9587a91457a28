"""Telling the workers that a row is due. A nudge is only a hint: the sweep finds every row that it misses."""

from __future__ import annotations

import logging
import threading
import time
from functools import cache

from celery import Celery
from celery.exceptions import OperationalError as BrokerError

import celeryconfig
import settings
from models.booking import feed_readings
from models.calls import calls
from models.messaging import messages
from webapp.state import per_app

log = logging.getLogger(__name__)

#: Rows that a worker can be nudged for.
Due = messages.Due | calls.Due | feed_readings.Due

#: Seconds without another attempt after Redis failed to answer, so that only one request waits for it.
BREAK = 10.0


@cache
def _producer(config: settings.Settings) -> Celery:
    """A Celery app that only publishes, and waits for Redis no longer than `broker_timeout` seconds: half of
    that for its turn, half for an answer.
    """
    producer = Celery("holdline-web", set_as_current=False)
    celeryconfig.configure(producer, config)
    half = config.broker_timeout / 2
    # One connection: publishing takes a millisecond, and small Redis plans allow few connections.
    producer.conf.broker_pool_limit = 1
    producer.conf.broker_pool_acquire_timeout = half
    asked = producer.conf.broker_transport_options  # REDIS_URL may ask for shorter waits
    producer.conf.broker_transport_options = {
        **asked,
        "socket_timeout": min(asked.get("socket_timeout", half), half),
        "socket_connect_timeout": min(asked.get("socket_connect_timeout", half), half),
        "retry_on_timeout": False,
        "max_retries": 0,
    }
    return producer


class Nudger:
    """Publishes for one application, and leaves Redis alone for BREAK seconds after a failure."""

    def __init__(self) -> None:
        self._closed_until = 0.0
        self._publishing = threading.Lock()

    def nudge(self, due: Due) -> None:
        """Publish that a row is due, after its commit. Never raises, and waits for broker_timeout at most.

        While Redis is away only one thread at a time waits for it: the threads that waited for their turn
        meanwhile do not try it as well.
        """
        if self._is_closed() or not self._publishing.acquire(timeout=settings.get().broker_timeout / 2):
            return
        try:
            if not self._is_closed():
                self._publish(due)
        finally:
            self._publishing.release()

    def _is_closed(self) -> bool:
        return time.monotonic() < self._closed_until

    def _publish(self, due: Due) -> None:
        told = celeryconfig.nudge_of(due)
        try:
            # Without a countdown, since this machine's clock could be wrong: the row says when it is due.
            _producer(settings.get()).send_task(
                told.task.value,
                kwargs=told.kwargs,
                queue=told.queue.value,
                retry=False,
                ignore_result=True,
            )
        except (BrokerError, OSError) as error:
            self._closed_until = time.monotonic() + BREAK
            log.warning(
                "no nudge for %s, the sweep will find it: %s",
                " ".join(told.kwargs.values()),
                type(error).__name__,
            )


_nudger = per_app(Nudger)


def nudge(due: Due) -> None:
    """Publish that a row is due, after its commit. Never raises, and waits for broker_timeout at most."""
    _nudger().nudge(due)
