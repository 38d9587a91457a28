"""Staff of the tests' own clinics, signed in or not."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.factories import create_clinic
from tests.webapp.staff.browsers import Person, employ


@pytest.fixture
def stranger(app: Flask) -> Person:
    """A member of staff who is not signed in."""
    return employ(app, create_clinic())


@pytest.fixture
def person(stranger: Person) -> Person:
    assert stranger.sign_in().status_code == 303
    return stranger


@pytest.fixture
def other(app: Flask) -> Person:
    """A member of another clinic's staff, signed in."""
    somebody = employ(app, create_clinic())
    assert somebody.sign_in().status_code == 303
    return somebody
