"""What a part of the product said in the log, whatever others said meanwhile."""

from __future__ import annotations

import logging

import pytest


def said(caplog: pytest.LogCaptureFixture, part: str, level: int = logging.ERROR) -> list[str]:
    """The lines of one logger and those below it, from a level on.

    A count over all lines of a test counts those of its neighbours, too: the credentials of every
    clinic are read anew each few seconds, and a clinic of another test may have one that nobody can open.
    """
    ours = (each for each in caplog.records if each.name == part or each.name.startswith(f"{part}."))
    return [each.getMessage() for each in ours if each.levelno >= level]
