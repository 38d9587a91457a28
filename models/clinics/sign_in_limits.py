"""How often one may fail at signing in: a few times for nothing, then each time after a longer wait.

Kept in rows, and not by webapp/limits.py in memory: all web processes count together, a restart forgets
nothing, and the wait grows with every failure, which a rate cannot say. What is counted, such as one e-mail
address from one network, is stored as a digest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import digests
from models.base.tables import Base


class SignInLimit(Base):
    __tablename__ = "sign_in_limits"

    #: Of what is counted, under a key of ours: neither an e-mail address nor one of a network stands here.
    digest: Mapped[str] = mapped_column(primary_key=True)
    #: When the last failure will have been forgiven. How far off that is says how many there are.
    forgiven_at: Mapped[datetime] = mapped_column(index=True)
    last_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` failures without a wait; then `first` seconds, twice as long each time, `longest` at most. One
    failure is forgiven every `forgiven` seconds.

    Whoever goes on without end has one try in `longest` or `forgiven` seconds, whichever is less.
    """

    name: str
    free: int
    first: float
    longest: float
    forgiven: float

    @property
    def most(self) -> int:
        """Failures that are remembered: so many that the wait is the longest."""
        return self.free + math.ceil(math.log2(self.longest / self.first)) + 1

    def of(self, what: object) -> Counted:
        return Counted(self, digests.keyed("sign-in-limits", f"{self.name} {what}")[:32])


@dataclass(frozen=True, slots=True)
class Counted:
    """A limit, and whose count it is."""

    limit: Limit
    digest: str

    @property
    def values(self) -> dict[str, object]:
        limit = self.limit
        return {
            "digest": self.digest,
            "free": float(limit.free),
            "first": float(limit.first),
            "longest": float(limit.longest),
            "forgiven": float(limit.forgiven),
            "most": float(limit.most),
        }


#: Whoever guesses from one network, at whatever addresses. Behind a clinic's network are all of its people.
NETWORK = Limit("network", free=20, first=30, longest=600, forgiven=600)
#: One address of e-mail from one network.
EMAIL_FROM_NETWORK = Limit("e-mail from network", free=5, first=2, longest=600, forgiven=600)
#: One address of e-mail from all networks together. Gentle: it is no lock in a stranger's hands.
EMAIL = Limit("e-mail", free=10, first=1, longest=20, forgiven=60)
#: A device on which this person has signed in before: only what is done on it counts.
DEVICE = Limit("device", free=5, first=2, longest=600, forgiven=600)
#: The second factor, and whatever else is asked of somebody whose password was right.
SECOND_FACTOR = Limit("second factor", free=5, first=5, longest=1800, forgiven=1800)
#: Entries in the audit log for one address of e-mail.
NOTED = Limit("noted", free=5, first=60, longest=3600, forgiven=3600)


class _TooSoon(Exception):
    pass


_FAILURES = "ceil(CAST(extract(epoch FROM l.forgiven_at - app_clock()) AS float8) / :forgiven)"
_WAIT = f"""
    CASE WHEN {_FAILURES} < :free THEN 0
         ELSE least(:longest, :first * power(2, least({_FAILURES} - :free, 30))) END
"""
# A last try that is still to come says that the clock was set back: nothing that was counted holds then, or
# everybody behind the network would have to wait until it has caught up.
_SET_BACK = "l.last_at > app_clock()"
_COUNT = text(f"""
    INSERT INTO sign_in_limits AS l (digest, forgiven_at, last_at)
    VALUES (:digest, app_clock() + make_interval(secs => :forgiven), app_clock())
    ON CONFLICT (digest) DO UPDATE
       SET forgiven_at = least(CASE WHEN {_SET_BACK} THEN app_clock()
                                    ELSE greatest(l.forgiven_at, app_clock()) END
                               + make_interval(secs => :forgiven),
                               app_clock() + make_interval(secs => :forgiven * :most)),
           last_at = app_clock()
     WHERE {_SET_BACK} OR app_clock() >= l.last_at + make_interval(secs => {_WAIT})
    RETURNING digest
""")
_LEFT = text(f"""
    SELECT extract(epoch FROM l.last_at + make_interval(secs => {_WAIT}) - app_clock())
      FROM sign_in_limits l WHERE l.digest = :digest
""")
_TAKE_BACK = text("""
    UPDATE sign_in_limits SET forgiven_at = forgiven_at - make_interval(secs => :forgiven)
     WHERE digest = :digest
""")


def try_once(session: Session, *counted: Counted) -> int | None:
    """Count one try before it is made, so that many at once are counted, too.

    None: it may be made. Otherwise nothing was counted, and it may be made in so many seconds. Callers name
    what is counted in one order, that of this module, or they would wait for each other.
    """
    try:
        with session.begin_nested():
            for each in counted:
                _count(session, each)
    except _TooSoon:
        left = (session.scalar(_LEFT, each.values) or 0 for each in counted)
        return max(1, math.ceil(max(left)))
    return None


def _count(session: Session, counted: Counted) -> None:
    if session.execute(_COUNT, counted.values).first() is None:
        raise _TooSoon


def succeeded(session: Session, *counted: Counted) -> None:
    """That try was no failure. What others did under the same address, or in the same network, stays."""
    for each in counted:
        if each.limit in (NETWORK, EMAIL):
            session.execute(_TAKE_BACK, {"digest": each.digest, "forgiven": float(each.limit.forgiven)})
        else:
            session.execute(delete(SignInLimit).where(SignInLimit.digest == each.digest))


def forget_the_forgiven(session: Session, most: int) -> int:
    """Delete rows that say no more than none would; returns how many. For system scope."""
    over: Iterable[str] = session.scalars(
        select(SignInLimit.digest)
        .where(SignInLimit.forgiven_at < func.app_clock())
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    session.execute(delete(SignInLimit).where(SignInLimit.digest.in_(over)))
    return len(list(over))
