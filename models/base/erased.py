"""What stands where the name or the number of an erased patient stood."""

from __future__ import annotations

ERASED = "erased"
#: The beginning of what stands in place of a telephone number. What follows is different for each patient.
MARK = f"{ERASED}:"


def is_erased(number: str | None) -> bool:
    """Whether this stands in the place of a number that was erased: to be shown as that, and never rung."""
    return number is not None and number.startswith(MARK)
