"""One transaction for one part of a request, tried once more where that is safe and useful."""

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
    """A lock was lost twice in a row, or the clinic has too much under way. A later try should succeed."""


class DatabaseAway(Exception):
    """The database did not answer, broke the connection or takes no writes. Nothing was done."""


class OutcomeUnknown(DatabaseAway):
    """The connection broke in the commit, and the outcome could not be seen: the work may be done."""


#: Seconds for which the database is asked about a commit whose connection broke: a little longer than it
#: keeps a transaction of a silent client.
LOOK_FOR = 6.0

#: Seconds from the beginning after which the database is not asked any more, and no second attempt begins:
#: Vapi gives a tool call 20 seconds, and each of the two may take a few.
BEGIN_WITHIN = 10.0


def in_transaction(
    org_id: uuid.UUID,
    work: Callable[[Session], T],
    *,
    actor: str = "holdline",
    happened: Callable[[Session, T], bool | None] | None = None,
) -> T:
    """Run `work` in a transaction of one clinic and commit it. Returns what `work` returned.

    `happened` is called if the connection breaks in the commit: in a later transaction, with what `work`
    returned. True: the work is there; False: it is not, and `work` is run once more; None: it cannot tell.

    Raises Busy or DatabaseAway for trouble of the database; OutcomeUnknown if the work may have been done.
    """
    mark = uuid.uuid4() if happened else None
    begin = partial(transaction, org_id, actor=actor, mark=mark)
    return _run(partial(_in_its_share, pool(of_the_system=False), org_id, begin), work, happened)


def repeatable(_session: Session, _result: object) -> bool:
    """A `happened` for work without a second effect: it may run again whether or not it was committed."""
    return False


def in_system_transaction(door: Door, work: Callable[[Session], T]) -> T:
    """Run `work` in a transaction beyond one clinic. It may be repeated, so it must only look up or note.
    Raises Busy or DatabaseAway.
    """
    begin = partial(system_transaction, door)
    return _run(partial(_in_its_share, pool(of_the_system=True), door, begin), work, repeatable)


#: How the connections of each pool are shared: between the clinics, or between the doors of the system pool.
_shares: WeakKeyDictionary[QueuePool, Shares] = WeakKeyDictionary()


def _shares_of(pool: QueuePool) -> Shares:
    return _shares.get(pool) or _shares.setdefault(pool, Shares(pool.size()))


@contextmanager
def _in_its_share(
    of: QueuePool, holder: Hashable, begin: Callable[[], AbstractContextManager[Session]]
) -> Iterator[Session]:
    """A transaction on a connection of the holder's share; waits for one up to the pool's time-out.
    Raises Busy if the holder has its share already, PoolTimeout if others have all connections.
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
    """Run `work`, and once more after a lost race for a lock or a dead or unusable connection of the pool
    (which then renews all of its connections). After the commit was sent, `work` is run again only if the
    commit certainly did not happen.
    """
    begun = time.monotonic()
    for attempt in (1, 2):
        done: list[T] = []  # what `work` returned; empty until the commit is sent
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
    """Whether a commit whose answer was lost happened. Raises OutcomeUnknown.

    Each look is a transaction with the same mark, which begins only when the transaction in doubt is over: so
    a commit that is still under way is never taken for one that failed.
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
