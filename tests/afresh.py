"""The tests' application, and what outlives a test in it and in the database."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache

import psycopg

import settings
from webapp import attacks, create_app
from webapp.state import KEY, Application, State

#: Rows of no clinic: the tries to sign in of each network, and when each sweep ran last.
_ROWS_OF_NOBODY = "DELETE FROM sign_in_limits; DELETE FROM sweeps"

_at_work = ExitStack()


@cache
def application() -> Application:
    """One for all tests; it goes by the settings of the process."""
    return create_app()


def start_anew() -> None:
    """The application remembers nothing, as after a start.

    It is also the one at work in the tests themselves, which look at what it keeps. What is still running
    goes on with the memory that it began with.
    """
    app = application()
    with app.state.at_work():
        attacks.forget()  # or its thread would write them down in the next test
    _at_work.close()
    app.extensions[KEY] = State(app.state.config)
    _at_work.enter_context(app.state.at_work())


def forget_all(database: psycopg.Connection) -> None:
    """Put this process and its database into the state of a product that has just started.

    What was tried in one test is neither refused nor told in another. The settings are read again, because
    a thread may have read them while the variables of the last test were still there.
    """
    settings.of_process.cache_clear()
    settings.of_process()
    start_anew()
    database.execute(_ROWS_OF_NOBODY)
