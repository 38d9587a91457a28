"""Other settings for a while: another database, another role, another key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import settings
from models import session


@contextmanager
def environment(**variables: str | None) -> Iterator[None]:
    """The process with these variables of the environment; None takes one away."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        _read_anew()
        try:
            yield
        finally:
            patch.undo()
            _read_anew()


def _read_anew() -> None:
    for engine in (session.engine(), session.system_engine()):
        engine.dispose()
    for cached in (session.engine, session.system_engine, settings.get):
        cached.cache_clear()
