"""The connection breaks in the commit of what a patient does: it is done once, and said to be done."""

from __future__ import annotations

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.breaking import Breaks, Line
from tests.factories import slot
from tests.linked import Linked, at
from tests.surroundings import environment
from webapp import unit_of_work


@pytest.mark.parametrize("how", [Breaks.BEFORE, Breaks.AFTER])
def test_a_move_and_a_cancellation(
    client: FlaskClient, sql: psycopg.Connection, database_url: str, how: Breaks
) -> None:
    with Line(database_url) as line, environment(DATABASE_URL=line.url):
        linked = Linked(client, sql)
        line.break_commit_of("move_appointment(", how)
        page = client.post(f"{linked.path}/move", data={"slot": slot(hour=15)})
        assert line.has_broken()
        assert (page.status_code, linked.row("scheduled_at")) == (200, at(slot(hour=15)))
        linked = Linked(client, sql)
        line.break_commit_of("cancel_appointment(", how)
        page = client.post(f"{linked.path}/cancel")
        assert line.has_broken()
        assert "appointment was cancelled" in page.text or "appointment is cancelled" in page.text
        assert linked.row("status") == "cancelled"


def test_what_cannot_be_seen_is_not_said_to_have_failed(
    client: FlaskClient, sql: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_of_work, "LOOK_FOR", 0.5)
    with Line(database_url) as line, environment(DATABASE_URL=line.url):
        linked = Linked(client, sql)
        line.break_commit_of("cancel_appointment(", Breaks.AFTER, then_refuse=True)
        page = client.post(f"{linked.path}/cancel")
        line.refuses = False
        assert page.status_code == 503
        assert "We could not see whether that was done" in page.text
        assert "appointment was cancelled" in client.get(linked.path).text
