"""The sessions of the staff who are signed in: one row for each browser."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import clock
from models.base.tables import Base, CreatedAt, Id
from models.clinics.staff import StaffUser

#: A working day; after that the password is asked for again, even if the page is in use.
LONGEST = timedelta(hours=12)


class StaffSession(Base):
    __tablename__ = "staff_sessions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["org_id", "staff_id"], ["staff_users.org_id", "staff_users.id"], ondelete="CASCADE"
        ),
        UniqueConstraint("token_digest"),
        Index("ix_staff_sessions_org_id_staff_id", "org_id", "staff_id"),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID]
    staff_id: Mapped[uuid.UUID]
    #: SHA-256 of the token in the cookie, so that a dump gives no access.
    token_digest: Mapped[str]
    #: The person's session_epoch when the session began; the session is over once that has changed.
    epoch: Mapped[int]
    #: The browser as it describes itself, such as "Firefox on Windows", and the address it came from.
    device: Mapped[str]
    address: Mapped[str]
    began_at: Mapped[datetime] = mapped_column(index=True)
    last_seen_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]


def begin(session: Session, user: StaffUser, epoch: int, *, device: str, address: str) -> str:
    """Begin a session; returns the token for the cookie. `epoch` is that of the checked password."""
    token = secrets.token_urlsafe(32)
    now = clock.now(session)
    user.last_seen_at = now
    session.add(
        StaffSession(
            org_id=user.org_id,
            staff_id=user.id,
            token_digest=digest(token),
            epoch=epoch,
            device=device,
            address=address,
            began_at=now,
            last_seen_at=now,
        )
    )
    return token


def digest(token: str) -> str:
    """The SHA-256 of a token, which is random enough to need no slow hash."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def find(session: Session, org_id: uuid.UUID, token: str) -> tuple[StaffSession, StaffUser] | None:
    """The session of this token and its person; None if the session is over or the person disabled."""
    row = session.execute(_standing(org_id).where(StaffSession.token_digest == digest(token))).one_or_none()
    return (row[0], row[1]) if row else None


def stands(session: Session, org_id: uuid.UUID, session_id: uuid.UUID) -> bool:
    return session.execute(_standing(org_id).where(StaffSession.id == session_id)).first() is not None


def list_of(session: Session, org_id: uuid.UUID, staff_id: uuid.UUID) -> list[StaffSession]:
    """This person's live sessions, the newest first."""
    query = _standing(org_id).where(StaffSession.staff_id == staff_id)
    return [row[0] for row in session.execute(query.order_by(StaffSession.began_at.desc(), StaffSession.id))]


def _standing(org_id: uuid.UUID):  # type: ignore[no-untyped-def]  # noqa: ANN202 (a Select of two classes)
    return (
        select(StaffSession, StaffUser)
        .join(StaffUser, StaffUser.id == StaffSession.staff_id)
        .where(
            StaffSession.org_id == org_id,
            StaffUser.org_id == org_id,
            StaffUser.session_epoch == StaffSession.epoch,
            StaffUser.disabled_at.is_(None),
            StaffSession.began_at > func.app_clock() - LONGEST,
        )
    )


def end(session: Session, org_id: uuid.UUID, staff_id: uuid.UUID, session_id: uuid.UUID) -> bool:
    """End one of this person's own sessions; False if there is no such session."""
    gone = session.scalars(
        delete(StaffSession)
        .where(
            StaffSession.org_id == org_id, StaffSession.staff_id == staff_id, StaffSession.id == session_id
        )
        .returning(StaffSession.id)
    ).all()
    return bool(gone)


def end_others(session: Session, org_id: uuid.UUID, staff_id: uuid.UUID, session_id: uuid.UUID) -> None:
    """End every session of this person but this one."""
    session.execute(
        delete(StaffSession).where(
            StaffSession.org_id == org_id, StaffSession.staff_id == staff_id, StaffSession.id != session_id
        )
    )


def forget_the_old(session: Session, most: int) -> int:
    """Delete at most `most` rows of sessions older than LONGEST; returns their number. For system scope."""
    old = session.scalars(
        select(StaffSession.id)
        .where(StaffSession.began_at < func.app_clock() - LONGEST)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    session.execute(delete(StaffSession).where(StaffSession.id.in_(old)))
    return len(old)
