"""A booking whose confirmation is claimed."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.messaging import messages, outbox
from models.messaging.messages import SmsMessage
from tests.tasks.bookings import Booking


@pytest.fixture
def booking(client: FlaskClient, sql: psycopg.Connection) -> Booking:
    return Booking(client, sql)


def message_of(booking: Booking) -> SmsMessage:
    with transaction(uuid.UUID(booking.org)) as session:
        found = messages.get_or_none(session, uuid.UUID(booking.org), uuid.UUID(booking.confirmation))
    assert found
    return found


def claim(booking: Booking, message: str | None = None) -> SmsMessage | None:
    org = uuid.UUID(booking.org)
    with transaction(org) as session:
        return outbox.claim_for_sending(session, org, uuid.UUID(message or booking.confirmation))
