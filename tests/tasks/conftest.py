"""A booking whose SMS wait, and a Twilio whose faults a test scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.tasks.bookings import Booking, clear, script


@pytest.fixture(autouse=True)
def nothing_goes_wrong_by_itself(twilio: str) -> None:
    """Clear the faults that other tests scripted and never used."""
    clear(twilio)


@pytest.fixture(autouse=True)
def nothing_of_others_is_due(sql: psycopg.Connection) -> None:
    """Put off other tests' rows: they would come first in a sweep, which takes a bounded number at once."""
    later = "app_clock() + interval '10 years'"
    sql.execute(f"UPDATE sms_messages SET next_attempt_at = {later} WHERE status = 'queued'".encode())
    sql.execute(f"UPDATE sms_messages SET check_at = {later} WHERE check_at IS NOT NULL".encode())
    sql.execute(f"UPDATE calls SET score_due_at = {later} WHERE score_due_at IS NOT NULL".encode())
    sql.execute("UPDATE integration_settings SET vapi_api_key_sealed = NULL")


@pytest.fixture
def booking(client: FlaskClient, sql: psycopg.Connection, twilio: str) -> Booking:
    del twilio
    return Booking(client, sql)


@pytest.fixture
def faults(twilio: str) -> Iterator[Callable[..., None]]:
    yield partial(script, twilio)
    clear(twilio)
