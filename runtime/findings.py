"""What the checks at the start of a process find, as sentences for the operator."""

from __future__ import annotations


class Problem(str):
    """A sentence about a finding that forbids the start."""

    __slots__ = ()


class Notice(str):
    """A sentence about a finding that the operator should know."""

    __slots__ = ()
