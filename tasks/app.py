"""The Celery app that the workers, beat and Flower run."""

from __future__ import annotations

import logging

from celery import Celery
from celery.signals import setup_logging, task_postrun, task_prerun, worker_init, worker_process_init

import celeryconfig
import settings
from models.base import preconditions, session
from runtime import logs, preflight, telemetry

app = Celery("holdline")
celeryconfig.configure(app, settings.get_or_exit())


@setup_logging.connect
def _log_as_the_web_does(loglevel: int | None = None, **_: object) -> None:
    logs.configure(loglevel or logging.INFO)


@task_prerun.connect
def _say_whose(kwargs: dict[str, object], **_: object) -> None:
    logs.bind(**kwargs)


@task_postrun.connect
def _say_no_more(**_: object) -> None:
    logs.unbind()


@worker_init.connect
def _look_around_first(**_: object) -> None:
    preflight.refuse_to_start(preconditions.look_at_start)


@worker_process_init.connect
def _forget_the_parents_connections(**_: object) -> None:
    # Two processes on one connection read each other's answers.
    session.forget_connections()
    telemetry.configure("worker")
