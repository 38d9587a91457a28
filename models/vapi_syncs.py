"""Up to when a clinic's calls were fetched from Vapi, for reports that were lost while we were down."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base
from models.organizations import IntegrationSettings

#: The first fetch looks back so far; each later one begins a little before where the last one ended, for
#: Vapi writes a call's analysis some time after its end.
FIRST_LOOK = timedelta(hours=24)
OVERLAP = timedelta(minutes=10)


class VapiSync(Base):
    __tablename__ = "vapi_syncs"

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    synced_until: Mapped[datetime]
    #: Why the last fetch failed; null when it did not.
    trouble: Mapped[str | None]


@dataclass(frozen=True, slots=True)
class Fetch:
    """One clinic whose calls can be fetched, and since when."""

    org_id: uuid.UUID
    since: datetime
    now: datetime


def find_to_fetch(session: Session, *, every: timedelta, limit: int = 20) -> list[Fetch]:
    """The clinics with an API key of Vapi's that were not asked for lately, longest ago first."""
    now = session.scalars(select(func.app_clock())).one()
    rows = session.execute(
        select(IntegrationSettings.org_id, VapiSync.synced_until)
        .outerjoin(VapiSync, VapiSync.org_id == IntegrationSettings.org_id)
        .where(
            IntegrationSettings.vapi_api_key_sealed.is_not(None),
            or_(VapiSync.synced_until.is_(None), VapiSync.synced_until <= now - every),
        )
        .order_by(VapiSync.synced_until.nulls_first())
        .limit(limit)
    )
    return [Fetch(row.org_id, (row.synced_until or now - FIRST_LOOK) - OVERLAP, now) for row in rows]


def record(session: Session, org_id: uuid.UUID, *, until: datetime) -> None:
    _write(session, org_id, until, None)


def record_trouble(session: Session, org_id: uuid.UUID, *, since: datetime, why: str) -> None:
    """Nothing was fetched: the next time begins where this one did."""
    _write(session, org_id, since + OVERLAP, why)


def _write(session: Session, org_id: uuid.UUID, until: datetime, trouble: str | None) -> None:
    values = {"synced_until": until, "trouble": trouble}
    session.execute(
        insert(VapiSync)
        .values(org_id=org_id, **values)
        .on_conflict_do_update(index_elements=["org_id"], set_=values)
    )
