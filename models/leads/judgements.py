"""The staff's judgement whether a lead was worth the call: one judgement a call."""

from __future__ import annotations

import uuid

from sqlalchemy import func, null, update
from sqlalchemy.orm import Session

from models.calls.calls import Call


def record(session: Session, org_id: uuid.UUID, call_id: str, *, worth_call: bool, by: uuid.UUID) -> None:
    """Record what a member of staff says about a call, with the call's score at this moment.

    The latest judgement counts. The same judgement again changes nothing: the person who made it first stays.
    A call that has no score, or whose patient was erased, is not judged.
    """
    session.execute(
        update(Call)
        .where(
            Call.org_id == org_id,
            Call.id == call_id,
            Call.worth_call.is_distinct_from(worth_call),
            Call.lead_score.is_not(None),
            Call.lead_band.is_not(None),
            Call.erased_at.is_(None),
        )
        .values(
            worth_call=worth_call,
            judged_at=func.app_clock(),
            judged_score=Call.lead_score,
            judged_band=Call.lead_band,
            judged_by=by,
        )
    )


def take_back(session: Session, org_id: uuid.UUID, call_id: str) -> None:
    """Delete the judgement of a call."""
    session.execute(
        update(Call)
        .where(Call.org_id == org_id, Call.id == call_id)
        .values(
            dict.fromkeys(("worth_call", "judged_at", "judged_score", "judged_band", "judged_by"), null())
        )
    )
