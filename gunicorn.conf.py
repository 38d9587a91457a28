"""Gunicorn's configuration for wsgi:app, on a platform and on one machine."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import mmap
import select
import signal
import socket
import struct
import sys
import time
from types import FrameType

from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

import settings
from runtime import logs, web_notices
from webserver.standing import Gate
from webserver.worker import PatientWorker

_settings = settings.get_or_exit()

#: Whether the master was told to stop, in memory that it shares with the workers. A worker cannot tell by
#: itself: it gets the same SIGTERM if the master only replaces it, and then its socket is still needed.
_stopping = mmap.mmap(-1, 1)

#: A filter for a listening socket (classic BPF, as setsockopt takes it) that drops packets with SYN.
_NO_SYN = ctypes.create_string_buffer(
    struct.pack("HBBI" * 4, 0x30, 0, 0, 13, 0x45, 0, 1, 2, 0x06, 0, 0, 0, 0x06, 0, 0, 0x40000)
)
_SO_ATTACH_FILTER = 26


class NoAccessLog(Logger):  # type: ignore[misc]
    """Writes no access log: it would keep the address of a patient's page, which is a secret.

    Heroku and Render ask for an access log by their own GUNICORN_CMD_ARGS, which prevails over this file.
    """

    def access(self, *_: object) -> None:
        """Write nothing."""


class DrainingWorker(PatientWorker):
    """A worker that resets nothing when it is told to stop.

    Gunicorn's own worker stops accepting at once, but its socket goes on listening until the last answer is
    given: a client that connects meanwhile waits in the socket's queue, and is reset when the socket closes.
    This worker goes on accepting for a while, because platforms route for a moment after SIGTERM, and each
    answer says "Connection: close". Then it lets no more clients begin to connect, accepts those that have
    begun, closes the socket, and only then waits for the last answer.
    """

    def gate(self) -> Gate:
        # The master has no application.
        from webapp.agents.standing import Door  # noqa: PLC0415
        from webapp.staff import uploads  # noqa: PLC0415

        return Door(self.wsgi, [uploads.judge_for(self.wsgi)])

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 (gunicorn's signature)
        if enabled or self.alive:
            super().set_accept_enabled(enabled)
            return
        super().set_accept_enabled(True)
        # The master allows graceful_timeout for the whole stop.
        self._go_on(self.cfg.graceful_timeout / 8)
        if sys.platform == "linux" and (_stopping[0] or self.cfg.reuse_port):
            program = struct.pack("HL", 4, ctypes.addressof(_NO_SYN))
            with contextlib.suppress(OSError):  # a sandbox may forbid filters; then a small gap stays
                for listener in self.sockets:
                    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
            self._go_on(0.25)  # clients that have begun to connect arrive within a round trip
        super().set_accept_enabled(False)
        for listener in self.sockets:
            while select.select([listener], [], [], 0)[0]:
                self.accept(listener)
            listener.close()

    def _go_on(self, seconds: float) -> None:
        """Go on serving for `seconds`."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self.is_parent_alive():
            self.notify()
            self.wait_for_and_dispatch_events(timeout=min(left, 1.0))
            self.murder_keepalived()
            self.murder_pending()

    def is_parent_alive(self) -> bool:
        """Whether the master lives; without it the worker ends as after SIGTERM."""
        alive: bool = super().is_parent_alive()
        if not alive:
            self.alive = False
        return alive


_host = _settings.listen_host
bind = f"[{_host}]:{_settings.web_port}" if ":" in _host else f"{_host}:{_settings.web_port}"
logger_class = NoAccessLog
worker_class = DrainingWorker
workers = _settings.web_processes
threads = _settings.threads_of_web
timeout = 30  # seconds until a worker that hangs is replaced
graceful_timeout = 20  # below the 30 seconds that platforms give before they kill
keepalive = 5
worker_connections = (
    2048  # 500 slow connections of each kind leave room; the limit of open files is raised to it
)
limit_request_line = 4094
sendfile = False  # it would wait without limit for a client that does not read
forwarded_allow_ips = ""  # what proxies say is read in webapp/proxies.py
control_socket_disable = True  # two copies under one account would fight over its path


def on_starting(server: Arbiter) -> None:
    """Mask and format the master's own log lines, too; log how the web departs from its settings."""
    logs.configure()
    log = logging.getLogger("holdline.web")
    for notice in web_notices.find(_settings):
        log.warning("%s", notice)
    # GUNICORN_CMD_ARGS and the command line prevail over this file, but each process takes connections.
    if server.num_workers > workers:
        log.warning("%s web processes start and not %s: set WEB_CONCURRENCY.", workers, server.num_workers)
        server.num_workers = workers
    if server.cfg.threads > threads:
        log.warning("Each has %s threads and not %s: set WEB_THREADS.", threads, server.cfg.threads)
        server.cfg.set("threads", threads)


on_reload = on_starting


def when_ready(_server: object) -> None:
    """Let the workers know when the master was told to stop."""
    handler = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        _stopping[0] = 1
        if callable(handler):
            handler(number, frame)

    signal.signal(signal.SIGTERM, stop)
