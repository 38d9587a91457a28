"""Each test of asking Twilio afterwards begins with nothing to ask about."""

from __future__ import annotations

import psycopg
import pytest


@pytest.fixture(autouse=True)
def nobody_elses_messages(sql: psycopg.Connection) -> None:
    """Other tests leave messages to be asked about; a run is short."""
    sql.execute("UPDATE sms_messages SET check_at = NULL WHERE check_at IS NOT NULL")
