"""Reads pages and files of the dashboard, and what their deeds nudge."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest

from webapp.staff import booking, diary, pages


@pytest.fixture
def nudged(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    told: list[Any] = []
    for module in (booking, diary, pages):
        monkeypatch.setattr(module, "nudge", told.append)
    return told


def table(response: Any) -> list[list[str]]:
    assert response.mimetype == "text/csv"
    assert "attachment" in response.headers["Content-Disposition"]
    return list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff"))))


def shown(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.text).split())
