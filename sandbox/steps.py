"""`must` checks a step of a call; DidNotHold says what came instead."""

from __future__ import annotations


class DidNotHold(Exception):
    """A step did not end as promised."""

    def __init__(self, step: str, instead: str) -> None:
        super().__init__(f"{step}; instead: {instead}")
        self.step = step
        self.instead = instead


def must(held: object, step: str, instead: object) -> None:
    """Raise DidNotHold unless `held` is true. `step` says what was promised, `instead` what came."""
    if not held:
        raise DidNotHold(step, str(instead))
