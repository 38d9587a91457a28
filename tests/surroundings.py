"""Other settings for a block: another database, another role, another key."""

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
    """Run the block with these environment variables; None removes a variable."""
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
    """Clear the settings before the pools: a thread that connects meanwhile would use the old settings."""
    try:
        left: tuple[Engine, ...] = session.engines(settings.of_process())
    except settings.SettingsError:
        left = ()  # with wrong settings nothing was connected
    settings.of_process.cache_clear()
    # A thread may return its connection after this; in a pool that is forgotten it would stay open.
    _POOLS.extend(engine.pool for engine in left)
    for engine in left:
        engine.dispose()
    for pool in _POOLS:
        pool.dispose()
