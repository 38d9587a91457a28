"""One transaction for one piece of a request, tried once more where that is safe and worth while."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

from psycopg import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from models.base.session import Door, pool, system_transaction, transaction
from webapp.shares import Shares

log = logging.getLogger(__name__)
T = TypeVar("T")

_LOST_A_RACE = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)


class Busy(Exception):
    """Others were faster twice in a row, or the clinic has too much under way; in a moment it will work."""


class DatabaseAway(Exception):
    """The database did not answer, or broke off, or takes no writes. Nothing was done."""


class OutcomeUnknown(DatabaseAway):
    """It broke off in the commit, and what came of that could not be seen: it may have been done."""


#: Seconds for which a database that broke off in a commit is asked what came of it: a little longer than it
#: keeps a transaction of which it hears nothing more.
LOOK_FOR = 6.0

#: Seconds from the beginning after which it is not asked any more, and work is not begun once more: Vapi
#: gives a tool call 20, and each may take a few.
BEGIN_WITHIN = 10.0


def in_transaction(
    org_id: uuid.UUID,
    work: Callable[[Session], T],
    *,
    actor: str = "holdline",
    happened: Callable[[Session, T], bool | None] | None = None,
    holder: Hashable = None,
) -> T:
    """Run `work` in a transaction within an organisation and commit it. Returns what it returned.

    `holder` is on whose share of the connections it is, where that is not certainly this clinic.

    `happened` is asked when the connection breaks in the commit: in a later transaction, and with what `work`
    returned, it says whether that is there; None if it cannot tell. `work` is then run once more, or not.

    Raises Busy or DatabaseAway for trouble of the database; OutcomeUnknown where nobody could say whether the
    work was done.
    """
    mark = uuid.uuid4() if happened else None
    begin = partial(transaction, org_id, actor=actor, mark=mark)
    return _run(partial(_in_its_share, pool(of_the_system=False), holder or org_id, begin), work, happened)


def repeatable(_session: Session, _result: object) -> bool:
    """For `happened`: work that finds what it did before, and does it no second time, may be run again
    whether or not its commit happened.
    """
    return False


def in_system_transaction(door: Door, work: Callable[[Session], T]) -> T:
    """Likewise beyond one organisation, where nothing is done but to look up and to note: it may be repeated.
    Raises Busy or DatabaseAway.
    """
    begin = partial(system_transaction, door)
    return _run(partial(_in_its_share, pool(of_the_system=True), door, begin), work, repeatable)


#: How the connections of each pool are shared between the clinics, and the reasons to look beyond one.
_shares: WeakKeyDictionary[QueuePool, Shares] = WeakKeyDictionary()


def _shares_of(pool: QueuePool) -> Shares:
    return _shares.get(pool) or _shares.setdefault(pool, Shares(pool.size()))


@contextmanager
def _in_its_share(
    of: QueuePool, holder: Hashable, begin: Callable[[], AbstractContextManager[Session]]
) -> Iterator[Session]:
    """A transaction on one of the connections that the holder may have; for one of them it waits, as for the
    pool. Raises Busy, or PoolTimeout if others have them all.
    """
    shares = _shares_of(of)
    with shares.place(holder, wait=of.timeout()) as got:
        if not got and shares.held(holder):
            raise Busy
        if not got:
            raise PoolTimeout
        with begin() as session:
            yield session


def _run(
    begin: Callable[[], AbstractContextManager[Session]],
    work: Callable[[Session], T],
    happened: Callable[[Session, T], bool | None] | None,
) -> T:
    """`work` is run again after a lost race for a lock, and after meeting a dead or useless connection in the
    pool (one such finding renews them all). Once the commit was asked for, only where it is certain that it
    did not happen.
    """
    begun = time.monotonic()
    for attempt in (1, 2):
        done: list[T] = []  # what the work came to, once the commit was asked for
        try:
            with begin() as session:
                done.append(work(session))
        except DBAPIError as error:
            if (
                done
                and error.connection_invalidated
                and _was_committed(begin, done[0], happened, error, begun)
            ):
                return done[0]
            lost_a_race = isinstance(error.orig, _LOST_A_RACE)
            again = attempt == 1 and time.monotonic() < begun + BEGIN_WITHIN
            if again and (lost_a_race or error.connection_invalidated):
                continue
            if lost_a_race:
                raise Busy from error
            log.warning("database error", exc_info=error)
            raise DatabaseAway from error
        except PoolTimeout as error:
            log.warning("every database connection of this process is in use")
            raise DatabaseAway from error
        else:
            return done[0]
    raise AssertionError("unreachable")


def _was_committed(
    begin: Callable[[], AbstractContextManager[Session]],
    result: T,
    happened: Callable[[Session, T], bool | None] | None,
    broken: DBAPIError,
    begun: float,
) -> bool:
    """What came of a commit whose answer was lost. Raises OutcomeUnknown.

    Each look is a transaction with the same mark, which begins when the one in doubt is over: one that is
    still being committed is never taken for one that was not.
    """
    log.warning("the connection broke in a commit", exc_info=broken)
    until = min(time.monotonic() + LOOK_FOR, begun + BEGIN_WITHIN)
    while happened is not None:
        try:
            with begin() as session:
                seen = happened(session, result)
        except (DBAPIError, PoolTimeout) as error:
            if time.monotonic() > until:
                raise OutcomeUnknown from error
            time.sleep(0.2)
        else:
            if seen is None:
                break
            return seen
    raise OutcomeUnknown from broken
