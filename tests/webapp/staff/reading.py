"""Reads pages and files of the dashboard."""

from __future__ import annotations

import csv
import io
import re
from typing import Any


def table(response: Any) -> list[list[str]]:
    assert response.mimetype == "text/csv"
    assert "attachment" in response.headers["Content-Disposition"]
    return list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff"))))


def shown(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.text).split())
