"""Notes of the staff that they rang a lead back, one for each call."""

from __future__ import annotations

import uuid

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.calls.calls import Call


def record(session: Session, org_id: uuid.UUID, call_id: str, *, by: str) -> Call | None:
    """Note that the caller was rung back; the first note stays. Returns None if there is no such call.

    A call of an erased patient does not change, since its number is gone.
    """
    session.execute(
        update(Call)
        .where(
            Call.org_id == org_id,
            Call.id == call_id,
            Call.called_back_at.is_(None),
            Call.erased_at.is_(None),
        )
        .values(called_back_at=func.app_clock(), called_back_by=by)
    )
    return _read(session, org_id, call_id)


def take_back(session: Session, org_id: uuid.UUID, call_id: str) -> Call | None:
    """Delete a note that was made by mistake. Returns None if there is no such call."""
    session.execute(
        update(Call)
        .where(Call.org_id == org_id, Call.id == call_id)
        .values(called_back_at=None, called_back_by=None)
    )
    return _read(session, org_id, call_id)


def _read(session: Session, org_id: uuid.UUID, call_id: str) -> Call | None:
    return session.scalar(select(Call).where(Call.org_id == org_id, Call.id == call_id))
