"""What is found around a process before it serves anybody, as sentences for whoever runs it."""

from __future__ import annotations


class Problem(str):
    """A sentence about what forbids the start."""

    __slots__ = ()


class Notice(str):
    """A sentence about what somebody should know."""

    __slots__ = ()
