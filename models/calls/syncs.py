"""Up to when each clinic's calls have been fetched from Vapi, to find reports that were lost in an outage."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import clock
from models.base.tables import Base
from models.clinics.organizations import IntegrationSettings

#: The first fetch looks back FIRST_LOOK. Each later fetch begins OVERLAP before the end of the last one,
#: because Vapi writes a call's analysis some time after the call has ended.
FIRST_LOOK = timedelta(hours=24)
OVERLAP = timedelta(minutes=10)


class VapiSync(Base):
    __tablename__ = "vapi_syncs"

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    synced_until: Mapped[datetime]
    #: The clinic's last turn, even if its fetch failed, so that no clinic keeps the others waiting.
    tried_at: Mapped[datetime | None]
    #: Why the last fetch failed; null if it succeeded.
    trouble: Mapped[str | None]


@dataclass(frozen=True, slots=True)
class Fetch:
    """A clinic whose turn it is, and the span of time whose calls are to be fetched."""

    org_id: uuid.UUID
    since: datetime
    now: datetime


def take_turn(session: Session, *, every: timedelta) -> Fetch | None:
    """The clinic that has waited longest; None if all have had a turn within `every`. For system scope.

    Only clinics with a Vapi key have turns, and with an assistant or a number that tells their calls from
    those of other clinics in the same account.
    """
    now = clock.now(session)
    row = session.execute(
        select(IntegrationSettings.org_id, VapiSync.synced_until)
        .outerjoin(VapiSync, VapiSync.org_id == IntegrationSettings.org_id)
        .where(
            IntegrationSettings.vapi_api_key_sealed.is_not(None),
            func.coalesce(
                IntegrationSettings.vapi_assistant_id, IntegrationSettings.vapi_phone_number_id
            ).is_not(None),
            or_(VapiSync.tried_at.is_(None), VapiSync.tried_at <= now - every),
        )
        .order_by(VapiSync.tried_at.nulls_first(), IntegrationSettings.org_id)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    until = row.synced_until or now - FIRST_LOOK
    session.execute(
        insert(VapiSync)
        .values(org_id=row.org_id, synced_until=until, tried_at=now)
        .on_conflict_do_update(index_elements=["org_id"], set_={"tried_at": now})
    )
    return Fetch(row.org_id, until - OVERLAP, now)


def record(session: Session, fetch: Fetch, *, until: datetime | None, trouble: str | None) -> None:
    """Record that all calls up to `until` are fetched (None: none are), and why the fetch failed, if it did.

    The next fetch begins at `until`, or OVERLAP before the time of this fetch if that is earlier.
    """
    values = {"trouble": trouble} | ({"synced_until": min(until + OVERLAP, fetch.now)} if until else {})
    session.execute(update(VapiSync).where(VapiSync.org_id == fetch.org_id).values(values))
