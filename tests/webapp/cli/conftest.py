"""An operator who types commands."""

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
    """A clinic that has only a name. Returns its id."""
    return operator.does(
        "organization", "create", "Clinic", "--region", "GB", "--phone", "020 7946 0958", "--same-name"
    )
