"""The names that a clinic gives to its people, rooms, devices and services, and the ids made from them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

from models.booking.hours import Impossible

#: Characters.
LONGEST = 80


def assert_right(name: str) -> None:
    """Raises Impossible for a name that is empty, too long, or not to be read."""
    if not name.strip():
        raise Impossible("give a name")
    if len(name) > LONGEST or not name.isprintable():
        raise Impossible(f"a name has at most {LONGEST} characters, all of which can be read")


def free_id(name: str, known: Container[str], *, otherwise: str) -> str:
    """An id like the name, in letters without accents, digits and dashes; `otherwise` if that leaves none."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or otherwise
    found, number = slug, 2
    while found in known:
        found, number = f"{slug}-{number}", number + 1
    return found
