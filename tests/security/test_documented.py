"""Every test and every file that docs/security.md points at is there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.places import ROOT

PAGE = ROOT / "docs/security.md"

TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text())))
FILES = sorted(set(re.findall(r"`([\w/]+\.(?:py|sql|md))(?:::\w+)?`", PAGE.read_text())))


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_the_test_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", FILES)
def test_the_file_is_there(path: str) -> None:
    assert (ROOT / path).is_file()


def test_each_attack_has_its_file_and_its_test() -> None:
    """A line of a table of attacks without one of them is a claim and no more."""
    tables = re.findall(
        r"^\| (?:attack|mistake) \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE.read_text(), re.MULTILINE
    )
    assert len(tables) == 7
    for line in "".join(tables).splitlines():
        _, _, _, where, test, _ = re.split(r"(?<!\\)\|", line)
        assert re.search(r"`[\w/]+\.(py|sql)`", where), line
        assert "::" in test, line
