"""An appointment with a link, and a diary to move it in."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.booking import appointments
from models.booking.appointments import Change
from tests.factories import slot
from tests.linked import Linked, at

NEW = slot(hour=15)
SUPERSEDED = ("expired", "a later message says something else")


@pytest.fixture
def linked(client: FlaskClient, sql: psycopg.Connection) -> Linked:
    return Linked(client, sql)


def move(
    linked: Linked, to: str = NEW, *, org: str | None = None, message: uuid.UUID | None = None
) -> Change:
    with transaction(uuid.UUID(org or linked.org), actor="patient link") as session:
        return appointments.move(
            session,
            org_id=uuid.UUID(org or linked.org),
            appointment_id=uuid.UUID(linked.appointment),
            starts_at=at(to),
            message_id=message,
        )


def nothing_changed(linked: Linked) -> None:
    assert linked.row("scheduled_at, status") == (at(linked.start), "confirmed")
    assert linked.newest() == linked.message
    assert linked.sms() == ("queued", "created")
    assert linked.link()[:2] == (None, False)
    assert linked.one("SELECT count(*) FROM sms_messages WHERE appointment_id = %s", linked.appointment) == 1
