"""Which of the clinic's people a name of a file most likely is."""

from __future__ import annotations

import pytest

from models.booking.imports import matching

KNOWN = {"ben": ["Dr Ben Shah"], "amy": ["Dr Amy Stone"], "bo": ["Bo Stone"], "room-1": ["Room 1"]}


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("Dr B Shah", "ben"),
        ("Shah, B.", "ben"),
        ("SHAH BEN", "ben"),
        ("A Stone", "amy"),
        ("B. Stone", "bo"),
        ("Stone", None),
        ("C Shah", None),
        ("B", None),
        ("Room 2", None),
        ("room 1", "room-1"),
    ],
)
def test_a_name_is_that_of_the_only_one_whom_it_fits(name: str, which: str | None) -> None:
    assert matching._alike(name, KNOWN) == which
