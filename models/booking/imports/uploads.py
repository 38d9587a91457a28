"""A file that was chosen on the clinic's pages, kept for an hour between the dry run and the import.

A clinic has one at a time. The browser is told no more of it than its id.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import clock
from models.base.tables import Base, EnumText, one_of
from models.booking.imports.entries import MOST_BYTES, Kind
from models.booking.imports.matching import Choices

KEPT = timedelta(hours=1)


class ImportFile(Base):
    __tablename__ = "import_files"
    __table_args__ = (
        one_of("kind", Kind),
        CheckConstraint(f"octet_length(body) <= {MOST_BYTES}", name="body"),
    )

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    id: Mapped[uuid.UUID]
    kind: Mapped[Kind] = mapped_column(EnumText(Kind))
    file_name: Mapped[str]
    body: Mapped[bytes]
    #: What was chosen (Choices), as JSON.
    choices: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


def keep(
    session: Session, org_id: uuid.UUID, *, kind: Kind, file_name: str, body: bytes, choices: Choices
) -> uuid.UUID:
    """Keep a file in place of the one that the clinic has. Returns its id."""
    forget(session, org_id)
    row = ImportFile(
        org_id=org_id,
        id=uuid.uuid4(),
        kind=kind,
        file_name=file_name,
        body=body,
        choices=asdict(choices),
        created_at=clock.now(session),
    )
    session.add(row)
    session.flush()
    return row.id


def get_or_none(
    session: Session, org_id: uuid.UUID, upload_id: uuid.UUID | None = None, *, for_update: bool = False
) -> ImportFile | None:
    """The clinic's file, if it is not too old, and is the one with this id where one is given."""
    query = select(ImportFile).where(
        ImportFile.org_id == org_id, ImportFile.created_at > func.app_clock() - KEPT
    )
    if upload_id is not None:
        query = query.where(ImportFile.id == upload_id)
    return session.scalar(query.with_for_update() if for_update else query)


def lock(session: Session, org_id: uuid.UUID) -> None:
    """Lock the clinic's file until the commit, whatever its age."""
    session.scalar(select(ImportFile.id).where(ImportFile.org_id == org_id).with_for_update())


def forget(session: Session, org_id: uuid.UUID) -> None:
    """Erase the clinic's file, if it has one."""
    session.execute(delete(ImportFile).where(ImportFile.org_id == org_id))


def forget_the_old(session: Session, limit: int) -> None:
    """Erase files whose hour is over. For system scope."""
    old = (
        select(ImportFile.org_id)
        .where(ImportFile.created_at <= func.app_clock() - KEPT)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    session.execute(
        delete(ImportFile)
        .where(ImportFile.org_id.in_(old.scalar_subquery()))
        .execution_options(synchronize_session=False)
    )
