"""Where a vendor has no name: the rules of the diary, and what all voice platforms share."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.places import ROOT

VENDORS = re.compile("vapi|retell|twilio", re.IGNORECASE)

#: Folders with everything below them, but for the adapters.
NEUTRAL = ("models/booking", "models/leads", "models/insight", "webapp/agents")
ADAPTERS = ("webapp/agents/vapi",)

KNOWN = {
    "webapp/agents/platforms.py",  # the list of the platforms
    "webapp/agents/sms_replies.py",  # reads what an error of the provider means from models/messaging
    # The names of a table and of a module in models/messaging, and remarks.
    "models/booking/codes.py",
    "models/booking/holds.py",
    "models/booking/unproved_holds.py",
    "models/insight/labelled_calls.py",
    "models/insight/privacy.py",
}


def named() -> Iterator[str]:
    for folder in NEUTRAL:
        for path in (ROOT / folder).rglob("*"):
            name = path.relative_to(ROOT).as_posix()
            if "__pycache__" in name or name.startswith(ADAPTERS) or not path.is_file():
                continue
            if VENDORS.search(path.read_text(errors="replace")):
                yield name


def test_no_vendor_is_named_where_the_rules_are() -> None:
    found = set(named())
    assert "webapp/agents/platforms.py" in found, "this search finds nothing at all"
    assert found - KNOWN == set()
