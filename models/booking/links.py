"""The link in a confirmation, with which its holder may see, cancel or move that one appointment.

The token is derived when it is needed and never stored: the row is found by the digest of the token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKeyConstraint, ScalarSelect, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

import settings
from models.base.tables import Base, CreatedAt, EnumText, one_of

#: Digits and letters that people do not mistake for each other when they read a link off a screen.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
#: 60 bits: with a million live links and a thousand guesses a second, the first hit takes forty years, and
#: guesses are counted (webapp/guesses.py).
LENGTH = 12
PATH = "/a/"

#: Replaces the token wherever the text of a message is kept or shown.
_HIDDEN = "..."
_TOKEN_IN_TEXT = re.compile(rf"{PATH}[{ALPHABET}]{{{LENGTH}}}(?![{ALPHABET}])")
_AS_TYPED = str.maketrans("oil", "011")


class LinkOutcome(StrEnum):
    CANCELLED = "cancelled"
    MOVED = "moved"


class PatientLink(Base):
    __tablename__ = "patient_links"
    __table_args__ = (
        one_of("outcome", LinkOutcome),
        ForeignKeyConstraint(
            ["message_id", "appointment_id"], ["sms_messages.id", "sms_messages.appointment_id"]
        ),
        ForeignKeyConstraint(["org_id", "appointment_id"], ["appointments.org_id", "appointments.id"]),
        UniqueConstraint("token_digest"),
    )

    #: The confirmation that carries the link.
    message_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    org_id: Mapped[uuid.UUID]
    appointment_id: Mapped[uuid.UUID]
    #: SHA-256 of the token, in hex.
    token_digest: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    outcome: Mapped[LinkOutcome | None] = mapped_column(EnumText(LinkOutcome))
    created_at: Mapped[CreatedAt]


@dataclass(frozen=True, slots=True)
class Found:
    """The clinic and the confirmation of a link."""

    org_id: uuid.UUID
    message_id: uuid.UUID


def derive(message_id: uuid.UUID, key_id: str | None = None) -> str:
    """The token of a confirmation: always the same for one SECRET_KEY, and different for another.

    Raises settings.UnknownKey.
    """
    key = settings.get().subkey("patient-link", key_id)
    number = int.from_bytes(hmac.new(key, message_id.bytes, hashlib.sha256).digest())
    return "".join(ALPHABET[number >> 5 * place & 31] for place in range(LENGTH))


def digest(token: str) -> str:
    """The SHA-256 of a token, which is random enough to need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def as_typed(text: str) -> str | None:
    """The token in a typed text, which may have capitals, or an O for the 0; None if it is no token."""
    token = text.lower().translate(_AS_TYPED)
    return token if len(token) == LENGTH and set(token) <= set(ALPHABET) else None


def create(
    session: Session,
    *,
    org_id: uuid.UUID,
    appointment_id: uuid.UUID,
    message_id: uuid.UUID,
    expires_at: datetime | ScalarSelect[datetime],
) -> None:
    """Give a confirmation its link."""
    session.execute(
        insert(PatientLink)
        .values(
            message_id=message_id,
            org_id=org_id,
            appointment_id=appointment_id,
            token_digest=digest(derive(message_id)),
            expires_at=expires_at,
        )
        # If another confirmation has this token, the booking succeeds and its message has no link.
        .on_conflict_do_nothing(index_elements=["token_digest"])
    )


def get_or_none(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> PatientLink | None:
    return session.scalar(
        select(PatientLink).where(PatientLink.message_id == message_id, PatientLink.org_id == org_id)
    )


def find(session: Session, token: str) -> Found | None:
    """The clinic and the confirmation of the link with this token, in any clinic; None if there is none."""
    row = session.execute(
        select(PatientLink.org_id, PatientLink.message_id).where(PatientLink.token_digest == digest(token))
    ).one_or_none()
    return Found(*row) if row else None


def token_of(link: PatientLink) -> str | None:
    """The token of a link, derived again with the SECRET_KEY that made it; None if that key is gone."""
    tokens = (derive(link.message_id, key_id) for key_id in settings.get().key_ids)
    return next((token for token in tokens if digest(token) == link.token_digest), None)


def address(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> str | None:
    """The URL of the link in a confirmation; None if the confirmation has no link."""
    link = get_or_none(session, org_id, message_id)
    token = link and token_of(link)
    return f"{settings.get().public_base_url.rstrip('/')}{PATH}{token}" if token else None


def hidden(text: str) -> str:
    """The text of a message without the token, as it may be kept and shown."""
    return _TOKEN_IN_TEXT.sub(PATH + _HIDDEN, text)


def has_hidden(text: str) -> bool:
    """Whether `hidden` took a token out of this text."""
    return PATH + _HIDDEN in text


def revealed(text: str, token: str) -> str:
    """The text of a message as it was sent, from the text as it was kept."""
    before, found, after = text.rpartition(PATH + _HIDDEN)
    return before + PATH + token + after if found else text
