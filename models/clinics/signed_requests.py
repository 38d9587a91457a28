"""Signatures that have been used, each with the path and the time of its first use.

A signature is valid for some minutes. Where it does not cover the path, it counts only at the path at which
it was first used; and a tool call with a used signature is a repeat, never a new request. Rows are deleted
within hours after their signatures expire (models/insight/retention.py).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKey, Index, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base


class SignedRequest(Base):
    __tablename__ = "signed_requests"
    __table_args__ = (Index("ix_signed_requests_seen_at", "seen_at"),)

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    #: A digest of the signature, and not the signature itself, which could be used again.
    signature: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]
    seen_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Use:
    """The first use of a signature; `new` if it is the present one."""

    path: str
    seen_at: datetime
    new: bool


def use(session: Session, org_id: uuid.UUID, signature: str, path: str) -> Use:
    """Note that a signature is used at this path; returns its first use, which may be an earlier one."""
    values = {"org_id": org_id, "signature": signature, "path": path, "seen_at": func.app_clock()}
    made = session.scalar(
        insert(SignedRequest).values(values).on_conflict_do_nothing().returning(SignedRequest.seen_at)
    )
    if made is not None:
        return Use(path, made, new=True)
    first = session.execute(
        select(SignedRequest.path, SignedRequest.seen_at).where(
            SignedRequest.org_id == org_id, SignedRequest.signature == signature
        )
    ).one()
    return Use(first.path, first.seen_at, new=False)
