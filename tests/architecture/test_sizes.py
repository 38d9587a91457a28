"""None of our files is longer than one reads in one go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.places import ROOT

LONGEST = 400  # lines
SUFFIXES = {".py", ".html", ".js", ".css"}

#: Below these nothing is counted: libraries, the files of a running copy, and migrations, which are history.
NOT_COUNTED = {"vendor", "var", "versions"}


def ours(folder: Path = ROOT) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and path.name not in NOT_COUNTED and not path.name.startswith("."):
            yield from ours(path)
        elif path.suffix in SUFFIXES:
            yield path


def longer() -> set[str]:
    return {
        path.relative_to(ROOT).as_posix() for path in ours() if len(path.read_text().splitlines()) > LONGEST
    }


def test_no_file_has_more_than_400_lines() -> None:
    assert longer() == set(), "split these where their subject changes"
