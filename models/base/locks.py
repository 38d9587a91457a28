"""Locks that a transaction keeps until it ends."""

from __future__ import annotations

from sqlalchemy import Function, func, select
from sqlalchemy.orm import Session


def take(session: Session, key: Function[int]) -> None:
    """Take this lock, waiting at most the lock timeout for other transactions; then LockNotAvailable.

    `key` is the call of a function that returns a key, such as func.call_lock_key(org_id, call_id).
    migrations/sql/lock_keys_v1.sql has these functions and the order in which several locks are taken.
    """
    session.execute(select(func.pg_advisory_xact_lock(key)))
