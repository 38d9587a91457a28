"""The web application in production and in development."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.surroundings import environment


@pytest.fixture(scope="module", params=["production", "development"])
def mode(request: pytest.FixtureRequest) -> Iterator[str]:
    with environment(APP_ENV=request.param, MAX_BODY_BYTES="4096"):
        yield request.param


in_production = pytest.mark.parametrize("mode", ["production"], indirect=True)
in_development = pytest.mark.parametrize("mode", ["development"], indirect=True)
