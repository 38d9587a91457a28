"""Reads the pages behind a link, and all rows that they could change."""

from __future__ import annotations

import html
import re
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.factories import slot
from tests.linked import Linked
from webapp.limits import Limiter
from webapp.patient import pages
from webapp.state import per_app

NEW = slot(hour=15)
NO_SUCH = "0" * 12


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test open a link as often as it needs."""
    monkeypatch.setattr(pages, "requests", per_app(lambda: Limiter(1000.0)))


@pytest.fixture
def nudged(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    told: list[Any] = []
    monkeypatch.setattr(pages, "nudge", told.append)
    return told


@pytest.fixture
def linked(client: FlaskClient, sql: psycopg.Connection) -> Linked:
    return Linked(client, sql)


def words(response: TestResponse) -> str:
    """The text of a page as a person reads it."""
    main = re.sub(r"<head>.*?</head>|<[^>]+>", " ", response.text, flags=re.DOTALL)
    return " ".join(html.unescape(main).split())


def state_of(linked: Linked) -> tuple[Any, ...]:
    """All rows that a page could change."""
    return (
        linked.row("scheduled_at, status, confirmation_message_id"),
        linked.sms(),
        linked.link(),
        linked.taken(),
        linked.one("SELECT count(*) FROM sms_messages WHERE org_id = %s", linked.org),
    )
