"""Which person or which call changed what. Only triggers write it (migrations/sql/audit_log_v1.sql)."""

from __future__ import annotations

import uuid

from sqlalchemy import BigInteger, Identity, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base.tables import Base, CreatedAt

#: The entries of a clinic's daily work, which are most of them. An index has all others, and a query uses it
#: only if it has these words.
DAILY = (
    "table_name = ANY ('{appointments,appointment_holds,blocks,calls,contacts,opt_outs,patient_notes,"
    "sms_senders}'::text[])"
)


class AuditEntry(Base):
    """One change of one row. Entries are only added: no role has the right to change or delete them.

    An entry names the columns that changed and never holds their values, so it can be kept for ever.
    """

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_org_id_created_at", "org_id", text("created_at DESC")),
        Index(
            "ix_audit_log_settings",
            "org_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text(f"NOT ({DAILY})"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    org_id: Mapped[uuid.UUID]
    #: "call <id>", "operator <name>", "twilio", or the database role of a person at a prompt.
    actor: Mapped[str]
    action: Mapped[str]
    table_name: Mapped[str]
    row_id: Mapped[str]
    columns: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[CreatedAt]
