"""Celery as data: the names of queues and tasks, routes, beat, nudges, and what keeps Redis bounded.

Read by the workers (tasks/app.py) and by the web's producer (webapp/nudge.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kombu import Exchange
from kombu import Queue as KombuQueue

from models.booking import feed_readings as _feeds
from models.calls import calls as _calls
from models.messaging import messages as _messages
from runtime import thrifty_redis as _transport  # noqa: F401 (named below, and looked up later)

if TYPE_CHECKING:
    from celery import Celery

    from settings import Settings


class Queue(StrEnum):
    """What waits in each queue."""

    OTP = "otp"  # codes: they have a process of their own, so that no code waits behind a slow confirmation
    SMS = "sms"  # every other SMS
    CALLS = "calls"  # scoring calls, and fetching reports that were lost
    FEEDS = "feeds"  # reading calendars from elsewhere, one at a time
    HOUSEKEEPING = "housekeeping"  # what beat starts


class Task(StrEnum):
    DELIVER_SMS = "sms.deliver_sms"
    SWEEP_SMS = "sms.sweep_sms"
    RECONCILE_SMS = "sms.reconcile_sms"
    CHECK_RECEIPTS = "sms.check_receipts"
    EXPIRE_HOLDS = "holds.expire_holds"
    KEEP_HOUSE = "housekeeping.keep_house"
    SCORE_CALL = "leads.score_call"
    SWEEP_CALLS = "leads.sweep_calls"
    FETCH_REPORTS = "leads.fetch_reports"
    SWEEP_FEEDS = "feeds.sweep_feeds"
    READ_FEED = "feeds.read_feed"


#: Every task module by name: a task must be registered even if no other module imports it.
imports = (
    "tasks.beat",
    "tasks.messaging",
    "tasks.booking",
    "tasks.housekeeping",
    "tasks.calls",
    "tasks.feeds",
)

task_queues = [KombuQueue(queue.value, Exchange(queue.value), routing_key=queue.value) for queue in Queue]
task_default_queue = Queue.HOUSEKEEPING.value
task_create_missing_queues = False
#: A nudge for an urgent message goes to the otp queue instead (nudge_of).
task_routes = {
    Task.DELIVER_SMS: {"queue": Queue.SMS.value},
    Task.SWEEP_SMS: {"queue": Queue.HOUSEKEEPING.value},
    Task.RECONCILE_SMS: {"queue": Queue.HOUSEKEEPING.value},
    Task.CHECK_RECEIPTS: {"queue": Queue.HOUSEKEEPING.value},
    Task.EXPIRE_HOLDS: {"queue": Queue.HOUSEKEEPING.value},
    Task.KEEP_HOUSE: {"queue": Queue.HOUSEKEEPING.value},
    Task.SCORE_CALL: {"queue": Queue.CALLS.value},
    Task.SWEEP_CALLS: {"queue": Queue.HOUSEKEEPING.value},
    Task.FETCH_REPORTS: {"queue": Queue.CALLS.value},
    Task.SWEEP_FEEDS: {"queue": Queue.HOUSEKEEPING.value},
    Task.READ_FEED: {"queue": Queue.FEEDS.value},
}


@dataclass(frozen=True, slots=True)
class Nudge:
    """A task for one row. It is only a hint: if it is lost, a sweep finds the row."""

    task: Task
    queue: Queue
    #: The task's arguments, which name the row.
    kwargs: dict[str, str]
    #: Seconds until the row is due. The worker holds the task until then, which costs no process.
    wait: float


def nudge_of(due: _messages.Due | _calls.Due | _feeds.Due) -> Nudge:
    """The task, the queue and the arguments for a row that is due, at once or after a wait."""
    if isinstance(due, _calls.Due):
        task, queue, row = Task.SCORE_CALL, Queue.CALLS, {"call_id": due.call_id}
    elif isinstance(due, _feeds.Due):
        task, queue, row = Task.READ_FEED, Queue.FEEDS, {"feed_id": str(due.feed_id)}
    else:
        queue = Queue.OTP if due.urgent else Queue.SMS
        task, row = Task.DELIVER_SMS, {"message_id": str(due.message_id)}
    return Nudge(task, queue, {"org_id": str(due.org_id)} | row, due.wait.total_seconds())


#: How often beat starts each task.
BEAT_EVERY = {
    Task.SWEEP_SMS: timedelta(seconds=5),
    Task.RECONCILE_SMS: timedelta(seconds=15),
    Task.CHECK_RECEIPTS: timedelta(seconds=30),
    Task.EXPIRE_HOLDS: timedelta(seconds=30),
    Task.SWEEP_CALLS: timedelta(seconds=5),
    Task.FETCH_REPORTS: timedelta(minutes=1),
    Task.SWEEP_FEEDS: timedelta(seconds=15),
    Task.KEEP_HOUSE: timedelta(hours=1),
}
# Without `expires`, which would compare beat's clock with the worker's: see tasks/beat.py.
beat_schedule = {task.value: {"task": task.value, "schedule": every} for task, every in BEAT_EVERY.items()}
beat_scheduler = "tasks.beat:Scheduler"

broker_transport = "runtime.thrifty_redis:Transport"  # by name: Flower asks for the configuration as JSON

# Nothing of value is in Redis: the outbox is in the rows, and messages in Redis are hints.
result_backend = None
task_ignore_result = True
task_serializer = "json"
accept_content = ["json"]
enable_utc = True
timezone = "UTC"

# A task that dies with its worker runs again; claiming its row makes a second run harmless.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
task_time_limit = 25
task_soft_time_limit = 20
worker_soft_shutdown_timeout = 15
worker_cancel_long_running_tasks_on_connection_loss = False
worker_max_tasks_per_child = 1000
worker_hijack_root_logger = False

# While Redis is frozen or gone, publishing waits no longer than this.
task_publish_retry = False
broker_pool_limit = 2
broker_pool_acquire_timeout = 5
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
#: More than twice the longest task, so that no task is given out again while it runs.
visibility_timeout = 120


def configure(app: Celery, config: Settings) -> None:
    """Configure a Celery app with this module and the broker that the settings name."""
    app.config_from_object("celeryconfig")
    broker: dict[str, Any] = {
        "broker_url": config.redis.url,
        "broker_transport_options": {
            "visibility_timeout": visibility_timeout,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 30,
            **config.redis.transport_options,
        },
    }
    if config.redis.tls is not None:
        # Set here, because kombu takes TLS from the transport's name, and this one is not called rediss.
        broker["broker_use_ssl"] = config.redis.tls
    app.add_defaults(lambda: broker)
