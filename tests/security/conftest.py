"""Production's rules: no request is answered without a credential, unlike in the rest of the suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import settings


@pytest.fixture(autouse=True)
def production() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("APP_ENV", "production")
        settings.of_process.cache_clear()
        yield
    settings.of_process.cache_clear()
