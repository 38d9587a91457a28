"""The mark that replaces the name or the number of an erased patient."""

from __future__ import annotations

ERASED = "erased"
#: The mark of an erased telephone number begins with this; the rest is different for each patient.
MARK = f"{ERASED}:"


def is_erased(number: str | None) -> bool:
    """Whether this is the mark of an erased number, which pages show as erased and which is never rung."""
    return number is not None and number.startswith(MARK)
