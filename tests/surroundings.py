"""Other settings for a while: another database, another role, another key."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, Pool

import settings
from models.base import session

_POOLS: deque[Pool] = deque(maxlen=16)


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
    """Settings first: a thread that asks for a connection meanwhile would make one out of the old ones."""
    try:
        left: tuple[Engine, ...] = session.engines(settings.of_process())
    except settings.SettingsError:
        left = ()  # with wrong ones nothing was connected
    settings.of_process.cache_clear()
    # A thread may give its connection back after this: to a pool that is gone nobody would close it.
    _POOLS.extend(engine.pool for engine in left)
    for engine in left:
        engine.dispose()
    for pool in _POOLS:
        pool.dispose()
