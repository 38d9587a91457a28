"""Logs in the form in which a process of the product writes them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import logs
from tests.runtime.logged import PERSONAL, Lines


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """Set up the product's logging; yields a function that returns the lines since the last look."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    logs.configure()

    def written() -> list[dict[str, Any]]:
        said = capsys.readouterr().err
        assert not [word for word in PERSONAL if word in said], said
        return [json.loads(line) for line in said.splitlines()]

    yield written
    root.setLevel(level)
    root.handlers[:] = handlers
    logs.unbind()
