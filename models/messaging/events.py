"""Every move of every SMS, with its time and cause.

A trigger writes the moves (migrations/sql/sms_life_v1.sql). A second acceptance of a message is no move;
models/messaging/outcomes.py writes it.
"""

from __future__ import annotations

import uuid

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base.tables import Base, CreatedAt


class SmsEvent(Base):
    """States and causes are plain text: they stay as models/messaging/states.py had them at the time."""

    __tablename__ = "sms_events"
    __table_args__ = (
        Index("ix_sms_events_message_id_id", "message_id", "id"),
        Index(
            "uq_sms_events_message_id_provider_id",
            "message_id",
            "provider_id",
            unique=True,
            postgresql_where=text("provider_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    org_id: Mapped[uuid.UUID]
    message_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sms_messages.id", ondelete="CASCADE"))
    #: Null for the first event, when the message was made.
    from_status: Mapped[str | None]
    to_status: Mapped[str]
    cause: Mapped[str]
    attempt: Mapped[int]
    error_code: Mapped[str | None]
    #: Who moved it, as in the audit log: a call, a task, one of the staff, an operator.
    actor: Mapped[str | None] = mapped_column(
        server_default=text(
            "coalesce(nullif(current_setting('app.actor', true), ''), 'sql ' || session_user)"
        )
    )
    #: For a second acceptance: the id that the provider gave the second attempt.
    provider_id: Mapped[str | None]
    created_at: Mapped[CreatedAt]
