"""Allowances: limits that are used up and filled again steadily, and that concurrent requests never exceed.

An allowance holds over all processes and is counted in the transaction of what it limits: codes, other
messages, alerts. A limit that only protects one process is in webapp/limits.py.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, delete, func, select, text, tuple_
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import digests
from models.base.tables import Base
from models.clinics.organizations import Organization

log = logging.getLogger(__name__)


class AllowanceRow(Base):
    __tablename__ = "allowances"
    __table_args__ = (Index("ix_allowances_full_again_at", "full_again_at"),)

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    #: A keyed digest of the number, call or credential it is for, so that the table names no person.
    whose: Mapped[str] = mapped_column(primary_key=True)
    #: From this moment the row says nothing and may be deleted.
    full_again_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Allowance:
    """`most` units of `kind` at once for `who`; an empty allowance is full again after `refill`.

    `who` is a number, a call id or a credential, and empty for the clinic as a whole. `share` is the part of
    `most` that may be taken here: 0.7 leaves three tenths to others. `amount` is how many units are wanted.
    """

    kind: str
    who: str
    most: float
    refill: timedelta
    share: float = 1.0
    amount: float = 1.0

    @property
    def digest(self) -> str:
        return digest_of(self.kind, self.who)


def digest_of(kind: str, who: str) -> str:
    """The value of `AllowanceRow.whose`; `who` is empty for the clinic as a whole."""
    return digests.keyed("allowances", f"{kind}|{who}")[:32]


@dataclass(frozen=True, slots=True)
class Short:
    """The first allowance with too little left, and how long until it has enough."""

    allowance: Allowance
    wait: timedelta


_TAKE = text("SELECT short, wait FROM take_allowances(:org, :kinds, :whose, :steps, :longest, :amounts)")


def take(session: Session, org_id: uuid.UUID, wanted: Sequence[Allowance]) -> Short | None:
    """Take from all of these allowances, or from none and return the first with too little left.

    The rows stay locked until the transaction ends, so take last in a transaction. A rollback gives back what
    was taken. Waits for other transactions at most the lock timeout (LockNotAvailable).
    """
    row = session.execute(
        _TAKE,
        {
            "org": org_id,
            "kinds": [each.kind for each in wanted],
            "whose": [each.digest for each in wanted],
            "steps": [each.refill / each.most for each in wanted],
            "longest": [each.refill * each.share for each in wanted],
            "amounts": [float(each.amount) for each in wanted],
        },
    ).one()
    return None if row.short is None else Short(wanted[row.short - 1], row.wait)


def used(session: Session, org_id: uuid.UUID, allowance: Allowance) -> float:
    """The part of an allowance that is used now: 0 is none of it, 1 all."""
    full_again_at, now = session.execute(
        select(func.max(AllowanceRow.full_again_at), func.app_clock()).where(
            AllowanceRow.org_id == org_id,
            AllowanceRow.kind == allowance.kind,
            AllowanceRow.whose == allowance.digest,
            AllowanceRow.full_again_at > func.app_clock(),
        )
    ).one()
    return (full_again_at - now) / allowance.refill if full_again_at else 0.0


# --- of the clinic as a whole -------------------------------------------------------------------


class Level(StrEnum):
    """The levels of use of a clinic's allowance at which its staff are told."""

    HALF = "half"
    NEARLY_ALL = "nearly_all"


#: The used part at which each level begins; the higher level first.
LEVELS = {Level.NEARLY_ALL: 0.9, Level.HALF: 0.5}

#: Tolerance for the rounding errors of a thousand takes.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class ClinicLimit:
    """An allowance of a clinic as a whole. Its staff and the operator are warned before it is used up.

    models/insight/clinic_limits.py lists all of them.
    """

    #: A label in /metrics.
    name: str
    #: The plural noun that the staff use for its units.
    words: str
    #: A sentence that says what happens once it is used up.
    then: str
    #: The option of `flask organization set` that raises it.
    option: str
    kind: str
    of: Callable[[Organization], Allowance]

    def part(self, organization: Organization, left_until_full: timedelta) -> float:
        """The used part of the share that may be used here: 0 is nothing, 1 all."""
        allowance = self.of(organization)
        whole = allowance.refill * allowance.share
        return min(left_until_full / whole, 1.0) if whole else 1.0


def level_of(part: float) -> Level | None:
    return next((level for level, least in LEVELS.items() if part >= least - _ROUNDING), None)


def tell(
    session: Session, organization: Organization, limits: Sequence[ClinicLimit], taken: float = 1.0
) -> None:
    """Log which of these limits have just become half or nearly used up. Call it after each `take`.

    All `limits` are of one allowance; `taken` is the number of units that were taken.
    """
    in_all = used(session, organization.id, limits[0].of(organization))
    for limit in limits:
        allowance = limit.of(organization)
        now = in_all / allowance.share
        before = now - taken / (allowance.most * allowance.share)
        if (level := level_of(now)) and level is not level_of(before):
            log.warning(
                "organization %s has used %d %% of %s (%s)",
                organization.id,
                round(now * 100),
                limit.words,
                limit.option,
            )


def forget_the_full(session: Session, most: int) -> int:
    """Delete at most `most` rows of allowances that are full again; returns their number. For system scope.

    Rows that another transaction has locked are left for the next time.
    """
    key = (AllowanceRow.org_id, AllowanceRow.kind, AllowanceRow.whose)
    full = session.execute(
        select(*key)
        .where(AllowanceRow.full_again_at < func.app_clock())
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    session.execute(delete(AllowanceRow).where(tuple_(*key).in_(full)))
    return len(full)
