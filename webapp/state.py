"""What an application keeps in memory between requests: its settings, limits and caches, and nobody else's.

Several applications with different settings may live in one process. While one of them is at work, in a
request, in a command, or wherever its `app_context()` was entered, `settings.get` returns its settings, and
each function that is `per_app` its own object.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Flask
from flask.ctx import AppContext

import settings

P = ParamSpec("P")
T = TypeVar("T")

#: Where an application has it, among its extensions.
KEY = "holdline"


class State:
    """The memory of one application. Without settings of its own it goes by those of the process."""

    def __init__(self, config: settings.Settings | None = None) -> None:
        self.config = config
        self._kept: dict[object, Any] = {}
        self._lock = threading.RLock()  # what is made may ask for something else that is made

    def keep(self, key: object, make: Callable[[], T]) -> T:
        """What `make` returned when this was asked for the first time."""
        if key not in self._kept:
            with self._lock:
                if key not in self._kept:
                    self._kept[key] = make()
        found: T = self._kept[key]
        return found

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Inside of the block, in this thread, the application is the one at work."""
        before = _at_work.set(self)
        try:
            with settings.using(self.config):
                yield
        finally:
            _at_work.reset(before)


_at_work: ContextVar[State] = ContextVar("state")


def here() -> State:
    """That of the application at work. Raises RuntimeError where none is."""
    try:
        return _at_work.get()
    except LookupError:
        raise RuntimeError("no application is at work here: enter its app_context() first") from None


def per_app(make: Callable[[], T]) -> Callable[[], T]:
    """Each application has its own of what the function makes. It is made at first use."""

    @wraps(make, updated=())  # it may be a class
    def kept() -> T:
        return here().keep(kept, make)

    return kept


def carried(work: Callable[P, T]) -> Callable[P, T]:
    """The function, for a thread of the application's own: it runs with the application that is at work
    now.
    """
    found = here()

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with found.at_work():
            return work(*args, **kwargs)

    return run


class Application(Flask):
    """Whoever enters its context works with its settings and its memory."""

    def __init__(self, name: str, config: settings.Settings | None = None) -> None:
        super().__init__(name)
        self.extensions[KEY] = State(config)

    @property
    def state(self) -> State:
        found: State = self.extensions[KEY]
        return found

    def app_context(self) -> AppContext:
        return _Context(self)


class _Context(AppContext):
    """Flask's, which stays entered until an answer that is streamed has ended."""

    app: Application

    def __init__(self, app: Application) -> None:
        super().__init__(app)
        self._state = app.state
        self._entered: list[AbstractContextManager[None]] = []

    def push(self) -> None:
        work = self._state.at_work()
        work.__enter__()
        self._entered.append(work)
        super().push()

    def pop(self, *args: Any) -> None:
        try:
            super().pop(*args)
        finally:
            self._entered.pop().__exit__(None, None, None)
