"""The quick reference, block by block."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.places import ROOT

DOCUMENT = ROOT / "docs/quick-reference.md"

#: The document's requests, by path, with the arguments in their order.
REQUESTS = {
    "calendar/check": ["tenantId", "date"],
    "booking/reserve-atomic": ["tenantId", "slotId", "calendarId", "patientPhone", "patientName"],
    "booking/send-otp": ["holdId", "patientPhone"],
    "booking/verify-otp": ["holdId", "providedOTP", "contactId"],
    "booking/send-confirmation": ["appointmentId", "patientPhone", "contactId"],
}


@dataclass(frozen=True, slots=True)
class Block:
    heading: str
    language: str
    text: str


def blocks_of(document: str) -> list[Block]:
    """Every fenced block, with the heading above it."""
    found, heading = [], ""
    for match in re.finditer(r"^(#+ [^\n]*)$|^```(\w*)\n(.*?)^```$", document, re.MULTILINE | re.DOTALL):
        if match[1]:
            heading = match[1].lstrip("# ")
        else:
            found.append(Block(heading, match[2], match[3]))
    return found


BLOCKS = blocks_of(DOCUMENT.read_text())
