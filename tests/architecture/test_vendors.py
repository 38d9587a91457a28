"""Vendors' names stay where vendors are spoken to."""

from __future__ import annotations

import re

import pytest

from tests.places import ROOT

VENDOR = re.compile("twilio|vapi|retell", re.IGNORECASE)


@pytest.mark.parametrize("room", ["booking", "leads", "insight", "messaging", "notices"])
def test_a_room_of_the_domain_names_no_vendor(room: str) -> None:
    named = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in (ROOT / "models" / room).rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if VENDOR.search(line)
    ]
    assert named == []


def test_the_tasks_name_no_sms_provider() -> None:
    tasks = (path for path in (ROOT / "tasks").rglob("*.py") if path.parent.name != "providers")
    assert [path.name for path in tasks if "twilio" in path.read_text().lower()] == []
