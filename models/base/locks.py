"""Locks that a transaction keeps until it ends."""

from __future__ import annotations

from sqlalchemy import Function, func, select
from sqlalchemy.orm import Session


def take(session: Session, key: Function[int]) -> None:
    """Wait until no other transaction has this lock, at most the lock timeout (LockNotAvailable after it).

    `key` is a call of one of the functions that give keys, as func.call_lock_key(org_id, call_id):
    migrations/sql/lock_keys_v1.sql has them, and the order in which several locks are taken.
    """
    session.execute(select(func.pg_advisory_xact_lock(key)))
