"""The start of the periodic tasks: by beat, or by a worker if beat does not run.

A tick only says "look whether something is due". It carries no time: the clocks of machines differ and jump,
and a tick that is late by one clock may be the only tick that comes. The database decides whether a tick
counts (models/clinics/sweeps.py), and the queue how many ticks may wait.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery import Task as CeleryTask
from celery import beat
from celery.signals import worker_ready

from celeryconfig import BEAT_EVERY, Queue, Task
from models.base.session import Door, system_transaction
from models.clinics import sweeps

if TYPE_CHECKING:
    from celery.worker.consumer import Consumer
    from kombu import Connection, Producer

log = logging.getLogger(__name__)

#: If this many ticks wait, no worker takes them, and another tick would be of no use.
MOST_WAITING = 100

#: Seconds between a worker's own ticks.
WORKER_EVERY = 15


class Sweep(CeleryTask[[], None]):
    """A task that ticks start. Called by hand with `run()` it always runs."""

    def __call__(self) -> None:
        every = BEAT_EVERY[Task(self.name)]
        from_beat = bool(self.request.get("celery_beat_task"))
        with system_transaction(Door.SWEEP) as session:
            if not sweeps.take(session, self.name, every=every, from_beat=from_beat):
                return
        well = False
        try:
            self.run()
            well = True
        finally:
            with system_transaction(Door.SWEEP) as session:
                sweeps.end(session, self.name, every=every, well=well)


def _is_full(connection: Connection) -> bool:
    channel: Any = connection.default_channel
    return bool(channel.queue_declare(queue=Queue.HOUSEKEEPING.value).message_count >= MOST_WAITING)


# --- beat ---------------------------------------------------------------------------------------


def _steady() -> datetime:
    """The monotonic clock as a datetime: only the difference between two readings means anything."""
    return datetime.fromtimestamp(time.monotonic(), UTC)


class Scheduler(beat.Scheduler):
    """Beat's own scheduler, on the monotonic clock, because a clock that is set back would silence it."""

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            schedule: Any = entry.schedule
            schedule.nowfun = _steady
            entry.last_run_at = entry.default_now()

    def apply_entry(self, entry: beat.ScheduleEntry, producer: Producer | None = None) -> None:
        try:
            full = _is_full(self.connection)
        except self.connection.connection_errors + self.connection.channel_errors:
            full = False  # publishing will report the error
        if full:
            log.warning("%s: no worker takes the %d ticks that wait already", entry.name, MOST_WAITING)
        else:
            super().apply_entry(entry, producer=producer)


# --- a worker, if beat does not run -------------------------------------------------------------


@worker_ready.connect
def _tick_where_beat_does_not(sender: Consumer, **_: object) -> None:
    """Tick on the consumer's own timer, which ends with its connection and begins again with the next."""
    if Queue.HOUSEKEEPING.value in sender.app.amqp.queues.consume_from:
        sender.timer.call_repeatedly(WORKER_EVERY, _tick, (sender,))


def _tick(consumer: Consumer) -> None:
    connection: Any = consumer.connection
    try:
        if _is_full(connection):
            return
        with consumer.app.amqp.Producer(connection) as producer:
            for task in BEAT_EVERY:
                consumer.app.tasks[task.value].apply_async(producer=producer)
    except connection.connection_errors + connection.channel_errors as error:
        log.warning("no ticks of this worker's own: %s", type(error).__name__)
