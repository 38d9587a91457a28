"""Periodic tasks run whatever the clocks of the machines say, and also without beat."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import redis
from celery.beat import ScheduleEntry
from flask.testing import FlaskClient

import celeryconfig
from celeryconfig import Queue, Task
from models.base.session import Door, system_transaction
from models.clinics import sweeps
from tasks.app import app
from tasks.beat import MOST_WAITING, Scheduler, _tick
from tests.conftest import Clock
from tests.processes import running
from tests.stack import eventually
from tests.tasks.test_calls import HOT, Ended

SWEEP = Task.SWEEP_SMS.value
EVERY = celeryconfig.BEAT_EVERY[Task.SWEEP_SMS]


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    """Redis with empty queues."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as connection:
        connection.delete(*(queue.value for queue in Queue))
        yield connection


def done(sql: psycopg.Connection) -> datetime | None:
    row = sql.execute("SELECT done_at FROM sweeps WHERE task = %s", [SWEEP]).fetchone()
    return row[0] if row else None


@pytest.mark.parametrize(("other", "offset"), [("beat", "-6s"), ("beat", "+1d"), ("worker", "+1d")])
def test_beats_ticks_are_taken_whatever_the_difference_of_two_clocks(
    broker: redis.Redis, sql: psycopg.Connection, tmp_path: Path, other: str, offset: str
) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    moments = set()

    def took_two_of_beats() -> bool:
        row = sql.execute("SELECT beat_at FROM sweeps WHERE task = %s AND done_at > beat_at", [SWEEP])
        moments.update(row.fetchall())
        return len(moments) > 1

    with ExitStack() as stack:
        for name in ("worker", "beat"):
            under = ["faketime", "-f", offset] if name == other else []
            stack.enter_context(running(name, tmp_path / f"{name}.log", *under))
        eventually(took_two_of_beats, within=300)


def test_without_beat_a_worker_sweeps_by_itself(
    broker: redis.Redis, sql: psycopg.Connection, tmp_path: Path
) -> None:
    with running("worker", tmp_path / "worker.log"):
        eventually(lambda: sql.execute("SELECT count(done_at) FROM sweeps").fetchone() == (7,), within=300)
    assert sql.execute("SELECT count(beat_at) FROM sweeps").fetchone() == (0,)


def test_without_beat_a_hot_call_is_scored_and_its_owner_is_told(
    broker: redis.Redis, client: FlaskClient, sql: psycopg.Connection, twilio: str, tmp_path: Path
) -> None:
    del twilio
    with running("worker", tmp_path / "worker.log"):
        ended = Ended(client, sql, HOT, durationSeconds=301)
        eventually(
            lambda: ended.one("SELECT alert_sent_at FROM hot_lead_alerts WHERE org_id = %s"), within=300
        )
    # A sweep would have set nudged_at.
    assert ended.one("SELECT nudged_at IS NULL FROM calls WHERE org_id = %s")
    assert ended.one("SELECT nudged_at IS NULL FROM sms_messages WHERE org_id = %s")


def test_ticks_that_nobody_takes_do_not_pile_up(broker: redis.Redis) -> None:
    scheduler = Scheduler(app)
    entry = scheduler.schedule[SWEEP]
    for _ in range(MOST_WAITING + 20):
        scheduler.apply_entry(entry, producer=scheduler.producer)
    scheduler.close()
    assert broker.llen(Queue.HOUSEKEEPING.value) == MOST_WAITING
    [message] = broker.lrange(Queue.HOUSEKEEPING.value, 0, 0)
    assert b'"expires": null' in message


@pytest.mark.parametrize(
    ("waiting", "ticks"), [(MOST_WAITING - 1, len(celeryconfig.BEAT_EVERY)), (MOST_WAITING, 0)]
)
def test_a_worker_adds_no_tick_of_its_own_to_a_full_queue(
    broker: redis.Redis, waiting: int, ticks: int
) -> None:
    """A worker's own ticks are one for each periodic task."""
    app.loader.import_default_modules()  # as a worker does
    with app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection)
        for _ in range(waiting):
            app.tasks[SWEEP].apply_async(producer=producer)
        consumer: Any = SimpleNamespace(app=app, connection=connection)
        _tick(consumer)
    assert broker.llen(Queue.HOUSEKEEPING.value) + broker.llen(Queue.CALLS.value) == waiting + ticks


def test_beat_goes_on_while_its_machines_clock_is_set_back_and_forward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elapsed = 1000.0
    sent: list[float] = []

    def jumping() -> datetime:
        jump = timedelta(minutes=(-2, 0, 90)[int(elapsed) // 7 % 3])
        return datetime.fromtimestamp(elapsed, UTC) + jump

    monkeypatch.setattr(time, "monotonic", lambda: elapsed)
    monkeypatch.setattr(app, "now", jumping)
    scheduler = Scheduler(app)

    def apply(entry: ScheduleEntry, **_: object) -> None:
        if entry.name == SWEEP:
            sent.append(elapsed)

    monkeypatch.setattr(scheduler, "apply_entry", apply)
    monkeypatch.setattr(Scheduler, "producer", None)
    while elapsed < 1041:
        if scheduler.tick() != 0:
            elapsed += 0.5
    assert sent == [1000.0 + 5 * n for n in range(1, 9)]


# --- ticks by the database's clock ---------------------------------------------------------------


def tick(*, beat: bool = True) -> bool:
    with system_transaction(Door.SWEEP) as session:
        return sweeps.take(session, SWEEP, every=EVERY, from_beat=beat)


def ended(*, well: bool = True) -> None:
    with system_transaction(Door.SWEEP) as session:
        sweeps.end(session, SWEEP, every=EVERY, well=well)


def test_of_a_pile_of_ticks_one_is_run(clock: Clock) -> None:
    clock.stop()
    assert [tick() for _ in range(5)] == [True, False, False, False, False]
    ended()
    assert [tick() for _ in range(5)] == [False] * 5
    clock.forward(EVERY.total_seconds() / 2)
    assert [tick() for _ in range(5)] == [True, False, False, False, False]


def test_a_run_that_died_is_not_waited_for_long(clock: Clock) -> None:
    clock.stop()
    assert tick()
    clock.forward(app.conf.task_time_limit)
    assert not tick()
    clock.forward(10)
    assert tick()


def test_a_worker_ticks_where_beat_has_been_away_for_two_periods(clock: Clock) -> None:
    clock.stop()
    assert tick()
    ended()
    clock.forward(EVERY.total_seconds() * 2 - 1)
    assert not tick(beat=False)
    clock.forward(1)
    assert tick(beat=False)


def test_sweeps_go_on_when_the_databases_clock_is_set_back(clock: Clock) -> None:
    clock.stop()
    assert tick()
    ended()
    clock.forward(-timedelta(hours=2).total_seconds())
    assert tick()


def test_a_sweep_that_fails_is_tried_at_the_next_tick_and_is_not_called_done(
    clock: Clock, sql: psycopg.Connection
) -> None:
    clock.stop()
    assert tick()
    ended(well=False)
    assert done(sql) is None
    clock.forward(EVERY.total_seconds())
    assert tick()
