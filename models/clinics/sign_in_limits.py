"""Limits on failed sign-ins: a few failures are free, then each further try has to wait longer.

The counts are rows, and not in memory as in webapp/limits.py: all web processes count together, a restart
forgets nothing, and the wait grows with every failure, which a rate cannot express. What is counted, such as
one e-mail address from one network, is stored as a digest.
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

    #: A keyed digest of what is counted, so that the table shows no e-mail or network address.
    digest: Mapped[str] = mapped_column(primary_key=True)
    #: When all failures will be forgiven. The number of failures follows from the time until then.
    forgiven_at: Mapped[datetime] = mapped_column(index=True)
    last_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` failures without a wait; then `first` seconds, twice as long each time, `longest` at most. One
    failure is forgiven every `forgiven` seconds.

    Endless tries get through once in `longest` or `forgiven` seconds, whichever is less.
    """

    name: str
    free: int
    first: float
    longest: float
    forgiven: float

    @property
    def most(self) -> int:
        """How many failures are remembered: as many as make the wait the longest."""
        return self.free + math.ceil(math.log2(self.longest / self.first)) + 1

    def of(self, what: object) -> Counted:
        return Counted(self, digests.keyed("sign-in-limits", f"{self.name} {what}")[:32])


@dataclass(frozen=True, slots=True)
class Counted:
    """A limit and the digest of what it counts."""

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


#: Failures from one network for all e-mail addresses. All staff of a clinic may share one network.
NETWORK = Limit("network", free=20, first=30, longest=600, forgiven=600)
#: Failures for one e-mail address from one network.
EMAIL_FROM_NETWORK = Limit("e-mail from network", free=5, first=2, longest=600, forgiven=600)
#: Failures for one e-mail address from all networks. The waits are short, so that a stranger cannot lock a
#: person out.
EMAIL = Limit("e-mail", free=10, first=1, longest=20, forgiven=60)
#: Failures on a device on which this person has signed in before; failures elsewhere do not count for it.
DEVICE = Limit("device", free=5, first=2, longest=600, forgiven=600)
#: Failures of the second factor, and of other checks after a right password.
SECOND_FACTOR = Limit("second factor", free=5, first=5, longest=1800, forgiven=1800)
#: Entries in the audit log for one e-mail address.
NOTED = Limit("noted", free=5, first=60, longest=3600, forgiven=3600)


class _TooSoon(Exception):
    pass


_FAILURES = "ceil(CAST(extract(epoch FROM l.forgiven_at - app_clock()) AS float8) / :forgiven)"
_WAIT = f"""
    CASE WHEN {_FAILURES} < :free THEN 0
         ELSE least(:longest, :first * power(2, least({_FAILURES} - :free, 30))) END
"""
# A last try in the future means that the clock was set back. The count is then void; otherwise all people
# behind the network would have to wait until the clock has caught up.
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
    """Count a try before it is made, so that simultaneous tries are counted too.

    Returns None if the try may be made. Otherwise returns the seconds to wait, and nothing was counted.
    Callers pass the limits in the order of this module; otherwise they could deadlock.
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
    """Take a successful try out of the counts of its network and e-mail address; delete its other counts."""
    for each in counted:
        if each.limit in (NETWORK, EMAIL):
            session.execute(_TAKE_BACK, {"digest": each.digest, "forgiven": float(each.limit.forgiven)})
        else:
            session.execute(delete(SignInLimit).where(SignInLimit.digest == each.digest))


def forget_the_forgiven(session: Session, most: int) -> int:
    """Delete at most `most` rows whose failures are all forgiven; returns their number. For system scope."""
    over: Iterable[str] = session.scalars(
        select(SignInLimit.digest)
        .where(SignInLimit.forgiven_at < func.app_clock())
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    session.execute(delete(SignInLimit).where(SignInLimit.digest.in_(over)))
    return len(list(over))
