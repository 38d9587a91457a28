"""A hold whose code was sent."""

from __future__ import annotations

import os

FORMER = os.environ["SECRET_KEY"]


def wrong(code: str) -> str:
    return str((int(code) + 1) % 10 ** len(code)).zfill(len(code))
