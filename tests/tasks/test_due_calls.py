"""When a call that is over is due to be scored, and the nudges for it."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.calls import calls
from tasks.calls import score_call, sweep_calls
from tasks.messaging import deliver_sms
from tests.conftest import Clock
from tests.factories import create_clinic, phone_number, slot
from tests.tasks.test_calls import COLD, HOT, Ended
from tests.webapp.agents.calls import PhoneCall
from webapp.agents.vapi import events


def test_a_call_is_due_when_its_report_has_settled_and_not_before(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    ended = Ended(client, sql, COLD)
    ended.score()
    assert ended.one("SELECT scored_at FROM calls WHERE org_id = %s") is None
    clock.forward(3)
    sweep_calls.run()
    assert ended.one("SELECT nudged_at IS NOT NULL FROM calls WHERE org_id = %s")


def test_a_call_without_a_report_is_scored_a_quarter_of_an_hour_later(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    org = create_clinic()
    call = PhoneCall(client, org, phone_number())
    call.say("check_availability", date=slot()[:10])
    ended = {"type": "status-update", "status": "ended", "call": {"id": call.id}}
    client.post("/api/vapi/webhook", json={"message": ended})
    score_call.run(org_id=org, call_id=call.id)
    clock.forward(901)
    score_call.run(org_id=org, call_id=call.id)
    row = sql.execute("SELECT lead_score IS NOT NULL FROM calls WHERE org_id = %s", [org]).fetchone()
    assert row == (True,)


def test_another_clinics_call_of_the_same_id_is_another_call(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    ended = Ended(client, sql, HOT, durationSeconds=400)
    clock.forward(3)
    score_call.run(org_id=str(uuid.uuid4()), call_id=ended.call.id)
    score_call.run(org_id=create_clinic(), call_id=ended.call.id)
    assert ended.one("SELECT scored_at FROM calls WHERE org_id = %s") is None


class Published:
    """Records tasks of one clinic instead of publishing them: the queue and the countdown of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, task: Any) -> None:
        self.all: list[tuple[dict[str, str], str, float]] = []
        self._task = task.name
        monkeypatch.setattr(task.app, "send_task", self._note)

    def _note(self, name: str, *, kwargs: dict[str, str], queue: str, countdown: float) -> None:
        if name == self._task:
            self.all.append((kwargs, queue, countdown))

    def of(self, org: str) -> list[tuple[dict[str, str], str, float]]:
        return [each for each in self.all if each[0]["org_id"] == org]


def test_an_alert_is_nudged_as_soon_as_it_is_committed(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = Published(monkeypatch, deliver_sms)
    ended = Ended(client, sql, HOT, durationSeconds=301)
    clock.forward(3)
    ended.score()
    message = ended.one("SELECT message_id::text FROM hot_lead_alerts WHERE org_id = %s")
    assert published.all == [({"org_id": ended.org, "message_id": message}, "sms", 0)]


def test_a_lost_nudge_to_score_is_repeated_after_half_a_minute(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = Published(monkeypatch, score_call)
    ended = Ended(client, sql, HOT)
    once = ({"org_id": ended.org, "call_id": ended.call.id}, "calls", 0)
    clock.stop()
    clock.forward(3)
    for seconds, expected in ((0, 1), (0, 1), (29, 1), (2, 2), (29, 2), (2, 3)):
        clock.forward(seconds)
        sweep_calls.run()
        assert published.of(ended.org) == [once] * expected


def test_a_call_that_is_due_in_a_moment_is_waited_for(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the database's clock decides; a call that is due much later is left to the sweep."""
    published = Published(monkeypatch, score_call)
    clock.stop()
    ended = Ended(client, sql, HOT)
    ended.score()
    clock.forward(1.5)
    ended.score()
    assert [wait for _, _, wait in published.of(ended.org)] == [2, 0.5]
    clock.forward(0.5)
    ended.score()
    assert ended.one("SELECT scored_at IS NOT NULL FROM calls WHERE org_id = %s")
    assert len(published.of(ended.org)) == 2


def test_the_end_of_a_call_is_nudged_when_its_report_has_come_and_not_before(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    nudged: list[calls.Due] = []
    seen: list[bool] = []

    def nudge(due: calls.Due) -> None:
        nudged.append(due)
        committed = sql.execute("SELECT score_due_at FROM calls WHERE id = %s", [due.call_id]).fetchone()
        seen.append(committed is not None and committed[0] is not None)

    monkeypatch.setattr(events, "nudge", nudge)
    org = create_clinic()
    call = PhoneCall(client, org, phone_number())
    call.say("check_availability", date=slot()[:10])
    ended = {"type": "status-update", "status": "ended", "call": {"id": call.id}}
    client.post("/api/vapi/webhook", json={"message": ended})
    assert nudged == []
    report = {"type": "end-of-call-report", "call": {"id": call.id}, "durationSeconds": 40}
    client.post("/api/vapi/webhook", json={"message": report})
    assert [(str(due.org_id), due.call_id) for due in nudged] == [(org, call.id)]
    assert seen == [True]
