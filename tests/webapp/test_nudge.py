"""A nudge tells the workers and keeps no request waiting, whatever Redis does."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid

import pytest
import redis

import settings
from models.sms import Due, SmsKind
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
    # One after the other they would wait sixteen times half of it; those that come later do not wait at all.
    assert max(taken) < settings.get().broker_timeout * 4
    assert max(again) < settings.get().broker_timeout / 2
