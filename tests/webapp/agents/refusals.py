"""Reads a tool's refusal."""

from __future__ import annotations

import uuid
from typing import Any

UNKNOWN = str(uuid.uuid4())


def refused(answer: dict[str, Any], code: str) -> str:
    assert answer["success"] is False
    assert answer["code"] == code
    assert answer["error"]
    say: str = answer["say"]
    return say
