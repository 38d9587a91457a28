"""How much memory the unanswered requests take, and which of them are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from webserver import limits
from webserver.standing import Standing

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Held:
    size: int  # bytes
    standing: Standing | None
    group: Hashable | None


class Memory(Generic[T]):
    """What each request holds, from the oldest to the newest, and the sum for each standing."""

    def __init__(self) -> None:
        self._held: dict[T, _Held] = {}
        self._sums: Counter[Standing | None] = Counter()

    def hold(self, request: T, size: int, standing: Standing | None, group: Hashable | None) -> None:
        """Note that the request holds `size` bytes now. `standing` is None until it has to be known."""
        if standing is None:
            size = max(0, size - limits.FREE)
        self.release(request, replaced=True)
        if size or standing or request in self._held:
            self._held[request] = _Held(size, standing, group)
            self._sums[standing] += size

    def release(self, request: T, *, replaced: bool = False) -> None:
        """Forget a request that is over; a request that is `replaced` keeps its place among the others."""
        held = self._held.get(request) if replaced else self._held.pop(request, None)
        if held is not None:
            self._sums[held.standing] -= held.size

    def too_many(self, request: T) -> list[T]:
        """The requests of which one must make way before there is room for this one, in the order in which
        they go; empty if there is room.
        """
        held = self._held.get(request)
        if held is None:
            return []
        if held.standing is None:
            return self._of(None) if self._sums[None] > limits.ROOM_FOR_SMALL else []
        signed = self._sums[Standing.SIGNED] + self._sums[Standing.UNNAMED]
        if held.standing is not Standing.KNOWN:
            all_signed = self._of(Standing.UNNAMED) + self._of(Standing.SIGNED)
            if signed > limits.ROOM_FOR_ONE or len(all_signed) > limits.MOST_SIGNED:
                return all_signed
        if signed + self._sums[Standing.KNOWN] > limits.ROOM_FOR_LARGE:
            return [*self._of(Standing.UNNAMED), *self._of(Standing.SIGNED), request]
        if held.standing is Standing.KNOWN and self._of_group(held.group) > limits.ROOM_FOR_ONE:
            return [request]
        return []

    def _of(self, standing: Standing | None) -> list[T]:
        """The requests of this standing, from the oldest to the newest."""
        return [each for each, of in self._held.items() if of.standing is standing]

    def _of_group(self, group: Hashable | None) -> int:
        return sum(
            of.size for of in self._held.values() if of.standing is Standing.KNOWN and of.group == group
        )
