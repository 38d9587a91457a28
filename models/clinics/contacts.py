"""Contacts: one row for each telephone number of each clinic."""

from __future__ import annotations

import uuid

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base.tables import Base, CreatedAt, Id


class Contact(Base):
    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("org_id", "phone"),
        UniqueConstraint("org_id", "id"),  # for foreign keys that stay within one clinic
        Index(
            "ix_contacts_org_id_booking_source",
            "org_id",
            "booking_source",
            postgresql_where=text("booking_source = 'phone_ai'"),
        ),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    phone: Mapped[str]
    #: The name given at the first booking. A hold has its own name, since a family may share a telephone.
    name: Mapped[str | None]
    booking_source: Mapped[str] = mapped_column(server_default="phone_ai")
    created_at: Mapped[CreatedAt]
