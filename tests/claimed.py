"""The answer of claim_slot_atomic to SQL: what the application reads, and whose hold is in the way."""

from __future__ import annotations

from dataclasses import dataclass

from models.booking.holds import Claim


@dataclass(frozen=True, slots=True)
class Claimed(Claim):
    held_by_call: str | None
