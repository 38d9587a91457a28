"""The variables that production requires, and the settings that are read from them."""

from __future__ import annotations

import settings

ALL = "0.0.0.0"  # noqa: S104
KEY = "6b0e3f9a17d24c85be602f1d7a94c3e8"
NEEDED = {"DATABASE_URL": "postgresql://x/y", "REDIS_URL": "redis://x", "SECRET_KEY": KEY}


def read() -> settings.Settings:
    return settings.of_process.__wrapped__()
