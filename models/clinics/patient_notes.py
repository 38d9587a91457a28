"""Notes of the staff about a patient, which are for the staff only."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session

from models.base import clock, once
from models.base.tables import Base, CreatedAt, Id
from models.clinics.staff import StaffUser

#: The most characters of a note, as the CHECK of the table has it.
LONGEST = 2000


class PatientNote(Base):
    __tablename__ = "patient_notes"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "contact_id"], ["contacts.org_id", "contacts.id"]),
        CheckConstraint(rf"body ~ '\S' AND length(body) <= {LONGEST}", name="body"),
        Index("ix_patient_notes_org_id_contact_id", "org_id", "contact_id", "created_at"),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID]
    contact_id: Mapped[uuid.UUID]
    body: Mapped[str]
    #: Who wrote it, as the audit log names them.
    writer: Mapped[str]
    created_at: Mapped[CreatedAt]


@dataclass(frozen=True, slots=True)
class Written:
    """A note as it is shown. `writer_name` is the name of the member of staff, as long as there is one."""

    id: uuid.UUID
    body: str
    writer: str
    writer_name: str | None
    created_at: datetime


def write(
    session: Session,
    *,
    org_id: uuid.UUID,
    contact_id: uuid.UUID,
    body: str,
    writer: str,
    form: uuid.UUID | None = None,
) -> uuid.UUID:
    """Keep a note about a patient; returns its id. The same words from the same `form` are kept once.

    Raises ValueError if it is empty or longer than LONGEST.
    """
    body = body.strip()
    if not body:
        raise ValueError("a note needs some words")
    if len(body) > LONGEST:
        raise ValueError(f"a note has at most {LONGEST} characters")
    note_id = once.row_id(org_id, form, contact_id, body)
    values = {
        "id": note_id,
        "org_id": org_id,
        "contact_id": contact_id,
        "body": body,
        "writer": writer,
        "created_at": clock.now(session),
    }
    session.execute(insert(PatientNote).values(values).on_conflict_do_nothing(index_elements=["id"]))
    return note_id


def get_or_none(session: Session, org_id: uuid.UUID, note_id: uuid.UUID) -> PatientNote | None:
    return session.scalar(select(PatientNote).where(PatientNote.org_id == org_id, PatientNote.id == note_id))


def list_of(session: Session, org_id: uuid.UUID, contact_id: uuid.UUID) -> list[Written]:
    """The notes about a patient, the latest first."""
    query = (
        select(PatientNote, StaffUser.name)
        .outerjoin(
            StaffUser,
            (StaffUser.org_id == PatientNote.org_id) & (PatientNote.writer == "staff " + StaffUser.email),
        )
        .where(PatientNote.org_id == org_id, PatientNote.contact_id == contact_id)
        .order_by(PatientNote.created_at.desc(), PatientNote.id)
    )
    return [
        Written(note.id, note.body, note.writer, name, note.created_at)
        for note, name in session.execute(query)
    ]


def remove(session: Session, org_id: uuid.UUID, contact_id: uuid.UUID, note_id: uuid.UUID) -> bool:
    """Delete a note. False if there is no such note about this patient."""
    removed = session.execute(
        delete(PatientNote)
        .where(PatientNote.org_id == org_id, PatientNote.contact_id == contact_id, PatientNote.id == note_id)
        .returning(PatientNote.id)
    )
    return removed.first() is not None
