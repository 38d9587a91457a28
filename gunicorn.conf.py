"""How gunicorn serves wsgi:app, on a platform and on one machine."""

from __future__ import annotations

import logging
import select
import sys
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

import logs
import settings

try:
    _settings = settings.get()
except settings.SettingsError as error:
    sys.exit(str(error))


class DrainingWorker(ThreadWorker):  # type: ignore[misc]
    """A worker that resets nothing when it is told to stop.

    Gunicorn's own stops accepting at once, but its socket goes on listening until the last answer is given:
    whoever connects meanwhile waits in the socket's queue, and is reset when it closes. This one goes on
    accepting for a while, as platforms go on routing for a moment after SIGTERM, each answer saying
    "Connection: close". Then it takes what is left in the queue, closes the socket, and only then waits.
    """

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 (gunicorn's signature)
        if not (self.alive or enabled):
            self._accept_the_last()
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()

    def is_parent_alive(self) -> bool:
        """Without a master it ends as after SIGTERM."""
        alive: bool = super().is_parent_alive()
        if not alive:
            self.alive = False
        return alive

    def _accept_the_last(self) -> None:
        super().set_accept_enabled(True)
        # The master gives all of it graceful_timeout together.
        until = time.monotonic() + self.cfg.graceful_timeout / 4
        while (left := until - time.monotonic()) > 0 and self.is_parent_alive():
            self.notify()
            self.wait_for_and_dispatch_events(timeout=min(left, 1.0))
            self.murder_keepalived()
            self.murder_pending()
        waiting = select.poll()
        listeners = {listener.fileno(): listener for listener in self.sockets}
        for number in listeners:
            waiting.register(number, select.POLLIN)
        while ready := waiting.poll(0):
            for number, _ in ready:
                self.accept(listeners[number])


_host = _settings.listen_host
bind = f"[{_host}]:{_settings.web_port}" if ":" in _host else f"{_host}:{_settings.web_port}"
worker_class = DrainingWorker
workers = _settings.web_processes
threads = _settings.threads_of_web
timeout = 30  # seconds until a worker that has stopped breathing is replaced
graceful_timeout = 20  # below the 30 seconds that platforms give before they kill
keepalive = 5
limit_request_line = 4094
control_socket_disable = True  # two copies under one account would fight over its path


def on_starting(server: Any) -> None:  # noqa: ANN401 -- gunicorn's arbiter, which has no types
    """The master's own lines, too, are masked and one object each."""
    logs.configure()
    # The address of a patient's page is a secret, and a log of addresses would keep it. Heroku and Render
    # ask for that log by a GUNICORN_CMD_ARGS of their own, which comes after this file.
    server.cfg.set("accesslog", None)
    for notice in _settings.web_notices:
        logging.getLogger("holdline.web").warning("%s", notice)


on_reload = on_starting
