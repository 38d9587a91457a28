"""A clinic with a published calendar."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.webapp.feeds.reader import Reader


@pytest.fixture
def reader(client: FlaskClient, sql: psycopg.Connection[tuple[Any, ...]]) -> Reader:
    return Reader.of_a_new_clinic(client, sql)
