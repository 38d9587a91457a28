"""How Celery is run: its settings, and the options of the workers."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import uuid
from typing import Any

import psycopg
import pytest
import redis

import celeryconfig
import settings
from celeryconfig import Queue, Task
from models.booking import feed_readings, ics
from models.calls import calls
from models.clinics import sweeps
from models.messaging import outbox, timing
from tasks import safe_fetch
from tasks.app import app
from tasks.beat import Sweep
from tasks.messaging import PATIENCE, RETRIES, RETRY_FIRST, RETRY_LONGEST, RUN, STALE, deliver_sms, sweep_sms
from tests.conftest import Clock
from tests.places import ROOT
from tests.processes import PROCFILE
from tests.tasks.bookings import Booking, inbox

SCHEDULE: dict[str, Any] = celeryconfig.beat_schedule
WORKERS = [line for line in PROCFILE.values() if "celery -A tasks.app worker" in line]


def test_a_task_that_dies_with_its_worker_runs_again() -> None:
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1
    assert not app.conf.worker_cancel_long_running_tasks_on_connection_loss


def test_no_wait_is_longer_than_ten_seconds_and_none_outlives_the_visibility_timeout() -> None:
    waits = [min(RETRY_FIRST * 2**attempt, RETRY_LONGEST) for attempt in range(RETRIES)]
    assert max(waits) <= 10
    timeout = app.conf.broker_transport_options["visibility_timeout"]
    assert timeout == app.conf.visibility_timeout == 120
    assert max(waits) + app.conf.task_time_limit < timeout / 2
    source = "".join(path.read_text() for path in (ROOT / "tasks").rglob("*.py"))
    # One wait for a time in a clinic's pace, and one for a report that has just arrived.
    waits_in_queue = re.findall(r"\b(?:eta|countdown)\s*=[^,\n]*|self\.retry|\.get\(timeout", source)
    assert waits_in_queue == ["countdown=told.wait)"]
    assert max(timing.SOON, calls.SOON).total_seconds() <= 10
    assert calls.AFTER_REPORT < calls.SOON


def test_what_is_unacknowledged_is_looked_at_often() -> None:
    options = app.conf.broker_transport_options
    assert options["unacked_restore_interval"] * options["unacked_restore_throttle"] <= 5
    assert options["unacked_mutex_expire"] <= 30


def test_times_fit_into_each_other() -> None:
    """A claim outlasts its task, and a run of questions ends before Celery stops it."""
    assert app.conf.task_soft_time_limit < app.conf.task_time_limit < timing.LEASE.total_seconds()
    assert app.conf.task_soft_time_limit > RUN + PATIENCE
    assert app.conf.task_soft_time_limit > safe_fetch.SECONDS + ics.SECONDS
    assert app.conf.task_time_limit < feed_readings.LEASE.total_seconds()
    assert settings.Settings.model_fields["twilio_timeout"].default < app.conf.task_soft_time_limit
    assert app.conf.worker_soft_shutdown_timeout < 30  # a platform kills after 30 seconds
    assert timing.GRACE > timing.LEASE


def test_a_claim_that_is_still_sent_ends_before_it_is_given_up() -> None:
    timeout = settings.Settings.model_fields["twilio_timeout"].default
    assert timeout < STALE < STALE + timeout < timing.LEASE.total_seconds()


def test_each_sweep_comes_as_often_as_what_waits_for_it_can_wait() -> None:
    """In seconds: an SMS that no nudge reached, a call that ended, an expired hold, a lost answer, a lost
    receipt or report, and old data.
    """
    assert {name: entry["schedule"].total_seconds() for name, entry in SCHEDULE.items()} == {
        "sms.sweep_sms": 5,
        "leads.sweep_calls": 5,
        "holds.expire_holds": 30,
        "sms.reconcile_sms": 15,
        "sms.check_receipts": 30,
        "leads.fetch_reports": 60,
        "feeds.sweep_feeds": 15,
        "housekeeping.keep_house": 3600,
    }


def test_nothing_of_value_is_left_in_redis() -> None:
    assert celeryconfig.result_backend is None
    assert app.conf.task_ignore_result
    assert app.conf.accept_content == ["json"]


def test_no_tick_hangs_on_the_clock_of_whoever_sent_it() -> None:
    app.loader.import_default_modules()
    for name, entry in SCHEDULE.items():
        assert "options" not in entry, name
    assert set(SCHEDULE) == {task.value for task in celeryconfig.BEAT_EVERY}
    assert all(isinstance(app.tasks[name], Sweep) for name in SCHEDULE)
    assert max(celeryconfig.task_time_limit, RUN + PATIENCE) < sweeps.LONGEST.total_seconds()


def test_every_task_waits_in_the_queue_that_is_meant_for_it() -> None:
    """A sweep that beat starts never waits behind the SMS and calls that it repairs, or behind requests to
    Vapi; and a code waits behind codes only.
    """
    expected = {
        "sms.deliver_sms": "sms",
        "sms.sweep_sms": "housekeeping",
        "sms.reconcile_sms": "housekeeping",
        "sms.check_receipts": "housekeeping",
        "holds.expire_holds": "housekeeping",
        "housekeeping.keep_house": "housekeeping",
        "leads.score_call": "calls",
        "leads.sweep_calls": "housekeeping",
        "leads.fetch_reports": "calls",
        "feeds.sweep_feeds": "housekeeping",
        "feeds.read_feed": "feeds",
    }
    app.loader.import_default_modules()
    routed = {task: app.amqp.router.route({}, task)["queue"].name for task in expected}
    assert routed == expected
    # Celery's own tasks and those of other tests are registered as well.
    assert set(expected) == {name for name in app.tasks if not name.startswith(("celery.", "tests."))}


@pytest.mark.parametrize("line", WORKERS)
def test_workers_tell_flower_and_take_a_platforms_sigterm(line: str) -> None:
    words = shlex.split(line)
    assert {"-E", "--without-gossip", "--without-mingle"} <= set(words)
    assert "--without-heartbeat" not in words
    assert words[words.index("-O") + 1] == "fair"
    assert words[:3] == ["exec", "env", "REMAP_SIGTERM=SIGQUIT"]
    assert app.conf.worker_enable_remote_control


def test_one_clinic_leaves_a_process_to_the_others() -> None:
    for queue, processes in ((Queue.OTP, outbox.PROCESSES[True]), (Queue.SMS, outbox.PROCESSES[False])):
        [line] = [line for line in WORKERS if re.search(rf"-Q \S*\b{queue.value}\b", line)]
        assert int(re.findall(r"-c (\d+)", line)[0]) == processes >= 2


def test_calendars_from_elsewhere_leave_two_processes_for_the_sms() -> None:
    [line] = [line for line in WORKERS if Queue.FEEDS.value in line]
    assert int(re.findall(r"-c (\d+)", line)[0]) - feed_readings.AT_ONCE >= 2


def test_questions_to_twilio_leave_a_process_for_the_sms() -> None:
    """The two tasks that ask have at most one run each, on one process each."""
    [line] = [line for line in WORKERS if Queue.HOUSEKEEPING.value in line]
    assert int(re.findall(r"-c (\d+)", line)[0]) >= 3
    for task in (Task.RECONCILE_SMS, Task.CHECK_RECEIPTS):
        assert SCHEDULE[task]["schedule"].total_seconds() > RUN + PATIENCE


@pytest.mark.parametrize(
    ("query", "self_signed"), [("", "false"), ("", "true"), ("?ssl_cert_reqs=none", "false")]
)
def test_an_encrypted_redis_hears_nothing_in_clear(query: str, self_signed: str) -> None:
    """Above all not its password: TLS begins with a handshake's byte, Redis' own protocol with a star."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        client = subprocess.Popen(
            [sys.executable, "-c", "from tasks.app import app; app.connection_for_write().connect()"],
            cwd=ROOT,
            env={
                **os.environ,
                "REDIS_URL": f"rediss://user:s3cret@127.0.0.1:{server.getsockname()[1]}/0{query}",
                "REDIS_SELF_SIGNED": self_signed,
            },
            stderr=subprocess.DEVNULL,
        )
        try:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(1))
        finally:
            client.kill()
            client.wait(10)
    assert heard == [b"\x16"]


def test_the_channels_of_a_process_share_a_connection_and_none_takes_it_from_the_others() -> None:
    def used_by(channel: Any) -> int:
        with channel.conn_or_acquire() as client:
            number: int = client.client_id()
            return number

    with redis.Redis.from_url(os.environ["REDIS_URL"]) as broker, app.connection_for_write() as one:
        first: Any = one.channel()
        ours = used_by(first)
        before = len(broker.client_list())
        with app.connection_for_write() as another:
            assert [used_by(another.channel()) for _ in range(3)] == [ours] * 3
            assert len(broker.client_list()) == before
        assert used_by(first) == ours
        first.close()
        assert used_by(one.channel()) == ours


def test_flower_reads_only_and_lets_nobody_in_without_a_password() -> None:
    assert "--read-only" in PROCFILE["flower"]
    assert 'FLOWER_BASIC_AUTH="${FLOWER_BASIC_AUTH:?' in PROCFILE["flower"]
    assert "UNAUTHENTICATED" not in PROCFILE["flower"]


FORKS = """
import os
from celery.signals import worker_process_init
from sqlalchemy import text
import tasks.app
from models.base.session import Door, system_transaction

def connection():
    with system_transaction(Door.READINESS) as session:
        return session.scalar(text("SELECT pg_backend_pid()"))

print(connection(), flush=True)
for _ in range(2):
    if (child := os.fork()) == 0:
        worker_process_init.send(sender=None)
        print(connection(), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print(connection(), flush=True)
"""


def test_a_child_forgets_its_parents_connections() -> None:
    """Each of two children has a connection of its own, and the parent keeps the connection that it had."""
    done = subprocess.run(
        [sys.executable, "-c", FORKS], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    before, first, second, after = done.stdout.split()
    assert before == after
    assert len({before, first, second}) == 3


def test_two_beats_do_no_harm_and_without_one_a_nudge_still_sends(
    booking: Booking, clock: Clock, twilio: str, monkeypatch: pytest.MonkeyPatch, sql: psycopg.Connection
) -> None:
    sql.execute("UPDATE sms_messages SET nudged_at = app_clock() + interval '1 day' WHERE status = 'queued'")
    sql.execute("UPDATE sms_messages SET nudged_at = NULL WHERE org_id = %s", [booking.org])
    published: list[str] = []
    queues: dict[str, str] = {}

    def publish(name: str, kwargs: dict[str, str], queue: str, countdown: float) -> None:
        assert (name, countdown) == (deliver_sms.name, 0)
        published.append(kwargs["message_id"])
        queues[kwargs["message_id"]] = queue

    monkeypatch.setattr(app, "send_task", publish)
    clock.forward(3)
    sweep_sms.run()
    sweep_sms.run()
    ours = {booking.otp, booking.confirmation}
    assert sorted(each for each in published if each in ours) == sorted(ours)
    assert (queues[booking.otp], queues[booking.confirmation]) == (Queue.OTP, Queue.SMS)
    for _ in range(2):  # as if both were published twice
        for message in ours:
            deliver_sms.run(org_id=str(uuid.UUID(booking.org)), message_id=message)
    assert len(inbox(twilio, booking.phone)) == 2
