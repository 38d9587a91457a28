"""The people of a clinic who may sign in, and their passwords."""

from __future__ import annotations

import unicodedata
import uuid
from datetime import datetime
from enum import StrEnum
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base, CreatedAt, EnumText, Id, one_of


class StaffRole(StrEnum):
    """What a person may do on the staff's pages, which are open to all; webapp/staff/guard.py enforces it."""

    OWNER = "owner"  # everything
    STAFF = "staff"  # the desk: everything but to book beside another appointment and to erase patients
    READ_ONLY = "read_only"  # look, and change their own account


class StaffUser(Base):
    __tablename__ = "staff_users"
    __table_args__ = (
        one_of("role", StaffRole),
        CheckConstraint("email = lower(email) AND email LIKE '%@%'", name="email"),
        CheckConstraint("totp_since IS NULL OR totp_sealed IS NOT NULL", name="second_factor"),
        UniqueConstraint("org_id", "id"),  # for foreign keys that stay within one clinic
        UniqueConstraint("email"),  # a person signs in with an address and names no clinic
        CheckConstraint("num_nonnulls(invitation_digest, invited_until) IN (0, 2)", name="invitation"),
        UniqueConstraint("invitation_digest"),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    email: Mapped[str]
    name: Mapped[str]
    role: Mapped[StaffRole] = mapped_column(EnumText(StaffRole), server_default="staff")
    #: argon2id; null until a password is set, and until then this person cannot sign in.
    password_hash: Mapped[str | None]
    #: Counted up to end every session of this person at once.
    session_epoch: Mapped[int] = mapped_column(server_default="0")
    #: The key of the app that makes codes, sealed, and the time since when codes are asked for.
    totp_sealed: Mapped[str | None]
    totp_since: Mapped[datetime | None]
    #: The 30-second step whose code was used last: neither that code nor an earlier one works again.
    totp_last_step: Mapped[int | None] = mapped_column(BigInteger)
    #: Digests of the recovery codes that are left.
    recovery_digests: Mapped[list[str]] = mapped_column(server_default="[]")
    #: SHA-256 of the token in the link with which this person sets a password, and the time until which it
    #: works (models/clinics/invitations.py).
    invitation_digest: Mapped[str | None]
    invited_until: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class NotAnAddress(ValueError):
    """The text is no e-mail address."""


class WeakPassword(ValueError):
    """The message says what is wrong with the password."""


SHORTEST, LONGEST = 12, 1024
#: Characters of the longest e-mail address (RFC 5321).
LONGEST_EMAIL = 254

#: 19 MiB and two passes, OWASP's minimum: sixteen sign-ins at once must fit into a small machine.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def normal_email(email: str) -> str:
    return email.strip().lower()


def check_email(email: str) -> str:
    """The address as it is stored. Raises NotAnAddress."""
    address = normal_email(email)
    local, _, domain = address.partition("@")
    if not local or "." not in domain or not address.isprintable() or " " in address:
        raise NotAnAddress
    if len(address) > LONGEST_EMAIL:
        raise NotAnAddress
    return address


def find(session: Session, org_id: uuid.UUID, email: str) -> StaffUser | None:
    return session.scalar(
        select(StaffUser).where(StaffUser.org_id == org_id, StaffUser.email == normal_email(email))
    )


def find_by_email(session: Session, email: str) -> StaffUser | None:
    """The person with this address, of any clinic. For signing in; needs system scope."""
    return session.scalar(select(StaffUser).where(StaffUser.email == normal_email(email)))


def list_of(session: Session, org_id: uuid.UUID) -> list[StaffUser]:
    return list(
        session.scalars(select(StaffUser).where(StaffUser.org_id == org_id).order_by(StaffUser.email))
    )


def add(session: Session, *, org_id: uuid.UUID, email: str, name: str, role: StaffRole) -> StaffUser:
    """Add a person, who cannot sign in before `set_password`."""
    user = StaffUser(
        id=uuid.uuid4(), org_id=org_id, email=normal_email(email), name=name, role=role, session_epoch=0
    )
    session.add(user)
    return user


def check_password(password: str, *, email: str, name: str = "") -> None:
    """Raises WeakPassword if the password is too short, too long or too easy to guess."""
    if len(password) < SHORTEST:
        raise WeakPassword(f"it needs {SHORTEST} characters or more")
    if len(password) > LONGEST:
        raise WeakPassword(f"it may have {LONGEST} characters at most")
    if len(set(password)) < 4:
        raise WeakPassword("it is one character over and over")
    address = normal_email(email)
    if password.strip().lower() in {address, address.partition("@")[0], name.strip().lower()}:
        raise WeakPassword("it is the e-mail address or the name itself")


def set_password(user: StaffUser, password: str) -> None:
    """Set a password, and end every session and the link of this person. Raises WeakPassword."""
    set_hash(user, hash_of(user, password))


def hash_of(user: StaffUser, password: str) -> str:
    """The hash of a new password for this person, which takes long. Raises WeakPassword."""
    check_password(password, email=user.email, name=user.name)
    return _hasher.hash(_normal(password))


def set_hash(user: StaffUser, hashed: str) -> None:
    """Set a password that `hash_of` has hashed, and end every session and the link of this person."""
    user.password_hash = hashed
    user.session_epoch += 1
    forget_invitation(user)


def forget_invitation(user: StaffUser) -> None:
    """End the link with which this person could set a password."""
    user.invitation_digest = user.invited_until = None


def verify(user: StaffUser | None, password: str) -> bool:
    """Whether this person may sign in with this password. Takes as long for an unknown address."""
    stored = user.password_hash if user else None
    try:
        _hasher.verify(stored or _nobodys(), _normal(password[: LONGEST + 1]))
    except (VerificationError, InvalidHashError):
        return False
    return user is not None and stored is not None and user.disabled_at is None


def needs_rehash(user: StaffUser) -> bool:
    """Whether the password was hashed with other costs than today's; if so, rehash it after signing in."""
    return user.password_hash is not None and _hasher.check_needs_rehash(user.password_hash)


def rehash(user: StaffUser, password: str) -> None:
    """Hash the password that was just verified with today's costs; sessions continue."""
    user.password_hash = _hasher.hash(_normal(password))


def disable(session: Session, user: StaffUser) -> None:
    """Refuse sign-in to this person, and end every session and the link to set a password."""
    user.disabled_at = user.disabled_at or session.scalar(select(func.now()))
    user.session_epoch += 1
    forget_invitation(user)


def end_sessions(user: StaffUser) -> None:
    """End every session of this person."""
    user.session_epoch += 1


def enable(user: StaffUser) -> None:
    user.disabled_at = None


def _normal(password: str) -> str:
    """The password in NFKC, because two keyboards may encode one letter in two ways."""
    return unicodedata.normalize("NFKC", password)


@cache
def _nobodys() -> str:
    return _hasher.hash("the password of nobody")
