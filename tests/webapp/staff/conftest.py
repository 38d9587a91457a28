"""People who are signed in at clinics of the tests' own."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.factories import create_clinic
from tests.webapp.staff.browsers import Person, employ


@pytest.fixture
def stranger(app: Flask) -> Person:
    """Employed, and not signed in."""
    return employ(app, create_clinic())


@pytest.fixture
def person(stranger: Person) -> Person:
    assert stranger.sign_in().status_code == 303
    return stranger


@pytest.fixture
def other(app: Flask) -> Person:
    """Of another clinic, signed in."""
    somebody = employ(app, create_clinic())
    assert somebody.sign_in().status_code == 303
    return somebody
