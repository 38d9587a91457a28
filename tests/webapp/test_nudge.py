"""A nudge tells the workers and keeps no request waiting, whatever Redis does."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

import settings
from celeryconfig import Queue
from models.calls import calls
from models.messaging.messages import Due
from models.messaging.states import SmsKind
from tests.factories import bare, code_of, create_clinic, reserve
from tests.places import free_port
from webapp import nudge
from webapp.nudge import Nudger

DUE = Due(uuid.uuid4(), uuid.uuid4(), SmsKind.CONFIRMATION)


def _seconds_of_each(nudger: Nudger, threads: int) -> list[float]:
    """How long each of so many requests was held up that nudge at the same time."""
    taken = []

    def nudge() -> None:
        begun = time.monotonic()
        nudger.nudge(DUE)
        taken.append(time.monotonic() - begun)

    running = [threading.Thread(target=nudge) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return taken


@pytest.mark.parametrize("nudges_before", [0, 1])
def test_a_frozen_redis_holds_no_request_up_for_longer_than_its_bound(nudges_before: int) -> None:
    nudger = Nudger()
    for _ in range(nudges_before):
        nudger.nudge(DUE)
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as connection:
        pid = connection.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        taken = _seconds_of_each(nudger, 16)
        again = _seconds_of_each(nudger, 16)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert len(taken) == 16
    # One after the other they would wait for sixteen halves of it; those that come later do not wait at all.
    assert max(taken) < settings.get().broker_timeout * 4
    assert max(again) < settings.get().broker_timeout / 2


@pytest.mark.parametrize(
    ("due", "queue", "task", "row"),
    [
        (Due(DUE.org_id, DUE.message_id, SmsKind.OTP), "otp", "sms.deliver_sms", "message_id"),
        (Due(DUE.org_id, DUE.message_id, SmsKind.CONFIRMATION), "sms", "sms.deliver_sms", "message_id"),
        (Due(DUE.org_id, DUE.message_id, SmsKind.CANCELLATION), "sms", "sms.deliver_sms", "message_id"),
        (Due(DUE.org_id, DUE.message_id, SmsKind.HOT_LEAD_ALERT), "sms", "sms.deliver_sms", "message_id"),
        (calls.Due(DUE.org_id, "call-1"), "calls", "leads.score_call", "call_id"),
    ],
)
def test_each_row_is_told_of_on_the_queue_that_is_meant_for_it(
    due: Due | calls.Due, queue: str, task: str, row: str
) -> None:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as broker:
        broker.delete(*(each.value for each in Queue))
        Nudger().nudge(due)
        waiting = {each.value: broker.llen(each.value) for each in Queue if broker.llen(each.value)}
        assert waiting == {queue: 1}
        message = json.loads(broker.lrange(queue, 0, 0)[0])
    assert message["headers"]["task"] == task
    assert (message["headers"]["eta"], message["headers"]["expires"]) == (None, None)
    [_, kwargs, _] = json.loads(base64.b64decode(message["body"]))
    assert kwargs == {"org_id": str(due.org_id), row: str(getattr(due, row))}


def test_once_redis_has_failed_nobody_tries_it_for_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one that had waited for its turn meanwhile; and then it is tried again."""
    seconds, looked = 1000.0, threading.Event()

    def monotonic() -> float:
        looked.set()
        return seconds

    monkeypatch.setattr(nudge, "time", SimpleNamespace(monotonic=monotonic))
    nudger = Nudger()
    away: Any = nudge._producer.__wrapped__(settings.get())
    away.conf.broker_write_url = f"redis://127.0.0.1:{free_port()}/0"
    waiting = threading.Thread(target=nudger.nudge, args=(DUE,))
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as broker:
        broker.delete(Queue.SMS.value)
        with nudger._publishing:
            waiting.start()
            assert looked.wait(30)
            with monkeypatch.context() as patch:
                patch.setattr(nudge, "_producer", lambda _: away)
                nudger._publish(DUE)
        waiting.join()
        for later, published in ((0.0, 0), (9.9, 0), (0.2, 1)):
            seconds += later
            nudger.nudge(DUE)
            assert broker.llen(Queue.SMS.value) == published


def waiting_for(broker: redis.Redis, queue: Queue, org: str) -> int:
    bodies = (json.loads(each)["body"] for each in broker.lrange(queue.value, 0, -1))
    return sum(org in base64.b64decode(body).decode() for body in bodies)


def test_the_confirmation_is_nudged_once_the_booking_is_committed(client: FlaskClient) -> None:
    """At once, and not only when the agent asks after it or a sweep comes by."""
    org = create_clinic()
    hold = reserve(client, org)["holdId"]
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as broker:
        assert bare(client, "booking/send-otp", holdId=hold)["success"]
        assert waiting_for(broker, Queue.OTP, org) >= 1
        assert waiting_for(broker, Queue.SMS, org) == 0
        assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))["success"]
        assert waiting_for(broker, Queue.SMS, org) == 1
