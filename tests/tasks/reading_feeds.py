"""A clinic with a calendar on a real server elsewhere, for tests that read it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

import settings
from models.base.session import Door, system_transaction, transaction
from models.booking import feed_readings, feeds
from tasks.feeds import read_feed
from tests.factories import create_clinic
from tests.tasks.elsewhere import Authority, Elsewhere, running

#: On the grid of the clinics of tests/factories.py.
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=14)


def at(hour: int, minute: int = 0) -> datetime:
    return DAY + timedelta(hours=hour, minutes=minute)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def elsewhere(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, sql: psycopg.Connection
) -> Iterator[Elsewhere]:
    sql.execute("UPDATE calendar_feeds SET is_on = false")  # those of other tests
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    monkeypatch.setenv("FEED_LOOPBACK", "true")
    settings.of_process.cache_clear()
    with running(authority) as server:
        yield server
    monkeypatch.undo()
    settings.of_process.cache_clear()


@pytest.fixture
def nudged(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the tasks publish, in place of a worker."""
    published: list[Any] = []
    monkeypatch.setattr(
        "tasks.app.app.send_task",
        lambda name, **more: published.append((name, more["kwargs"], more["queue"])),
    )
    return published


class Clinic:
    """With one person, cal-1, whose calendar is elsewhere."""

    def __init__(self, sql: psycopg.Connection, elsewhere: Elsewhere, **clinic: Any) -> None:
        self.sql, self.id = sql, create_clinic(**clinic)
        self.org_id = uuid.UUID(self.id)
        self.feed_id = self.add(elsewhere.address)

    def add(self, address: str, label: str = "Google") -> uuid.UUID:
        with transaction(self.org_id) as session:
            return feeds.add(
                session, org_id=self.org_id, resource_id="cal-1", address=address, label=label
            ).id

    def read(self, feed_id: uuid.UUID | None = None) -> None:
        with transaction(self.org_id) as session:
            feed_readings.ask_for(session, self.org_id, feed_id or self.feed_id)
        read_feed.run(org_id=self.id, feed_id=str(feed_id or self.feed_id))

    @property
    def busy(self) -> list[tuple[datetime, datetime]]:
        return self.sql.execute(
            "SELECT starts_at, ends_at FROM blocks WHERE org_id = %s AND source = 'feed' ORDER BY 1",
            [self.id],
        ).fetchall()

    @property
    def taken(self) -> list[tuple[datetime, datetime]]:
        return self.sql.execute(
            "SELECT starts_at, ends_at FROM occupancies WHERE org_id = %s AND block_id IS NOT NULL"
            " ORDER BY 1",
            [self.id],
        ).fetchall()

    def row(self, *names: str) -> Any:
        return self.sql.execute(
            f"SELECT {', '.join(names)} FROM calendar_feeds WHERE id = %s".encode(), [self.feed_id]
        ).fetchone()


@pytest.fixture
def clinic(sql: psycopg.Connection, elsewhere: Elsewhere, nudged: list[Any]) -> Clinic:
    return Clinic(sql, elsewhere)


def take(clinic: Clinic) -> Any:
    """Begin a reading, as the task does."""
    with system_transaction(Door.SWEEP) as session:
        return feed_readings.take(session, clinic.org_id, clinic.feed_id)
