"""How much the requests take that have not been answered, and which of them are too many."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from webserver import limits

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Held:
    size: int  # bytes
    known: bool
    signed: bool
    group: Hashable | None


class Memory(Generic[T]):
    """What each request holds, from the oldest to the newest, and the sums of it."""

    def __init__(self) -> None:
        self._held: dict[T, _Held] = {}
        self._small = 0
        self._known = 0
        self._signed = 0

    def hold(self, request: T, size: int, *, known: bool, signed: bool, group: Hashable | None) -> None:
        """`size` bytes are held for it now. `known`: its sender is, as `group`; `signed`: it says so."""
        if not (known or signed):
            size = max(0, size - limits.FREE)
        before = self._held.get(request)
        self._add(before, -1)
        if size or before or signed:
            self._held[request] = _Held(size, known, signed, group)
            self._add(self._held[request], +1)

    def release(self, request: T) -> None:
        self._add(self._held.pop(request, None), -1)

    def too_many(self, request: T) -> list[T]:
        """Those of which one must make way before there is room for this one; none if there is."""
        held = self._held.get(request)
        if held is None:
            return []
        signed = [each for each, of in self._held.items() if of.signed]
        too_many: list[T] = []
        if not (held.known or held.signed):
            if self._small > limits.ROOM_FOR_SMALL:
                too_many = [each for each, of in self._held.items() if not (of.known or of.signed)]
        elif held.signed and (self._signed > limits.ROOM_FOR_ONE or len(signed) > limits.MOST_SIGNED):
            too_many = signed
        elif self._known + self._signed > limits.ROOM_FOR_LARGE:
            too_many = [*signed, request]
        elif held.known and self._of_group(held.group) > limits.ROOM_FOR_ONE:
            too_many = [request]
        return too_many

    def _of_group(self, group: Hashable | None) -> int:
        return sum(of.size for of in self._held.values() if of.known and of.group == group)

    def _add(self, held: _Held | None, sign: int) -> None:
        if held is None:
            return
        if held.known:
            self._known += sign * held.size
        elif held.signed:
            self._signed += sign * held.size
        else:
            self._small += sign * held.size
