"""What one application keeps in memory between requests: its settings, limits and caches.

Several applications with different settings can live in one process. While an application is at work (in a
request, in a command, or wherever its `app_context()` was entered), `settings.get` returns its settings, and
each function that is `per_app` returns its object.
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

#: The key of an application's State among its extensions.
KEY = "holdline"


class State:
    """The memory of one application. Without `config` the application uses the process's settings."""

    def __init__(self, config: settings.Settings | None = None) -> None:
        self.config = config
        self._kept: dict[object, Any] = {}
        self._lock = threading.RLock()  # `make` may itself call `keep`

    def keep(self, key: object, make: Callable[[], T]) -> T:
        """What `make` returned the first time that this key was asked for."""
        if key not in self._kept:
            with self._lock:
                if key not in self._kept:
                    self._kept[key] = make()
        found: T = self._kept[key]
        return found

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Inside the block, in this thread, this application is at work."""
        before = _at_work.set(self)
        try:
            with settings.using(self.config):
                yield
        finally:
            _at_work.reset(before)


_at_work: ContextVar[State] = ContextVar("state")


def here() -> State:
    """The state of the application at work. Raises RuntimeError if none is at work."""
    try:
        return _at_work.get()
    except LookupError:
        raise RuntimeError("no application is at work here: enter its app_context() first") from None


def per_app(make: Callable[[], T]) -> Callable[[], T]:
    """Call `make` once for each application, at first use, and return that application's object."""

    @wraps(make, updated=())  # it may be a class
    def kept() -> T:
        return here().keep(kept, make)

    return kept


def carried(work: Callable[P, T]) -> Callable[P, T]:
    """The function for a thread that the application starts: it runs with the application at work now."""
    found = here()

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with found.at_work():
            return work(*args, **kwargs)

    return run


class Application(Flask):
    """A Flask application whose context brings its own settings and memory."""

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
    """Flask's context, which for a streamed answer stays entered until the stream has ended."""

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
