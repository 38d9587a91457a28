"""A person whose data must not appear in a log, and the lines that a test reads."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

NAME, PHONE, CODE = "Zebulon Quince", "+447700900987", "7391"
PERSONAL = (NAME, "Quince", "7700900987", "7700 900987", CODE)

Lines = Callable[[], list[dict[str, Any]]]

log = logging.getLogger("webapp.tests")
