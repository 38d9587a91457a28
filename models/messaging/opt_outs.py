"""Numbers that asked for no more SMS from a clinic. No message of any kind is sent to them."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base, CreatedAt, EnumText, one_of


class OptOutSource(StrEnum):
    PROVIDER = "provider"  # refused a message, because it knew of the wish before we did
    KEYWORD = "keyword"  # STOP and similar keywords
    WORDS = "words"  # "please stop texting me"
    STAFF = "staff"


class OptOut(Base):
    __tablename__ = "opt_outs"
    __table_args__ = (one_of("source", OptOutSource),)

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    #: E.164.
    phone: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[OptOutSource] = mapped_column(EnumText(OptOutSource))
    opted_out_at: Mapped[datetime]
    #: When START came, or the staff were told; null while the opt-out stands.
    lifted_at: Mapped[datetime | None]


class InboundWish(Base):
    """A text that asked for no more texts, or for texts again, and was followed. Only its id is kept, to
    recognise it if it comes again, and neither its words nor its number.
    """

    __tablename__ = "inbound_wishes"

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    #: The provider's id of the text.
    provider_id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[CreatedAt]


def is_new(session: Session, org_id: uuid.UUID, provider_id: str) -> bool:
    """Whether this wish is heard for the first time; keeps its id. A provider's signature may be good for
    ever, so an old START that comes again would undo a newer STOP: the ids are kept for ever, too.
    """
    heard = insert(InboundWish).values(org_id=org_id, provider_id=provider_id, created_at=func.app_clock())
    new = heard.on_conflict_do_nothing().returning(InboundWish.provider_id)
    return session.scalar(new) is not None


def record(session: Session, org_id: uuid.UUID, phone: str, source: OptOutSource) -> None:
    """From now on nothing is sent to this number. A second opt-out changes nothing."""
    values = {"source": source, "opted_out_at": func.app_clock(), "lifted_at": None}
    session.execute(
        insert(OptOut)
        .values(org_id=org_id, phone=phone, **values)
        .on_conflict_do_update(
            index_elements=["org_id", "phone"], set_=values, where=OptOut.lifted_at.is_not(None)
        )
    )


def lift(session: Session, org_id: uuid.UUID, phone: str) -> bool:
    """False when there was nothing to lift."""
    lifted = session.scalar(
        update(OptOut)
        .where(OptOut.org_id == org_id, OptOut.phone == phone, OptOut.lifted_at.is_(None))
        .values(lifted_at=func.app_clock())
        .returning(OptOut.phone)
    )
    return lifted is not None


def stands(session: Session, org_id: uuid.UUID, phone: str) -> bool:
    found = session.scalar(
        select(OptOut.phone).where(OptOut.org_id == org_id, OptOut.phone == phone, OptOut.lifted_at.is_(None))
    )
    return found is not None


def lifted_since(session: Session, org_id: uuid.UUID, phone: str, moment: datetime) -> bool:
    """Whether this number asked for texts again after `moment`."""
    found = session.scalar(
        select(OptOut.phone).where(OptOut.org_id == org_id, OptOut.phone == phone, OptOut.lifted_at > moment)
    )
    return found is not None
