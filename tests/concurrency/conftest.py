"""Copies of the migrated schema to break, and racers for the complete schema."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.concurrency.databases import alembic, name_of, new_database
from tests.concurrency.racing import Connection, connections


@pytest.fixture(scope="session")
def template(database_url: str) -> Iterator[str]:
    """A migrated database without connections, so that it can be copied."""
    with new_database(database_url) as url:
        done = alembic(url, "upgrade", "head")
        assert done.returncode == 0, done.stderr
        yield name_of(url)


@pytest.fixture(scope="module")
def racers(database_url: str) -> Iterator[list[Connection]]:
    with connections(database_url, 100) as opened:
        yield opened
