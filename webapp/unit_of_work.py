"""One transaction for one piece of a request, tried once more where that is safe and worth while."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

from psycopg import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from models.session import Door, system_transaction, transaction

log = logging.getLogger(__name__)
T = TypeVar("T")

_LOST_A_RACE = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)


class Busy(Exception):
    """Somebody else was faster twice in a row; in a moment it will work."""


class DatabaseAway(Exception):
    """The database did not answer, or broke off. Nothing was booked that the caller could be told of."""


def in_transaction(org_id: uuid.UUID, work: Callable[[Session], T], *, actor: str = "holdline") -> T:
    """Run `work` in a transaction within an organisation and commit it.

    Raises Busy or DatabaseAway for trouble of the database.
    """
    return _run(partial(transaction, org_id, actor=actor), work)


def in_system_transaction(door: Door, work: Callable[[Session], T]) -> T:
    """Likewise beyond one organisation. Raises Busy or DatabaseAway."""
    return _run(partial(system_transaction, door), work)


def _run(begin: Callable[[], AbstractContextManager[Session]], work: Callable[[Session], T]) -> T:
    """`work` is run again after a lost race for a lock, and after finding a dead connection in the pool (one
    such finding renews them all); never once the commit was asked for, for it may have happened.
    """
    for last in (False, True):
        committing = False
        try:
            with begin() as session:
                result = work(session)
                committing = True
        except DBAPIError as error:
            lost_a_race = isinstance(error.orig, _LOST_A_RACE)
            if not last and (lost_a_race or (error.connection_invalidated and not committing)):
                continue
            if lost_a_race:
                raise Busy from error
            log.warning("database error", exc_info=error)
            raise DatabaseAway from error
        except PoolTimeout as error:
            log.warning("every database connection of this process is in use")
            raise DatabaseAway from error
        else:
            return result
    raise AssertionError("unreachable")
