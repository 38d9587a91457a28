"""A step that must come out as promised, and the error if it does not."""

from __future__ import annotations


class DidNotHold(Exception):
    """A step that did not come out as promised."""

    def __init__(self, step: str, instead: str) -> None:
        super().__init__(f"{step}; instead: {instead}")
        self.step = step
        self.instead = instead


def must(held: object, step: str, instead: object) -> None:
    """Go on only if it held; `step` says what was promised, `instead` what came."""
    if not held:
        raise DidNotHold(step, str(instead))
