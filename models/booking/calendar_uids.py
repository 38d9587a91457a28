"""The UIDs of a clinic's entries in the calendars that it publishes."""

from __future__ import annotations

import hashlib
import uuid


def ending(org_id: uuid.UUID) -> str:
    """The end of each UID, which stays for ever.

    It tells the clinic's entries from those of other clinics: one person may work at two, and is busy at the
    one when booked at the other.
    """
    return f"@{hashlib.sha256(org_id.bytes).hexdigest()[:16]}.holdline"
