"""Every column with sealed secrets and its purpose, and how to reseal a secret with the current key."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.base import sealing
from models.clinics import calendar_feeds, second_factor
from models.clinics.calendar_feeds import CalendarFeed
from models.clinics.organizations import SIGNING_KEY, IntegrationSettings, VapiCredential
from models.clinics.staff import StaffUser


@dataclass(frozen=True, slots=True)
class SealedColumn:
    column: InstrumentedAttribute[str | None] | InstrumentedAttribute[str]
    #: The primary key of its table.
    key: InstrumentedAttribute[uuid.UUID]
    org_id: InstrumentedAttribute[uuid.UUID]
    purpose: str

    @property
    def name(self) -> str:
        return f"{self.column.class_.__tablename__}.{self.column.key}"


def _of_settings(column: InstrumentedAttribute[str | None], purpose: str) -> SealedColumn:
    return SealedColumn(column, IntegrationSettings.org_id, IntegrationSettings.org_id, purpose)


#: Secrets in a column that is missing here would be lost together with the SECRET_KEY that sealed them.
SEALED = (
    _of_settings(IntegrationSettings.twilio_auth_token_sealed, "twilio_auth_token"),
    _of_settings(IntegrationSettings.twilio_api_key_secret_sealed, "twilio_api_key_secret"),
    _of_settings(IntegrationSettings.sms_account_sealed, "sms_account"),
    _of_settings(IntegrationSettings.vapi_api_key_sealed, "vapi_api_key"),
    SealedColumn(VapiCredential.secret_sealed, VapiCredential.id, VapiCredential.org_id, SIGNING_KEY),
    SealedColumn(CalendarFeed.address_sealed, CalendarFeed.id, CalendarFeed.org_id, calendar_feeds.ADDRESS),
    SealedColumn(StaffUser.totp_sealed, StaffUser.id, StaffUser.org_id, second_factor.PURPOSE),
)


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """The column and row of one sealed secret."""

    column: SealedColumn
    org_id: uuid.UUID
    key: uuid.UUID

    def __str__(self) -> str:
        return f"{self.column.name} of {self.key}"


def find(session: Session, org_id: uuid.UUID | None = None) -> list[SealedSecret]:
    """Every sealed secret of one clinic, or of all."""
    found = []
    for sealed in SEALED:
        query = select(sealed.org_id, sealed.key).where(sealed.column.is_not(None)).order_by(sealed.key)
        if org_id is not None:
            query = query.where(sealed.org_id == org_id)
        found += [SealedSecret(sealed, *row) for row in session.execute(query)]
    return found


def get(session: Session, secret: SealedSecret, *, for_update: bool = False) -> str | None:
    """The secret as it is stored; None if it has been deleted meanwhile."""
    sealed = secret.column
    query = select(sealed.column).where(sealed.org_id == secret.org_id, sealed.key == secret.key)
    return session.scalar(query.with_for_update() if for_update else query)


def reseal(session: Session, secret: SealedSecret) -> bool:
    """Reseal a secret with the current SECRET_KEY. False if it already is, or has been deleted meanwhile.

    Locks its row, so that it cannot overwrite a new secret with the old one. Raises CannotUnseal.
    """
    stored = get(session, secret, for_update=True)
    if stored is None or sealing.is_current(stored):
        return False
    sealed = secret.column
    plaintext = sealing.unseal(secret.org_id, sealed.purpose, stored)
    values: dict[Any, Any] = {sealed.column: sealing.seal(secret.org_id, sealed.purpose, plaintext)}
    session.execute(
        update(sealed.column.class_)
        .where(sealed.org_id == secret.org_id, sealed.key == secret.key)
        .values(values)
    )
    return True
