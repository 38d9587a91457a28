"""The tests' application, and the clearing of what would outlive a test in it and in the database."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache

import psycopg

import settings
from models.base import session
from webapp import attacks, create_app
from webapp.state import KEY, Application, State

#: Rows that belong to no clinic: each network's tries to sign in, and the last run of each sweep.
_ROWS_OF_NOBODY = "DELETE FROM sign_in_limits; DELETE FROM sweeps"

_at_work = ExitStack()


@cache
def application() -> Application:
    """The one application of all tests, with the settings of the process."""
    return create_app()


def start_anew() -> None:
    """Empty the application's memory, as after a start.

    The application is also at work in the tests themselves, which look at its memory. Threads that still run
    keep the memory that they began with.
    """
    app = application()
    with app.state.at_work():
        attacks.forget()  # or its thread would record these attacks in the next test
    _at_work.close()
    app.extensions[KEY] = State(app.state.config)
    _at_work.enter_context(app.state.at_work())


def forget_all(database: psycopg.Connection) -> None:
    """Put this process and its database into the state of a product that has just started.

    So the tries of one test do not affect the limits and reports of another. The settings are read again,
    because a thread may have read them while the variables of the last test were still set.
    """
    settings.of_process.cache_clear()
    session.forget_engines(but=settings.of_process())  # each other one keeps its connections
    start_anew()
    database.execute(_ROWS_OF_NOBODY)
