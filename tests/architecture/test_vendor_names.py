"""Vendors' names stay where vendors are spoken to."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.places import ROOT

VENDOR = re.compile("twilio|vapi|retell", re.IGNORECASE)

#: Folders in which nothing names a vendor, with the packages and files below them that do: adapters, and the
#: lists of them.
NEUTRAL = {
    "models/booking": (),
    "models/insight": (),
    "models/leads": (),
    "models/messaging": (),
    "models/notices": (),
    "webapp/agents": ("webapp/agents/vapi/", "webapp/agents/platforms.py"),
}


def named(folder: str) -> Iterator[str]:
    for path in (ROOT / folder).rglob("*"):
        name = path.relative_to(ROOT).as_posix()
        if "__pycache__" in name or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if VENDOR.search(line):
                yield f"{name}:{number}: {line.strip()}"


@pytest.mark.parametrize("folder", NEUTRAL)
def test_what_every_vendor_shares_names_none(folder: str) -> None:
    assert [line for line in named(folder) if not line.startswith(NEUTRAL[folder])] == []


def test_the_search_finds_the_adapters() -> None:
    assert any(line.startswith("webapp/agents/vapi/") for line in named("webapp/agents"))


def test_the_tasks_name_no_sms_provider() -> None:
    tasks = (path for path in (ROOT / "tasks").rglob("*.py") if path.parent.name != "providers")
    assert [path.name for path in tasks if "twilio" in path.read_text().lower()] == []
