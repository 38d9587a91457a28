"""Each test of reconciliation begins without a message to ask Twilio about."""

from __future__ import annotations

import psycopg
import pytest


@pytest.fixture(autouse=True)
def nobody_elses_messages(sql: psycopg.Connection) -> None:
    """Clear other tests' messages, which would take up a run's bounded time."""
    sql.execute("UPDATE sms_messages SET check_at = NULL WHERE check_at IS NOT NULL")
