"""Counts of attacks on the web processes, by kind.

The counts are rows because there are several web processes and they restart: each process adds its own counts
(webapp/attacks.py). The counts only grow. They belong to no clinic, since a wrong credential names none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base


class Kind(StrEnum):
    """The kinds of attack, which label `holdline_attacks_total`. docs/operations.md says what to do."""

    WRONG_CREDENTIAL = "wrong_credential"
    WRONG_SIGNATURE = "wrong_signature"
    REPLAYED_SIGNATURE = "replayed_signature"
    FAILED_SIGN_IN = "failed_sign_in"
    LIMITED_SIGN_IN = "limited_sign_in"
    GUESSED_LINK = "guessed_link"
    LIMITED_LINK = "limited_link"
    FORGED_RECEIPT = "forged_receipt"
    FORGED_SMS = "forged_sms"
    OVERSIZED = "oversized"
    LIMITED_CREDENTIAL = "limited_credential"
    LIMITED_CALL = "limited_call"
    LIMITED_PHONE = "limited_phone"
    LIMITED_CLINIC = "limited_clinic"
    LIMITED_CODES = "limited_codes"
    WRONG_CODES = "wrong_codes"
    LIMITED_HOLDS = "limited_holds"
    REFUSED_CONNECTION = "refused_connection"


class AttackCount(Base):
    """One row for each kind."""

    __tablename__ = "attack_counts"

    #: Text without a CHECK, so that a new kind in the code needs no migration.
    kind: Mapped[str] = mapped_column(primary_key=True)
    total: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime]


def add(session: Session, counted: Mapping[Kind, int]) -> None:
    """Add the counts of one process, sorted by kind so that two processes never deadlock."""
    rows = [
        {"kind": kind.value, "total": number, "last_at": func.app_clock()}
        for kind, number in sorted(counted.items())
    ]
    if not rows:
        return
    new = insert(AttackCount).values(rows)
    session.execute(
        new.on_conflict_do_update(
            index_elements=[AttackCount.kind],
            set_={"total": AttackCount.total + new.excluded.total, "last_at": new.excluded.last_at},
        )
    )
