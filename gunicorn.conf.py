"""How gunicorn serves wsgi:app, on a platform and on one machine."""

from __future__ import annotations

import os
import sys

import logs
import settings

try:
    _settings = settings.get()
except settings.SettingsError as error:
    sys.exit(str(error))

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '3001')}"  # noqa: S104 -- as platforms expect
worker_class = "gthread"
workers = _settings.web_concurrency
threads = _settings.web_threads
timeout = 30  # seconds until a worker that has stopped breathing is replaced
graceful_timeout = 20  # below the 30 seconds that platforms give before they kill
keepalive = 5
limit_request_line = 4094
accesslog = None  # the address of a patient's page is a secret; a log of addresses would keep it
control_socket_disable = True  # two copies under one account would fight over its path


def on_starting(_server: object) -> None:
    """The master's own lines, too, are masked and one object each."""
    logs.configure()


on_reload = on_starting
