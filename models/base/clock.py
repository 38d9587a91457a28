"""The database's clock, by which everything expires and falls due on every machine."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def now(session: Session) -> datetime:
    """The time now, and not the start of the transaction, which is in the past after a wait."""
    moment: datetime = session.scalars(select(func.app_clock())).one()
    return moment
