"""The database's clock: the one by which everything expires and comes due, on every machine."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def now(session: Session) -> datetime:
    """The time at this moment and not at the beginning of the transaction, which is past after a wait."""
    moment: datetime = session.scalars(select(func.app_clock())).one()
    return moment
