"""An operator at a prompt."""

from __future__ import annotations

import psycopg
import pytest
from flask import Flask

from tests.webapp.cli.commands import Operator


@pytest.fixture
def operator(app: Flask, sql: psycopg.Connection) -> Operator:
    return Operator(app, sql)


@pytest.fixture
def clinic(operator: Operator) -> str:
    """An organisation with nothing but a name."""
    return operator.does(
        "organization", "create", "Clinic", "--region", "GB", "--phone", "020 7946 0958", "--same-name"
    )
